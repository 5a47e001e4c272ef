# SPDX-License-Identifier: Apache-2.0
"""From a capture to suspects with names: sites, callers, steps, suppressions, several processes, two recordings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from heaptide import build
from heaptide._errors import InputError
from heaptide.analysis.growth import Growth, compare, judge
from heaptide.analysis.growth.limits import Limit, seconds_to
from heaptide.analysis.growth.suppress import parse
from heaptide.capture import format as fmt
from heaptide.cli.growth import command
from heaptide.model import Series
from heaptide.render import comparison
from heaptide.render import growth as render
from heaptide.symbolize import Module, SourceFrame
from tests.builders.capture import REALTIME, CaptureBuilder, Counter, Phdr
from tests.unit.test_ages import Row, ages

LEAK, CHURN, LOAD, MAIN = 0x401001, 0x402001, 0x403001, 0x404001
NAMES = {0x1000: ("leaks", 10), 0x2000: ("churns", 20), 0x3000: ("loads", 30), 0x4000: ("main", 40)}
HOUR = 3600.0


class Names:
    def resolve(self, module: Module, vaddrs: Sequence[int]) -> list[tuple[SourceFrame, ...]]:
        return [(SourceFrame(*self._place(vaddr)),) for vaddr in vaddrs]

    def _place(self, vaddr: int) -> tuple[str, str, int]:
        name, line = NAMES.get(vaddr, (f"site_{vaddr:x}", vaddr % 4096))
        return name, f"/src/{name}.c", line


Totals = Callable[[int], Mapping[int, tuple[int, int]]]
"""Number of the snapshot -> stack -> (bytes allocated, bytes freed), in blocks of 100."""


def capture(
    totals: Totals,
    stacks: Mapping[int, Sequence[int]],
    *,
    snapshots: int = 120,
    step_s: float = 10.0,
    figures: Mapping[int, int] | None = None,
    births: Sequence[Row] = (),
) -> bytes:
    made = CaptureBuilder("exact", step_s=step_s).process(exe="/bin/prog", argv=("prog",))
    made.module(1, 0x400000, 0x500000, bias=0x400000, path="", flags=fmt.MODULE_MAIN, phdrs=[Phdr()])
    made.stacks([(number, list(addresses)) for number, addresses in stacks.items()])
    for number in range(snapshots):
        counters = {
            stack: Counter(alloc_bytes=a, alloc_objects=a // 100, free_bytes=f, free_objects=f // 100)
            for stack, (a, f) in totals(number).items()
        }
        made.snapshot("time", counters)
        if figures is not None:
            made.memory(figures)
    if births:
        made.raw("AGES", ages(snapshots, list(births)))
    return made.end().data()


def leaky(number: int) -> dict[int, tuple[int, int]]:
    """1000 bytes kept in ten seconds; a site that frees all but its last 50 blocks; one that was loaded once."""
    done = 5000 * (number + 1)
    return {16: (1000 * number, 0), 17: (done, done - 5000 + 100 * (number % 7)), 18: (20000, 0)}


STACKS = {16: [LEAK, MAIN], 17: [CHURN, MAIN], 18: [LOAD, MAIN]}


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[bytes], Series]:
    def open_it(data: bytes) -> Series:
        path = tmp_path / f"x{len(list(tmp_path.iterdir()))}.tide"
        path.write_bytes(data)
        return build.load(path, symbolizer=Names())

    return open_it


def told(growth: Growth) -> dict[str | None, str]:
    return {suspect.site.function: suspect.judgement.verdict for suspect in growth.suspects if suspect.site}


def test_the_leak_is_named_with_its_rate(opened: Callable[[bytes], Series]) -> None:
    growth = judge(opened(capture(leaky, STACKS)))
    assert growth.verdict == "leak"
    assert told(growth) == {"leaks": "leak", "churns": "steady", "loads": "steady"}
    first = growth.suspects[0]
    assert (first.rank, first.share, first.kind) == (1, 1.0, "heap")
    assert first.judgement.rate == pytest.approx(100, rel=0.01)
    assert first.judgement.rate_low <= 100 <= first.judgement.rate_high
    assert first.judgement.object_rate == pytest.approx(1, rel=0.05)
    assert [frame.function for frame in first.stack] == ["leaks", "main"]
    assert (first.limit, first.limit_s, growth.limit) == (None, None, None), "the capture names none"
    assert growth.detectable is not None and growth.detectable < 100


USED, MOST, MACHINE, FREE = 301, 302, 601, 602
GROUPS = "at this rate the control group's limit (1.30 MiB, 352 KiB of it free) is reached in"
MACHINES = "at this rate the machine's memory (1.91 MiB, 703 KiB of it free) is used up in"


def test_a_limit_in_a_million_years_is_none() -> None:
    limit = Limit("machine", bytes=1 << 34, used=1 << 33)
    assert seconds_to(limit, (1 << 33) / 86400) == pytest.approx(86400)
    assert seconds_to(limit, 1e-4) is seconds_to(limit, 0.0) is None


@pytest.mark.parametrize(
    ("figures", "whose", "seconds", "words"),
    [
        ({USED: 10**6, MOST: 1_360_000}, "cgroup", 3600, GROUPS),
        ({USED: 10**6, MOST: 2**64 - 1, MACHINE: 2_000_000, FREE: 720_000}, "machine", 7200, MACHINES),
        ({MACHINE: 2_000_000, FREE: 720_000}, "machine", 7200, MACHINES),
        ({USED: 10**6, MOST: 1_360_000, MACHINE: 2_000_000, FREE: 720_000}, "cgroup", 3600, GROUPS),
        ({USED: 10**6, MOST: 9_000_000, MACHINE: 2_000_000, FREE: 720_000}, "machine", 7200, MACHINES),
    ],
    ids=["a limit", "no limit", "no group", "a tight limit", "a limit above what the machine has"],
)
def test_the_limit_that_is_reached_first(
    opened: Callable[[bytes], Series], figures: dict[int, int], whose: str, seconds: float, words: str
) -> None:
    growth = judge(opened(capture(leaky, STACKS, figures=figures)))
    (first,) = growth.acting
    assert first.limit is not None and first.limit.whose == whose and first.limit == growth.limit
    assert first.limit_s == pytest.approx(seconds, rel=0.02)
    assert words in render.text(growth)
    document = json.loads(render.document(growth))
    assert document["limit"]["whose"] == document["suspects"][0]["limit"] == whose
    assert document["limit_bytes"] == document["limit"]["bytes"] == first.limit.bytes
    assert document["limit"]["used_bytes"] == (1_000_000 if whose == "cgroup" else 1_280_000)
    assert document["suspects"][1]["limit"] is None, "it does not act"


def test_the_document_is_the_designs(opened: Callable[[bytes], Series]) -> None:
    growth = judge(opened(capture(leaky, STACKS)))
    document = json.loads(render.document(growth))
    assert (document["schema"], document["mode"], document["verdict"]) == (1, "exact", "leak")
    assert document["started_at"] == datetime.fromtimestamp(REALTIME / 1e9, UTC).isoformat(timespec="milliseconds")
    assert document["snapshots"] == 120 and document["duration_s"] == pytest.approx(1190)
    assert document["detectable_bytes_per_hour"] == pytest.approx(HOUR * (growth.detectable or 0))
    first = document["suspects"][0]
    wanted = (
        "rank kind verdict confidence bytes_per_hour bytes_per_hour_low bytes_per_hour_high objects_per_hour "
        "growth_bytes in_use_bytes steps function file line module stack"
    )
    assert set(wanted.split()) <= set(first)
    assert (first["function"], first["file"], first["line"]) == ("leaks", "/src/leaks.c", 10)
    assert first["bytes_per_hour"] == pytest.approx(360_000, rel=0.01) and first["in_use_bytes"] == 119_000
    assert set(first["stack"][0]) == {"function", "file", "line", "module", "address", "inlined", "unresolved"}
    assert document["ledger"] is None, "no pages were read"


def test_the_text_says_it_in_one_line(opened: Callable[[bytes], Series]) -> None:
    lines = render.text(judge(opened(capture(leaky, STACKS))), sources={("/src/leaks.c", 10): "  p = malloc(100);\n"})
    assert re.search(r"^leak: leaks \(leaks.c:10\) grows by 35\d KiB/h, 99 % sure$", lines, re.MULTILINE)
    assert "10: p = malloc(100);" in lines and "leaks < main" in lines
    assert re.search(r"the other sites: 2 steady", lines)


ADDS, ADDS_TOO = 0x405001, 0x405011
NAMES |= {0x5000: ("adds", 50), 0x5010: ("adds", 51), 0x6000: ("pushes", 60), 0x7000: ("serves", 70)}
PUSHES, SERVES, LOOPS, STARTS = 0x406001, 0x407001, 0x408001, 0x409001


@pytest.mark.parametrize(
    ("other", "telling", "words"),
    [
        ([CHURN, PUSHES, MAIN], 1, "adds < pushes < ... 3 more frames to main"),
        ([ADDS_TOO, SERVES, MAIN], 2, "adds < pushes < serves < ... 2 more frames to main"),
        ([ADDS_TOO, PUSHES, SERVES, MAIN], 4, "adds < pushes < serves < site_8000 < main"),
        ([ADDS_TOO, PUSHES, SERVES, LOOPS, MAIN, STARTS], 1, "adds < pushes < ... 3 more frames to main"),
        (
            [ADDS_TOO, PUSHES, SERVES, LOOPS, MAIN, STARTS, MAIN],
            6,
            "adds < pushes < serves < site_8000 < main < site_9000",
        ),
    ],
    ids=["another function", "the callers differ", "further up", "but for its line the same", "inside another"],
)
def test_as_much_of_the_stack_as_tells_it(
    opened: Callable[[bytes], Series], other: list[int], telling: int, words: str
) -> None:
    stacks = {16: [ADDS, PUSHES, SERVES, LOOPS, MAIN, STARTS], 17: other, 18: [LOAD, MAIN]}
    growth = judge(opened(capture(leaky, stacks)))
    (first,) = growth.acting
    assert first.telling == telling
    assert words in [line.strip() for line in render.text(growth).splitlines()]
    (document, *_) = json.loads(render.document(growth))["suspects"]
    assert document["telling_frames"] == telling and len(document["stack"]) == 6


def test_a_stack_that_recurs_is_cut(opened: Callable[[bytes], Series]) -> None:
    stacks = {16: [ADDS, *[PUSHES, SERVES] * 20, MAIN], 17: [ADDS_TOO, *[PUSHES, SERVES] * 19, LOOPS, MAIN]}
    growth = judge(opened(capture(lambda number: {key: leaky(number)[key] for key in stacks}, stacks)))
    assert growth.acting[0].telling == 40
    assert " < ".join(["adds", *["pushes", "serves"] * 5, "pushes", "... 30 more frames to main"]) in render.text(
        growth
    )


def test_a_step_has_its_time(opened: Callable[[bytes], Series]) -> None:
    data = capture(lambda number: {16: (0 if number < 80 else 15_000_000, 0)}, STACKS)
    (first, *_) = judge(opened(data)).suspects
    assert first.judgement.verdict == "growing"
    (step,) = first.steps
    assert step.t_s == pytest.approx(810) and step.bytes == 15_000_000 and step.objects == 150_000
    assert step.at_ns == REALTIME + 810 * 10**9
    text = render.text(judge(opened(data)))
    assert "rose by 14.3 MiB at once at" in text and "step of 14.3 MiB at" in text


def test_what_all_is_freed_at_the_end_is_no_excuse(opened: Callable[[bytes], Series]) -> None:
    def freed_at_exit(number: int) -> dict[int, tuple[int, int]]:
        kept = 1000 * min(number, 117)
        return {16: (kept, kept if number > 117 else 0)}

    growth = judge(opened(capture(freed_at_exit, STACKS)))
    assert told(growth)["leaks"] == "leak" and growth.snapshots == 118


def test_growth_below_one_caller_is_named_once(opened: Callable[[bytes], Series]) -> None:
    """Twenty sites that keep five blocks each, one after the other: none could be accused by itself."""
    stacks = {16 + k: [0x410001 + 16 * k, CHURN, MAIN] for k in range(20)}

    def turns(number: int) -> dict[int, tuple[int, int]]:
        kept = [(number - k + 19) // 20 if number >= k else 0 for k in range(20)]
        return {16 + k: (100 * count, 0) for k, count in enumerate(kept) if count}

    growth = judge(opened(capture(turns, stacks)))
    (first,) = growth.acting
    assert first.site is not None and (first.site.function, first.site.line) == ("churns", None)
    assert len(first.parts) == 20 and first.judgement.rate == pytest.approx(10, rel=0.1)
    assert "of it" in render.text(growth)


Births = Sequence[int]
"""Kilobytes left of what was allocated in each quarter of the run, by stack 17."""
LEFT = [([100, 100, 100, 400], "leak"), ([0, 0, 20, 680], "growing"), ([20, 60, 220, 400], "growing")]


@pytest.mark.parametrize(("left", "verdict"), [*LEFT, ([], "growing")], ids=["kept", "backlog", "map", "not read"])
def test_what_stays_tells_a_leak_under_churn_from_a_map(
    opened: Callable[[bytes], Series], left: Births, verdict: str
) -> None:
    """What is in use grows straight, and ten times as much is freed: only ages can tell which blocks those are."""

    def churning(number: int) -> dict[int, tuple[int, int]]:
        done, held = 500_000 * (number + 1), 100_000 + 5_000 * number
        return {17: (done, done - held)}

    births = [(17, round(30 * (k + 0.5)), kb * 1000, (100.0 * kb) ** 2, float(kb)) for k, kb in enumerate(left) if kb]
    growth = judge(opened(capture(churning, STACKS, births=births)))
    (first,) = growth.acting
    assert first.judgement.verdict == verdict and first.judgement.evidence["replaced"] > 1
    assert ("what stays is of all ages" in render.text(growth)) == (verdict == "leak")
    assert first.ages == pytest.approx([kb / sum(left) for kb in left])


def test_suppressions_are_lsans(opened: Callable[[bytes], Series]) -> None:
    rules = parse("# a known one\nleak:leak*\n\nleak:^other$\n", "known.txt")
    growth = judge(opened(capture(leaky, STACKS)), suppress=rules)
    assert growth.verdict == "steady" and not growth.acting
    assert growth.suspects[0].suppressed is None or growth.suspects[0].suppressed == "leak:leak* (a known one)"
    assert "suppressed: leaks (leaks.c:10) by leak:leak* (a known one)" in render.text(growth)
    with pytest.raises(InputError, match=r"known.txt: at byte 12: expected leak:TEMPLATE, found 'race:x'"):
        parse("leak:all.so\nrace:x\n", "known.txt")


def test_not_mine_moves_the_site_up(opened: Callable[[bytes], Series]) -> None:
    growth = judge(opened(capture(leaky, STACKS)), not_mine=re.compile("^leaks$"))
    assert growth.acting[0].site is not None and growth.acting[0].site.function == "main"


def test_a_forking_server_gives_one_answer(opened: Callable[[bytes], Series]) -> None:
    quiet = capture(lambda number: {18: (20000, 0)}, STACKS)
    growth = judge([opened(quiet), opened(capture(leaky, STACKS))])
    assert growth.verdict == "leak" and growth.acting[0].process == 1 and len(growth.captures) == 2
    assert f"in {Path(growth.captures[1]).name}" in render.text(growth)


def test_too_short(opened: Callable[[bytes], Series]) -> None:
    growth = judge(opened(capture(leaky, STACKS, snapshots=4)))
    assert (growth.verdict, growth.suspects, growth.detectable) == ("too-short", (), None)
    assert render.headline(growth) == "too short to judge: 4 snapshots over 30.0 s"


def test_only_the_asked_stretch_counts(opened: Callable[[bytes], Series]) -> None:
    """It leaked for the first half."""
    series = opened(capture(lambda number: {16: (1000 * min(number, 60), 0)}, STACKS))
    assert told(judge(series, start="start", end="580s"))["leaks"] == "leak"
    assert told(judge(series, start="620s"))["leaks"] == "steady"


def test_a_fix_is_seen(opened: Callable[[bytes], Series]) -> None:
    """After it the site keeps nothing, and another has begun to."""
    after = capture(lambda number: {16: (5000, 0), 18: (20000 + 300 * number, 0)}, STACKS)
    found = compare(opened(capture(leaky, STACKS)), opened(after))
    assert [(pair.change, pair.site and pair.site.function) for pair in found.pairs[:2]] == [
        ("worse", "loads"),
        ("better", "leaks"),
    ]
    better = found.pairs[1]
    assert better.difference == pytest.approx(-100, rel=0.02) and better.low <= -100 <= better.high
    words = comparison.text(found)
    assert re.search(r"worse: loads \(loads.c\) by 10\d KiB/h; better: leaks \(leaks.c\) by 35\d KiB/h", words)
    document = json.loads(comparison.document(found))
    assert document["functions"][1]["difference"] == pytest.approx(-360_000, rel=0.02)


def test_twice_the_load_is_no_worse_per_byte_allocated(opened: Callable[[bytes], Series]) -> None:
    def twice(number: int) -> dict[int, tuple[int, int]]:
        return {stack: (2 * a, 2 * f) for stack, (a, f) in leaky(number).items()}

    before, after = opened(capture(leaky, STACKS)), opened(capture(twice, STACKS))
    assert compare(before, after).pairs[0].change == "worse"
    per = compare(before, after, per="allocated")
    assert {pair.change for pair in per.pairs} == {"unchanged"}
    leak = next(pair for pair in per.pairs if pair.site and pair.site.function == "leaks")
    assert leak.after.rate == pytest.approx(1000 / 6000, rel=0.02)


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "prog.1.tide"
    path.write_bytes(capture(leaky, STACKS))
    run = CliRunner().invoke(command, [str(path), "--json", "--min-rate", "1KiB/s"])
    assert run.exit_code == 0
    document = json.loads(run.stdout)
    assert document["verdict"] in ("steady", "unsure"), "100 bytes a second are not of interest"
    assert CliRunner().invoke(command, [str(path), "--min-rate", "fast"]).exit_code == 2
