# SPDX-License-Identifier: Apache-2.0
"""`heaptide growth` as text and as a document."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from heaptide.analysis.growth import ACTING, Growth, Step, Suspect
from heaptide.analysis.growth.limits import Limit
from heaptide.analysis.ledger import Ledger
from heaptide.model import Frame
from heaptide.render import json, names, pace, units
from heaptide.render import ledger as ledgers
from heaptide.render.harmless import harmless

_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_MOST_FRAMES = 12
"""Of a stack, however many it takes to tell it from others (recursion)."""
_NEXT_TO_NOTHING = 0.02
_INDENT = "    "
_HOUR = 3600.0
_UNNAMED = Frame(None, None, None, None, None, unresolved="no stack was recorded")
Sources = Mapping[tuple[str, int], str]
"""(file, line) -> the text that stands there, where the source could be read."""


def text(
    growth: Growth,
    ledger: Ledger | None = None,
    *,
    sources: Sources | None = None,
    limit: int = 0,
    colour: bool = False,
) -> str:
    """The answer for a person: one headline, then each suspect with its reasons (``limit`` of them when not 0), then
    what was not accused, and where the resident memory is."""
    lines = [_heading(growth), "", _bold(headline(growth), colour)]
    acting = growth.acting
    shown = acting[:limit] if limit else acting
    for suspect in shown:
        lines += ["", *_suspect_lines(growth, suspect, sources or {}, colour)]
    if len(shown) < len(acting):
        lines += ["", f"... {units.count(len(acting) - len(shown))} more suspects (-n 0 shows all)"]
    lines += ["", *others(growth)] if growth.suspects else []
    if ledger is not None:
        lines += ["", *ledgers.short(ledger)]
    return "\n".join(lines) + "\n"


def headline(growth: Growth) -> str:
    """The verdict in one sentence."""
    if growth.verdict == "too-short":
        return f"too short to judge: {growth.reason}"
    acting = growth.acting
    if acting:
        first = acting[0]
        words = "leak" if first.judgement.verdict == "leak" else "growing"
        more = f", and {units.count(len(acting) - 1)} more" if len(acting) > 1 else ""
        return f"{words}: {site_name(first)} {_pace(first)}, {pace.sureness(first.judgement.confidence)}{more}"
    seen = f"a leak over {pace.rate(growth.detectable or 0.0)} would have shown"
    if growth.verdict == "unsure":
        return f"unsure: no growth is certain; {seen}"
    return f"steady: nothing grows; {seen}"


def site_name(suspect: Suspect) -> str:
    """The site with its place in the source: ``handle_search (server.c:59)``."""
    name, source = _name(suspect.site or _UNNAMED)
    return f"{name} ({source})" if source else name


def _pace(suspect: Suspect) -> str:
    judgement = suspect.judgement
    if suspect.steps and judgement.verdict == "growing":
        total = sum(step.bytes for step in suspect.steps)
        times = "at once" if len(suspect.steps) == 1 else f"in {len(suspect.steps)} steps"
        return f"rose by {units.size(total)} {times} at {when(suspect.steps[-1])} and kept it"
    return f"grows by {pace.rate(judgement.rate)}"


def when(step: Step) -> str:
    """A step's moment as wall clock and offset."""
    clock = datetime.fromtimestamp(step.at_ns / 1e9).astimezone()
    return f"{clock:%Y-%m-%d %H:%M:%S} ({units.offset(step.t_s)})"


def _name(frame: Frame) -> tuple[str, str]:
    name, _ = names.frame_name(frame)
    return name, names.where(frame.file, frame.line)


def _heading(growth: Growth) -> str:
    what = names.base_name(growth.captures[0])
    if len(growth.captures) > 1:
        what += f" and {len(growth.captures) - 1} more"
    asleep = f" ({units.duration(growth.asleep_s)} asleep left out)" if growth.asleep_s else ""
    return (
        f"{what}: what grows, over {units.duration(growth.duration_s)}{asleep}, "
        f"{units.count(growth.snapshots)} snapshots, {growth.mode}"
    )


def _suspect_lines(growth: Growth, suspect: Suspect, sources: Sources, colour: bool) -> list[str]:
    judgement = suspect.judgement
    process = f"  in {names.base_name(growth.captures[suspect.process])}" if len(growth.captures) > 1 else ""
    mapped = "mapped memory, " if suspect.kind == "mmap" else ""
    head = f"{suspect.rank}. {judgement.verdict}  {site_name(suspect)}{process}"
    rate = (
        f"{mapped}{pace.rate(judgement.rate)} (95 %: {pace.rate(judgement.rate_low)} to "
        f"{pace.rate(judgement.rate_high)}), {units.percent(suspect.share, 1.0)} of the growth, "
        f"{pace.sureness(judgement.confidence)}"
    )
    lines = [_bold(head, colour), _INDENT + rate]
    lines.append(f"{_INDENT}{pace.spark(suspect.spark)}  {units.size(judgement.in_use)} in use at the end")
    site = suspect.site
    if site is not None and site.file is not None and site.line is not None and (site.file, site.line) in sources:
        lines.append(f"{_INDENT}{site.line}: {harmless(sources[site.file, site.line].strip())}")
    lines += [f"{_INDENT}step of {units.size(step.bytes)} at {when(step)}" for step in suspect.steps]
    lines.append(f"{_INDENT}why: {why(suspect)}")
    if suspect.limit_s is not None:
        lines.append(_INDENT + until_limit(suspect))
    lines.append(f"{_INDENT}{telling_stack(suspect)}")
    lines += [f"{_INDENT}of it {pace.rate(part.judgement.rate)} at {site_name(part)}" for part in suspect.parts]
    return lines


def why(suspect: Suspect) -> str:
    """What the verdict rests on, and what became of the blocks."""
    judgement = suspect.judgement
    words = [judgement.why]
    freed = judgement.evidence.get("replaced")
    if freed is not None and not suspect.steps:
        if freed < _NEXT_TO_NOTHING:
            words.append("nothing of it was freed since")
        else:
            words.append(f"since then {units.percent(freed, 1.0)} of what it held in the middle was freed and replaced")
    if suspect.ages:
        parts = ", ".join(units.percent(part, 1.0) for part in suspect.ages)
        words.append(f"what it holds was allocated in the four quarters of the run: {parts}")
    return "; ".join(words)


def until_limit(suspect: Suspect) -> str:
    """How long until memory runs out at a suspect's rate, and whose; nothing where no limit is known."""
    limit = suspect.limit
    if limit is None or suspect.limit_s is None:
        return ""
    size = f"({units.size(limit.bytes)}, {units.size(limit.room)} of it free)"
    when = units.duration(suspect.limit_s)
    if limit.whose == "cgroup":
        return f"at this rate the control group's limit {size} is reached in {when}"
    return f"at this rate the machine's memory {size} is used up in {when}"


def telling_stack(suspect: Suspect) -> str:
    """The frames that tell a suspect from every other site and one more, its site first, and how many follow."""
    called = [_name(frame)[0] for frame in suspect.stack]
    needed = max(suspect.telling - 1, 0)
    end = called.index("main", needed) + 1 if "main" in called[needed:] else len(called)
    shown = min(suspect.telling + 1, _MOST_FRAMES)
    if end - shown < 2:  # a name is no longer than the words that would stand for it
        return " < ".join(called[:end])
    return " < ".join([*called[:shown], f"... {units.count(end - shown)} more frames to {called[end - 1]}"])


def others(growth: Growth) -> list[str]:
    """What was judged and not accused: how many sites of each verdict, what would have shown, what is suppressed."""
    quiet = [suspect for suspect in growth.suspects if suspect.judgement.verdict not in ACTING]
    counts: dict[str, int] = {}
    for suspect in quiet:
        counts[suspect.judgement.verdict] = counts.get(suspect.judgement.verdict, 0) + 1
    words = ", ".join(f"{units.count(count)} {verdict}" for verdict, count in counts.items())
    lines = [f"{'the other sites' if growth.acting else 'sites'}: {words}"] if words else []
    if growth.acting and quiet and growth.detectable is not None:
        lines.append(f"at those, a leak over {pace.rate(growth.detectable)} would have shown")
    known = [suspect for suspect in growth.suspects if suspect.suppressed and suspect.judgement.verdict in ACTING]
    lines += [f"suppressed: {site_name(suspect)} by {harmless(suspect.suppressed or '')}" for suspect in known]
    return lines


def _bold(words: str, colour: bool) -> str:
    return f"{_BOLD}{words}{_PLAIN}" if colour else words


def document(growth: Growth, ledger: Ledger | None = None) -> str:
    """`growth --json`: the document of the design. Rates are per hour, times seconds or ISO 8601 (UTC)."""
    detectable = growth.detectable
    return json.document(
        {
            "capture": growth.captures[0] if len(growth.captures) == 1 else list(growth.captures),
            "mode": growth.mode,
            "started_at": _iso(growth.started_ns),
            "duration_s": growth.duration_s,
            "snapshots": growth.snapshots,
            "verdict": growth.verdict,
            "detectable_bytes_per_hour": None if detectable is None else detectable * _HOUR,
            "limit": None if growth.limit is None else _limit(growth.limit),
            "limit_bytes": None if growth.limit is None else growth.limit.bytes,
            "suspects": [_suspect(growth, suspect) for suspect in growth.suspects],
            "ledger": None if ledger is None else ledgers.body(ledger),
        }
        | ({"reason": growth.reason} if growth.reason else {})
    )


def _limit(limit: Limit) -> dict[str, object]:
    return {"whose": limit.whose, "bytes": limit.bytes, "used_bytes": limit.used}


def _iso(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat(timespec="milliseconds")


def _suspect(growth: Growth, suspect: Suspect) -> dict[str, object]:
    judgement = suspect.judgement
    site = suspect.site or _UNNAMED
    return {
        "rank": suspect.rank,
        "kind": suspect.kind,
        "process": growth.captures[suspect.process],
        "verdict": judgement.verdict,
        "confidence": judgement.confidence,
        "bytes_per_hour": judgement.rate * _HOUR,
        "bytes_per_hour_low": judgement.rate_low * _HOUR,
        "bytes_per_hour_high": judgement.rate_high * _HOUR,
        "objects_per_hour": judgement.object_rate * _HOUR,
        "growth_bytes": judgement.growth,
        "in_use_bytes": judgement.in_use,
        "detectable_bytes_per_hour": judgement.detectable * _HOUR,
        "share": suspect.share,
        "seconds_to_limit": suspect.limit_s,
        "limit": None if suspect.limit is None else suspect.limit.whose,
        "bound_bytes": judgement.bound,
        "why": judgement.why,
        "suppressed": suspect.suppressed,
        "ages": list(suspect.ages) or None,
        "steps": [
            {"at": _iso(step.at_ns), "t_s": step.t_s, "bytes": step.bytes, "objects": step.objects}
            for step in suspect.steps
        ],
        **{key: value for key, value in json.frame(site).items() if key != "inlined"},
        "stack": [json.frame(frame) for frame in suspect.stack],
        "telling_frames": suspect.telling or None,
        "parts": [_suspect(growth, part) for part in suspect.parts],
    }
