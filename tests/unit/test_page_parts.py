# SPDX-License-Identifier: Apache-2.0
"""What goes into a page beside its call paths: kept moments, births, other profilers' moments, odd recordings."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest

from heaptide import build
from heaptide._errors import NothingToShow
from heaptide.analysis.births import births
from heaptide.analysis.kept_moments import kept_moments, told_moments
from heaptide.analysis.report import report
from heaptide.analysis.stack_changes import stack_changes_of
from heaptide.cli.progress import Progress
from heaptide.model import Profile, Series, Snapshot
from heaptide.render.page.make import document
from tests.builders.capture import CaptureBuilder, Counter
from tests.builders.page_reader import Page, top_table
from tests.builders.profiles import a_profile
from tests.unit.test_ages import ROWS, ages, series

NS = 10**9


def no_lines(_: str) -> str:
    return "there is no source"


# ---- Moments ---------------------------------------------------------------------------------------------------------


def shots(times: list[float], use: list[int] | None = None) -> list[Snapshot]:
    sizes = use or [100] * len(times)
    return [
        Snapshot(number, "time", round(at * NS), at, size)
        for number, (at, size) in enumerate(zip(times, sizes, strict=True), start=1)
    ]


def a_recording(found: list[Snapshot]) -> Series:
    class Nothing:
        def profile(self, index: int) -> Profile:
            raise AssertionError

    return Series("x.tide", "exact", found, Nothing())


def test_short_recordings_are_kept_whole() -> None:
    assert kept_moments(shots([1, 2, 3]), {0, 2}, 3).tolist() == [0, 1, 2]


def test_moments_are_even_in_time_and_not_in_number() -> None:
    """Half of the snapshots lie in the first tenth of the time, as a recording has them that began just now."""
    times = [*np.linspace(0, 10, 100).tolist(), *np.linspace(10.9, 100, 100).tolist()]
    kept = kept_moments(shots(times), {0, 199}, 42)
    assert {0, 199} <= set(kept.tolist()) and 30 < len(kept) <= 42
    gaps = np.diff(np.array(times)[kept])
    assert gaps.max() < 6


def test_what_is_spoken_of_is_kept_though_it_is_more_than_the_limit() -> None:
    kept = kept_moments(shots([float(t) for t in range(100)]), set(range(0, 100, 4)), 10)
    assert kept.tolist() == list(range(0, 100, 4))


def test_told_moments() -> None:
    use = [10, 20, 90, 30, 40, 50, 60, 70, 60, 60]
    found = a_recording(shots([float(t) for t in range(10)], use))
    told = told_moments(found, [5.0], [found.snapshots[7]])
    assert told == {0, 2, 4, 5, 7, 9}
    with pytest.raises(NothingToShow):
        told_moments(a_recording([]))


# ---- Births ----------------------------------------------------------------------------------------------------------


def test_births_by_bin_and_function(tmp_path: Path) -> None:
    found = births(series(tmp_path, ages(4, ROWS)))
    assert found is not None
    assert found.bytes.sum() == found.by_place.sum() == sum(row[2] for row in ROWS)
    assert found.bytes[[5, 11, 17, 23]].tolist() == [1000, 70, 500, 30]  # snapshots at 1, 2, 3 and 4 s of 4
    assert found.error[[5, 11, 17, 23]] == pytest.approx(1.96 * np.sqrt([100, 9, 50, 7]))
    assert found.places[-1] is None and not found.by_place[-1].any()
    assert found.read.number == 4


def test_survivors_in_the_document(tmp_path: Path) -> None:
    header = Page(document(report(series(tmp_path, ages(4, ROWS))), no_lines).data).header
    survivors = header["survivors"]
    assert survivors["at_s"] == 4 and len(survivors["births"]) == 24
    told = {birth["label"]: (birth["bytes"], birth["error"]) for birth in survivors["births"] if birth["bytes"]}
    assert told["+00:00.8 to +00:01.0"] == (1000, 20) and told["+00:03.8 to +00:04.0"] == (30, 5)
    sums = np.sum([site["bytes"] for site in survivors["sites"]], axis=0)
    assert sums.tolist() == [birth["bytes"] for birth in survivors["births"]]
    assert survivors["sites"][-1]["label"] == "everything else"


def test_no_births(tmp_path: Path) -> None:
    assert births(series(tmp_path)) is None
    assert births(series(tmp_path, ages(4, []))) is None


# ---- Other profilers -------------------------------------------------------------------------------------------------


def test_profiles_of_several_moments_match_by_their_frames() -> None:
    first = a_profile({"malloc@allocator work main": 100, "old main": 50})
    second = a_profile({"new main": 70, "malloc@allocator work main": 300})
    found = stack_changes_of([first, second])
    assert found.values == ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
    assert len(found.stacks) == 3
    assert found.changes.totals("inuse_space").tolist() == [150, 370]
    names = [found.stacks.frames_of(row)[-2].function for row in range(3)]
    now = found.changes.matrix("inuse_space", 0, 2).sum(axis=0).tolist()
    assert dict(zip(names, now, strict=True)) == {"work": 300, "old": 0, "new": 70}


def test_values_that_a_file_lacks_are_said_to_be_lacking() -> None:
    whole = a_profile({"work main": 100})
    only = Profile(whole.stacks, {"inuse_space": whole.values["inuse_space"]})
    found = stack_changes_of([only])
    assert found.values == ("inuse_space",)
    assert found.changes.totals("inuse_space").tolist() == [100]


def test_estimates_of_objects_keep_their_fractions() -> None:
    whole = a_profile({"work main": 100})
    values = {**whole.values, "inuse_objects": np.array([2.5]), "alloc_objects": np.array([7.25])}
    changes = stack_changes_of([Profile(whole.stacks, values)]).changes
    assert changes.totals("inuse_objects")[0] / changes.object_scale == 2.5
    assert changes.totals("alloc_objects")[0] / changes.object_scale == 7.25


def test_a_difference_keeps_its_signs() -> None:
    one, other = a_profile({"a main": 100}), a_profile({"a main": 300, "b main": 5})
    changes = stack_changes_of([one - other]).changes
    assert changes.totals("inuse_space").tolist() == [-205]


# ---- Odd recordings --------------------------------------------------------------------------------------------------


def test_a_program_that_allocated_nothing(tmp_path: Path) -> None:
    capture = CaptureBuilder().process()
    for _ in range(5):
        capture.snapshot("time", {})
    path = tmp_path / "x.tide"
    path.write_bytes(capture.end().data())
    page = Page(document(report(build.load(path)), no_lines).data)
    assert page.moments["in_use"] == [0] * 5 and page.header["top_sites"] == []
    assert "allocated nothing" in page.header["headline"]["detail"]


def test_stacks_without_frames_and_of_runtime_frames_alone(tmp_path: Path) -> None:
    """Ids whose record was lost, and a stack of which nothing is the user's own: they stand at their leaf."""
    capture = CaptureBuilder().process(exe="/bin/none")
    capture.module(1, 0x7F0000, 0x800000, bias=0x7F0000, path="/lib/x86_64-linux-gnu/libc.so.6")
    capture.stacks([(16, [0x7F0100, 0x7F0200]), (17, [])])
    capture.snapshot("time", {16: Counter(64, 1), 17: Counter(32, 1), 2: Counter(16, 1), 99: Counter(8, 1)})
    path = tmp_path / "x.tide"
    path.write_bytes(capture.end().data())
    found = build.load(path)
    page = Page(document(report(found), no_lines).data)
    assert page.table("heap", "inuse_space", -1, 0, "address") == top_table(found.at("end"), "inuse_space", "address")
    assert sum(flat for flat, _ in page.table("heap", "inuse_space", -1, 0, "address").values()) == 120


# ---- Progress --------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """Says when something was written."""

    def __init__(self, there: bool = True) -> None:
        super().__init__()
        self.there, self.wrote = there, threading.Event()

    def isatty(self) -> bool:
        return self.there

    def write(self, text: str) -> int:
        self.wrote.set()
        return super().write(text)


def test_progress_is_drawn_on_a_terminal_and_taken_away() -> None:
    terminal = Terminal()
    with Progress(terminal, patience=0) as told:
        told("judging", 0.5)
        assert terminal.wrote.wait(60)
    text = terminal.getvalue()
    assert " 50% judging" in text and text.endswith("\r\x1b[K")


def test_no_progress_where_nobody_looks_or_nothing_takes_long() -> None:
    for terminal, patience in ((Terminal(there=False), 0.0), (Terminal(), 3600.0)):
        with Progress(terminal, patience=patience) as told:
            told("judging", 0.5)
        assert terminal.getvalue() == ""
