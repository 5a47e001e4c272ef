# SPDX-License-Identifier: Apache-2.0
"""The ledger's arithmetic on figures that are given: sums, errors, causes, and what it says in words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from heaptide._errors import NothingToShow
from heaptide.analysis.ledger import Cause, Ledger, ledger, timeline
from heaptide.cli.main import cli
from heaptide.model import Frame, Profile, Series, Snapshot, StackTable
from heaptide.render import ledger as render
from tests.builders.capture import CaptureBuilder, Counter

MIB = 1 << 20
FIGURES = {
    "part_heap": 100 * MIB,
    "part_stacks": MIB,
    "part_code": 4 * MIB,
    "part_files": 0,
    "part_shared": 2 * MIB,
    "part_agent": 3 * MIB,
    "part_other": 0,
    "part_rss": 121 * MIB,
    "sampled_bytes": 80 * MIB,
    "rounding": 5 * MIB,
    "rounding_error": MIB,
    "absent_error": 0,
    "held_error": 2 * MIB,
}
BY_STACK = {"part_mapped": {20: 10 * MIB}, "absent": {16: 30 * MIB}}


def snapshot(number: int, *, in_use: int = 80 * MIB, kind: str = "time", **figures: int) -> Snapshot:
    return Snapshot(
        number=number,
        kind=kind,  # type: ignore[arg-type]
        realtime_ns=number * 10**9,
        offset_s=float(number),
        in_use_bytes=in_use,
        memory=FIGURES | figures,
        memory_by_stack=BY_STACK,
    )


def grown(shot: Snapshot, figures: Mapping[str, int]) -> Snapshot:
    return replace(shot, memory={**shot.memory, **figures})


class OneStack:
    """A source whose profiles hold one stack with all that is in use."""

    def __init__(self, snapshots: list[Snapshot], stack: int, sizes: list[int], mode: str) -> None:
        self.snapshots, self.stack, self.sizes, self.mode = snapshots, stack, sizes, mode

    def profile(self, index: int) -> Profile:
        frame = Frame(f"site_{self.stack}", "a.c", 1, "a.out", None)
        size = np.array([self.sizes[index]])
        return Profile(
            stacks=StackTable([frame], [(0,)]),
            values={"inuse_space": size, "inuse_objects": np.array([1])},
            mode=self.mode,  # type: ignore[arg-type]
            ids=np.array([self.stack]),
            variance={"inuse_space": np.array([float(4 * MIB) ** 2])} if self.mode == "sampled" else {},
            at=self.snapshots[index],
        )


def series(*snapshots: Snapshot, mode: str = "exact") -> Series:
    shots = list(snapshots)
    sizes = [shot.in_use_bytes for shot in shots]
    mapped = Series("x.tide", "exact", shots, OneStack(shots, 20, [16 * MIB] * len(shots), "exact"))
    return Series("x.tide", mode, shots, OneStack(shots, 16, sizes, mode), mappings=mapped)  # type: ignore[arg-type]


def amounts(found: Ledger) -> Mapping[str, float]:
    return {part.name: part.bytes / MIB for part in found.parts if part.bytes}


def test_parts_add_up() -> None:
    found = ledger(series(snapshot(1)))
    assert amounts(found) == {
        "in_use": 50,  # 80 less 30 that are not resident
        "rounding": 5,
        "allocator_free": 45,
        "mapped": 10,
        "stacks": 1,
        "code": 4,
        "shared": 2,
        "heaptide": 3,
    }
    assert found.rss_bytes == 121 * MIB and found.remainder_bytes == MIB
    assert found.absent_bytes == 30 * MIB and found.absent_known
    assert [(part.name, part.sites[0].bytes / MIB) for part in found.parts if part.sites] == [
        ("in_use", 50),
        ("mapped", 10),
    ]


def test_blocks_that_claim_more_than_their_mappings_hold() -> None:
    """Counters and pages are read a moment apart: no part goes below zero."""
    found = ledger(series(snapshot(1, in_use=400 * MIB)))
    assert amounts(found)["in_use"] == 100
    assert found.part("rounding").bytes == found.part("allocator_free").bytes == 0
    assert sum(part.bytes for part in found.parts) + found.remainder_bytes == found.rss_bytes


def test_errors_of_a_sampled_recording() -> None:
    found = ledger(series(snapshot(1, in_use=60 * MIB), mode="sampled"))
    scale = 60 / 80  # what the samples stand for, to what the counters say
    assert found.absent_bytes == pytest.approx(30 * MIB * scale)
    assert found.part("in_use").error_bytes == pytest.approx(1.96 * 4 * MIB)
    assert found.part("allocator_free").error_bytes == pytest.approx(1.96 * 2 * MIB * scale)


def test_an_exact_recording_takes_the_samples_as_they_are() -> None:
    found = ledger(series(snapshot(1, in_use=60 * MIB)))
    assert found.absent_bytes == 30 * MIB
    assert found.part("in_use").error_bytes == 0
    assert found.part("allocator_free").error_bytes == pytest.approx(1.96 * 2 * MIB)


def test_without_samples_what_is_absent_is_not_known() -> None:
    figures = {name: size for name, size in FIGURES.items() if name.startswith("part")}
    found = ledger(series(replace(snapshot(1), memory=figures, memory_by_stack={})))
    assert not found.absent_known and found.absent_bytes == 0
    assert amounts(found)["in_use"] == 80 and amounts(found)["allocator_free"] == 20
    assert json.loads(render.json_text(found))["not_resident_bytes"] is None


def test_the_last_reading_up_to_the_moment() -> None:
    unread = replace(snapshot(3), memory={"statm_resident": MIB})
    shots = series(snapshot(1), snapshot(2), unread, snapshot(4, kind="shutdown", part_heap=MIB))
    assert ledger(shots, "#3").read.number == 2
    assert ledger(shots, "#1").read.number == 1
    assert ledger(shots, "end").read.number == 2  # not what was left while it shut down
    assert [reading.snapshot.number for reading in timeline(shots)] == [1, 2, 4]


def test_the_end_is_before_the_final_fall() -> None:
    fallen = snapshot(41, part_heap=10 * MIB, part_rss=30 * MIB, in_use=MIB)
    shots = series(snapshot(1), snapshot(40), fallen)
    assert ledger(shots, "end").read.number == 40
    assert ledger(shots, "#41").read.number == 41


def test_no_reading_at_all() -> None:
    with pytest.raises(NothingToShow, match="no reading"):
        ledger(series(replace(snapshot(1), memory={})))


@pytest.mark.parametrize(
    ("figures", "in_use", "cause", "words"),
    [
        ({"part_heap": 140 * MIB, "part_rss": 161 * MIB}, 120 * MIB, "in_use", "a leak, or data that grows"),
        ({"part_heap": 140 * MIB, "part_rss": 161 * MIB}, 80 * MIB, "allocator_free", "fragmentation, not a leak"),
        ({"part_shared": 42 * MIB, "part_rss": 161 * MIB}, 80 * MIB, "elsewhere", "neither a leak"),
        (
            {"part_heap": 120 * MIB, "part_shared": 22 * MIB, "part_rss": 161 * MIB},
            80 * MIB,
            "several",
            "several parts",
        ),
        ({}, 80 * MIB, "nothing", "did not grow"),
    ],
)
def test_what_made_it_grow(figures: dict[str, int], in_use: int, cause: Cause, words: str) -> None:
    found = ledger(series(snapshot(1), snapshot(5), grown(snapshot(9, in_use=in_use), figures)), "#9")
    assert found.growth is not None
    assert found.growth.cause == cause
    assert found.growth.since.number == 5  # the first of the last half
    assert words in render.growth_sentence(found.growth)


def test_text_and_json() -> None:
    shots = series(snapshot(1), snapshot(2))
    found = ledger(shots)
    text = render.text(found, shots, shots.moment("end"))
    for line in ("held free by the allocator", "site_16", "not explained", "30.0 MiB in use and not resident"):
        assert line in text
    document = json.loads(render.json_text(found))
    assert document["schema"] == 1
    assert sum(part["bytes"] for part in document["parts"]) + document["remainder_bytes"] == document["rss_bytes"]
    assert {"name", "bytes", "error_bytes"} <= document["parts"][0].keys()


def test_over_time() -> None:
    shots = series(*(snapshot(number) for number in range(1, 102)))
    readings = timeline(shots)
    text = render.timeline_text(readings, shots, limit=5)
    lines = [line.split()[0] for line in text.splitlines()[3:-1]]
    assert lines == ["#1", "#26", "#51", "#76", "#101"]
    assert text.endswith("(96 readings between them are left out)\n")
    assert "left out" not in render.timeline_text(readings[:5], shots, limit=5)
    assert len(render.timeline_text(readings[:1], shots, limit=5).splitlines()) == 4
    document = json.loads(render.timeline_json(readings))
    assert len(document["readings"]) == 101
    first = document["readings"][0]
    assert first["parts"]["in_use"] == 50 * MIB and first["rss_bytes"] == 121 * MIB


def test_on_the_command_line(tmp_path: Path) -> None:
    built = CaptureBuilder(mode="exact").process(exe="/bin/prog").stacks([(16, [0x10])])
    built.snapshot("time", {16: Counter(4 * MIB, 1)}).memory({501: 6 * MIB, 504: MIB, 510: 8 * MIB})
    path = tmp_path / "x.tide"
    path.write_bytes(built.snapshot("exit", {16: Counter(4 * MIB, 1)}).end().data())
    done = CliRunner().invoke(cli, ["ledger", str(path)])
    assert done.exit_code == 0, done.output
    for line in (r"blocks in use +4.00 MiB", r"held free by the allocator +2.00 MiB", r"not explained +1.00 MiB"):
        assert re.search(line, done.output), done.output
    done = CliRunner().invoke(cli, ["ledger", str(path), "--over-time"])
    assert re.search(r"#1 \S+ +8.00 MiB +4.00 MiB", done.output), done.output
    document = json.loads(CliRunner().invoke(cli, ["ledger", str(path), "--over-time", "--json"]).stdout)
    assert document["readings"][0]["parts"]["allocator_free"] == 2 * MIB
    bare = CaptureBuilder().process().stacks([(16, [0x10])]).snapshot("time", {16: Counter(1, 1)})
    path.write_bytes(bare.snapshot("exit", {16: Counter(1, 1)}).end().data())
    done = CliRunner().invoke(cli, ["ledger", str(path), "--json"])
    assert json.loads(done.stdout)["rss_bytes"] is None and isinstance(done.exception, NothingToShow)
