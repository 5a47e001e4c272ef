# SPDX-License-Identifier: Apache-2.0
"""Blocks and mappings of one capture: which stack counts what, and that no number of one is ever in the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from heaptide import build
from heaptide._errors import NothingToShow, UsageError
from heaptide.capture import format as fmt
from heaptide.capture import read
from heaptide.capture.counters import CounterLog
from heaptide.capture.kinds import mapping_ids, split
from heaptide.capture.records import SnapshotRecord
from heaptide.cli import inputs
from heaptide.model import Series
from tests.builders.capture import CaptureBuilder, Counter

BLOCKS, MAPPED, LATER = 16, 17, 18


def a_capture(mode: str) -> CaptureBuilder:
    """A stack of blocks, one of mappings, and one of mappings that is first met after a snapshot."""
    scale = fmt.OBJECT_SCALE if mode == "sampled" else 1
    made = CaptureBuilder(mode).process().module(1, 0x400000, 0x500000, flags=fmt.MODULE_MAIN)
    made.stacks([(BLOCKS, [0x401111]), (MAPPED, [0x402222], fmt.STACK_MMAP)])
    made.snapshot("start", {BLOCKS: Counter(100, scale, alloc_variance=25.0), MAPPED: Counter(4096, scale)})
    made.stacks([(LATER, [0x403333], fmt.STACK_MMAP)])
    made.snapshot("time", {MAPPED: Counter(4096, scale, 4096, scale), LATER: Counter(8192, 2 * scale)})
    return made.snapshot("exit", {BLOCKS: Counter(300, 3 * scale, 100, scale, 50.0, 25.0)}).end()


@pytest.fixture(params=["exact", "sampled"])
def series(request: pytest.FixtureRequest, tmp_path: Path) -> Series:
    path = tmp_path / "x.tide"
    path.write_bytes(a_capture(request.param).data())
    return build.load(path)


def in_use(series: Series | None, number: int) -> dict[int, tuple[float, float]]:
    """Stack id -> bytes and objects in use."""
    assert series is not None
    profile = series.at(number)
    profile.check()
    assert profile.ids is not None
    pairs = zip(profile.values["inuse_space"].tolist(), profile.values["inuse_objects"].tolist(), strict=True)
    return dict(zip(profile.ids.tolist(), pairs, strict=True))


def test_each_account_at_each_moment(series: Series) -> None:
    assert [in_use(series, number) for number in (1, 2, 3)] == [{16: (100, 1)}, {16: (100, 1)}, {16: (200, 2)}]
    mapped = [in_use(series.mappings, number) for number in (1, 2, 3)]
    assert mapped == [{17: (4096, 1)}, {17: (0, 0), 18: (8192, 2)}, {17: (0, 0), 18: (8192, 2)}]


def test_both_tell_of_the_same_moments(series: Series) -> None:
    assert series.mappings is not None and series.mappings.mappings is None
    blocks = [(s.number, s.kind, s.offset_s, s.in_use_bytes) for s in series.snapshots]
    mapped = [(s.number, s.kind, s.offset_s, s.in_use_bytes) for s in series.mappings.snapshots]
    assert [moment[:3] for moment in blocks] == [moment[:3] for moment in mapped]
    assert [moment[3] for moment in blocks] == [100, 100, 200]
    assert [moment[3] for moment in mapped] == [4096, 8192, 8192]


def test_mappings_have_no_error_whatever_the_mode(series: Series) -> None:
    assert series.mappings is not None and series.mappings.mode == "exact"
    assert series.mappings.at("exit").error("inuse_space") == 0
    assert (series.at("exit").error("inuse_space") > 0) == (series.mode == "sampled")


def test_a_difference_of_mappings(series: Series) -> None:
    assert series.mappings is not None
    change = series.mappings.at("exit") - series.mappings.at("start")
    assert change.total("inuse_space") == 4096
    assert sorted(change.values["inuse_space"].tolist()) == [-4096, 8192]


def test_records_are_split_by_the_flag_of_their_stack() -> None:
    records = read(a_capture("exact").data()).records
    assert mapping_ids(records).tolist() == [MAPPED, LATER]
    assert mapping_ids([]).tolist() == []
    whole = CounterLog([record for record in records if isinstance(record, SnapshotRecord)])
    blocks, mapped = split(whole, mapping_ids(records))
    assert blocks.ids.tolist() == [BLOCKS] and mapped.ids.tolist() == [MAPPED, LATER]
    assert [log.state(index).ids.tolist() for log in (blocks, mapped) for index in range(3)] == [
        *([[BLOCKS]] * 3),
        [MAPPED],
        *([[MAPPED, LATER]] * 2),
    ]
    assert blocks.column("alloc_bytes").tolist() == [100, 300]
    assert mapped.column("alloc_bytes").tolist() == [4096, 4096, 8192]
    assert split(blocks, mapping_ids([]))[0] is blocks, "what needs no cut is not copied"


def test_a_flag_that_was_lost_with_its_record_is_said(tmp_path: Path) -> None:
    """Its counters are taken for blocks then: a number may be wrong, and never without a warning."""
    made = a_capture("exact")
    del made.parts[5]  # the second STACKS record
    (tmp_path / "x.tide").write_bytes(made.data())
    series = build.load(tmp_path / "x.tide")
    assert series.damaged and any("the records of 1 stacks are missing" in warning for warning in series.warnings)


def test_what_the_command_line_chooses(tmp_path: Path) -> None:
    path = tmp_path / "x.tide"
    path.write_bytes(a_capture("exact").data())
    assert inputs.choose(str(path), "exit", None, mapped=True).profile.total("inuse_space") == 8192
    assert inputs.choose(str(path), "peak", None, mapped=True).at.number == 2, "the mappings' own peak"
    assert inputs.choose(str(path), "peak", None).at.number == 3
    assert inputs.choose(str(path), "exit", "start", mapped=True).profile.total("inuse_space") == 4096
    assert inputs.choose(str(path), "exit", None).profile.total("inuse_space") == 200
    with pytest.raises(UsageError):
        inputs.choose(str(path), "whenever", None, mapped=True)


def test_a_foreign_file_knows_no_mapping(tmp_path: Path) -> None:
    from tests.unit.test_gperftools import FILE

    (tmp_path / "x.0001.heap").write_bytes(FILE)
    with pytest.raises(NothingToShow, match="does not say what was mapped"):
        inputs.choose(str(tmp_path / "x.0001.heap"), "end", None, mapped=True)
