# SPDX-License-Identifier: Apache-2.0
"""`heaptide growth --base` as text and as a document."""

from __future__ import annotations

from collections.abc import Callable

from heaptide.analysis.growth import Comparison, Pair, Side
from heaptide.model import Frame
from heaptide.render import json, names, pace, units

_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"
_HOUR = 3600.0
_UNNAMED = Frame(None, None, None, None, None, unresolved="no stack was recorded")


def text(found: Comparison, *, limit: int = 0, colour: bool = False) -> str:
    """The answer for a person: one headline, then every function that changed; ``limit`` of them when not 0."""
    before, after = (names.base_name(growth.captures[0]) for growth in (found.before, found.after))
    measure = "per byte allocated" if found.per == "allocated" else "over time"
    head = headline(found)
    lines = [f"{after} against {before}: growth {measure}", "", f"{_BOLD}{head}{_PLAIN}" if colour else head]
    changed = [pair for pair in found.pairs if pair.change != "unchanged"]
    for pair in changed[:limit] if limit else changed:
        lines += ["", *_lines(pair, _words(found))]
    if limit and len(changed) > limit:
        lines += ["", f"... {units.count(len(changed) - limit)} more functions (-n 0 shows all)"]
    rest = len(found.pairs) - len(changed)
    return "\n".join([*lines, "", f"{units.count(rest)} functions without a certain change"]) + "\n"


def headline(found: Comparison) -> str:
    """Better or worse, in one sentence."""
    for growth in (found.before, found.after):
        if growth.verdict == "too-short":
            return f"{names.base_name(growth.captures[0])} is too short to judge: {growth.reason}"
    worse, better = found.changed("worse"), found.changed("better")
    words = _words(found)
    parts = [
        f"{what}: {_name(pairs[0])} by {words(abs(pairs[0].difference))}{_more(len(pairs))}"
        for what, pairs in (("worse", worse), ("better", better))
        if pairs
    ]
    return "; ".join(parts) if parts else "no function grows certainly faster or slower than before"


def _more(count: int) -> str:
    return f" and {units.count(count - 1)} more" if count > 1 else ""


def _words(found: Comparison) -> Callable[[float], str]:
    """How a rate is written."""
    if found.per == "time":
        return pace.rate
    return lambda value: f"{units.size(value * 2**20)} per MiB allocated"


def _name(pair: Pair) -> str:
    name, source = names.frame_name(pair.site or _UNNAMED)[0], names.where((pair.site or _UNNAMED).file, None)
    return f"{name} ({source})" if source else name


def _lines(pair: Pair, words: Callable[[float], str]) -> list[str]:
    return [
        f"{pair.change}  {_name(pair)}",
        f"    before  {_side(pair.before, words)}",
        f"    after   {_side(pair.after, words)}",
        f"    change  {words(pair.difference)} (95 %: {words(pair.low)} to {words(pair.high)})",
    ]


def _side(side: Side, words: Callable[[float], str]) -> str:
    sure = f", growing ({pace.sureness(side.confidence)})" if side.acts else ""
    return f"{words(side.rate)} (95 %: {words(side.low)} to {words(side.high)}){sure}"


def document(found: Comparison) -> str:
    """`growth --base --json`. Rates are bytes per hour, or bytes kept per byte allocated."""
    scale = _HOUR if found.per == "time" else 1.0
    return json.document(
        {
            "capture": found.after.captures[0],
            "base": found.before.captures[0],
            "per": found.per,
            "unit": "bytes_per_hour" if found.per == "time" else "bytes_per_byte",
            "verdict": found.after.verdict,
            "base_verdict": found.before.verdict,
            "functions": [_pair(pair, scale) for pair in found.pairs],
        }
    )


def _pair(pair: Pair, scale: float) -> dict[str, object]:
    frame = json.frame(pair.site or _UNNAMED)
    return {
        "change": pair.change,
        "kind": pair.kind,
        **{key: value for key, value in frame.items() if key != "inlined"},
        "difference": pair.difference * scale,
        "difference_low": pair.low * scale,
        "difference_high": pair.high * scale,
        "before": _side_document(pair.before, scale),
        "after": _side_document(pair.after, scale),
    }


def _side_document(side: Side, scale: float) -> dict[str, object]:
    return {
        "rate": side.rate * scale,
        "low": side.low * scale,
        "high": side.high * scale,
        "growing": side.acts,
        "confidence": side.confidence,
    }
