# SPDX-License-Identifier: Apache-2.0
"""The page's numbers are those of `heaptide top`: over any range, of any value, by any granularity, in any mode."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from heaptide import build
from heaptide.analysis.places import Granularity
from heaptide.analysis.report import report
from heaptide.capture import format as fmt
from heaptide.model import VALUES, Series
from heaptide.render.page.make import document
from tests.builders.capture import CaptureBuilder, Counter
from tests.builders.page_reader import Page, profile_of, top_table

SNAPSHOTS = 9
GRANULARITIES: tuple[Granularity, ...] = ("function", "line", "file", "module", "address")


def no_lines(_: str) -> str:
    return "there is no source"


def a_page(series: Series, **options: int) -> Page:
    return Page(document(report(series, **options), no_lines).data)


def counters(draw: random.Random, mode: str, ids: list[int], before: dict[int, Counter]) -> dict[int, Counter]:
    """Some stacks go on allocating and freeing; one is negative now and then, as a lost record leaves it."""
    out = {}
    for stack in draw.sample(ids, draw.randrange(1, len(ids))):
        old = before.get(stack, Counter())
        came = draw.randrange(1, 50) * (fmt.OBJECT_SCALE + 77 if mode == "sampled" else 1)
        went = draw.randrange(came)
        new = Counter(
            old.alloc_bytes + came * 64,
            old.alloc_objects + came,
            old.free_bytes + went * 64 + (5000 if stack == ids[-1] else 0),
            old.free_objects + went,
        )
        if mode == "sampled":
            new.alloc_variance, new.free_variance = old.alloc_variance + 1000.0 * came, old.free_variance + 900.0 * went
            new.alloc_samples, new.free_samples = old.alloc_samples + came, old.free_samples + went
        out[stack] = before[stack] = new
    return out


def a_capture(path: Path, mode: str, seed: int, snapshots: int = SNAPSHOTS) -> Series:
    """Forty stacks, some of them with the same frames, some of mappings, over a few snapshots."""
    draw = random.Random(seed)
    capture = CaptureBuilder(mode=mode).process(exe="/bin/no-such-program")
    capture.module(1, 0x400000, 0x500000, bias=0x400000, path="/bin/no-such-program", flags=1)
    capture.module(2, 0x7F0000, 0x800000, bias=0x7F0000, path="/lib/libc.so.6")
    places = [0x400100 + 16 * i for i in range(12)]
    stacks = []
    for stack in range(16, 56):
        frames = [0x7F0040] * draw.randrange(3) + [draw.choice(places) for _ in range(draw.randrange(1, 7))]
        stacks.append((stack, frames, fmt.STACK_MMAP if stack >= 48 else 0))
    capture.stacks(stacks)
    before: dict[int, Counter] = {}
    for _ in range(snapshots):
        capture.snapshot("time", counters(draw, mode, list(range(16, 56)), before))
    path.write_bytes(capture.end().data())
    return build.load(path)


def same(
    one: dict[tuple[object, ...], tuple[float, float]], other: dict[tuple[object, ...], tuple[float, float]]
) -> None:
    assert one.keys() == other.keys()
    assert list(one.values()) == [pytest.approx(other[key], rel=1e-12, abs=1e-6) for key in one]


@pytest.mark.parametrize("by", GRANULARITIES)
@pytest.mark.parametrize("mode", ["exact", "sampled"])
def test_every_range_of_every_value_is_that_of_top(tmp_path: Path, mode: str, by: Granularity) -> None:
    series = a_capture(tmp_path / "x.tide", mode, seed=11)
    page = a_page(series)
    assert page.moments["number"] == [shot.number for shot in series.snapshots]
    assert series.mappings is not None
    for kind, one in (("heap", series), ("mmap", series.mappings)):
        for value in VALUES:
            for a, b in ((None, 1), (None, 9), (1, 9), (3, 4)):
                begin = -1 if a is None else page.index(a)
                same(page.table(kind, value, begin, page.index(b), by), top_table(profile_of(one, a, b), value, by))


@pytest.mark.parametrize("mode", ["exact", "sampled"])
def test_bytes_are_whole_numbers_and_equal_to_the_byte(tmp_path: Path, mode: str) -> None:
    series = a_capture(tmp_path / "x.tide", mode, seed=12)
    page = a_page(series)
    for value in ("inuse_space", "alloc_space"):
        assert page.columns[f"heap.{value}"].dtype == np.int64
        for index, shot in enumerate(series.snapshots):
            assert page.values("heap", value, -1, index).sum() == series.at(shot).total(value)
    assert page.moments["in_use"] == [shot.in_use_bytes for shot in series.snapshots]
    assert page.moments["allocated"] == [shot.allocated_bytes for shot in series.snapshots]


def test_errors_are_those_of_the_totals(tmp_path: Path) -> None:
    series = a_capture(tmp_path / "x.tide", "sampled", seed=13)
    page = a_page(series)
    errors = [series.at(shot).error("inuse_space") for shot in series.snapshots]
    assert page.moments["in_use_error"] == pytest.approx(errors)
    variance = np.array(page.header["errors"]["alloc_variance"])
    assert 1.96 * np.sqrt(variance) == pytest.approx(
        [series.at(shot).error("alloc_space") for shot in series.snapshots]
    )
    assert a_page(a_capture(tmp_path / "y.tide", "exact", seed=13)).header["errors"] is None


def test_fewer_moments_leave_the_kept_ones_as_they_are(tmp_path: Path) -> None:
    series = a_capture(tmp_path / "x.tide", "exact", seed=14, snapshots=60)
    page = a_page(series, limit=30)
    assert 25 < len(page.moments["number"]) <= 30
    assert page.moments["total_snapshots"] == 60
    for word in ("start", "end", "exit", "peak"):
        assert series.moment(word).number in page.moments["number"]
    assert page.moments["number"][page.moments["peak"]] == series.moment("peak").number
    assert page.moments["number"][page.moments["end"]] == series.moment("end").number
    numbers = page.moments["number"]
    for a, b in ((0, len(numbers) - 1), (3, 17), (5, 6)):
        expected = top_table(profile_of(series, numbers[a], numbers[b]), "inuse_space", "line")
        same(page.table("heap", "inuse_space", a, b, "line"), expected)


def test_thinning_twice_is_thinning_once(tmp_path: Path) -> None:
    found = report(a_capture(tmp_path / "x.tide", "sampled", seed=15, snapshots=60), limit=50)
    thin = found.thinned(30)
    assert 25 < len(thin.shots) <= 30
    page, whole = (Page(document(one, no_lines).data) for one in (thin, found))
    for place, number in enumerate(page.moments["number"]):
        there = whole.index(number)
        for value in VALUES:
            now, then = (one.values("heap", value, -1, at) for one, at in ((page, place), (whole, there)))
            assert now.tolist() == then.tolist()
        assert page.header["errors"]["free_variance"][place] == whole.header["errors"]["free_variance"][there]
        sites = [one.header["top_sites"][0]["bytes"][at] for one, at in ((page, place), (whole, there))]
        assert sites[0] == sites[1]


def test_top_sites_add_up_to_what_is_in_use(tmp_path: Path) -> None:
    page = a_page(a_capture(tmp_path / "x.tide", "exact", seed=16))
    sums = np.sum([site["bytes"] for site in page.header["top_sites"]], axis=0)
    assert sums.tolist() == page.moments["in_use"]
    assert page.header["top_sites"][-1]["label"] == "everything else"
