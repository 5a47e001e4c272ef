# SPDX-License-Identifier: Apache-2.0
"""Survivors by birth, from captures written for the purpose."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from click.testing import CliRunner

from heaptide._errors import NothingToShow, UsageError
from heaptide.build import load
from heaptide.capture import format as fmt
from heaptide.capture.reader import read
from heaptide.cli.main import cli
from heaptide.model import Series
from tests.builders.capture import BOOTTIME, CaptureBuilder, Counter

Row = tuple[int, int, int, float, float]
ROWS: list[Row] = [(16, 1, 1000, 100.0, 10.0), (16, 3, 500, 50.0, 5.0), (17, 2, 70, 9.0, 1.5), (17, 4, 30, 7.0, 0.5)]
"""Stack, birth, bytes, variance, objects."""


def ages(snapshot: int, rows: list[Row], *, count: int | None = None, left_out: int = 0) -> bytes:
    head = fmt.AGES.pack(
        snapshot=snapshot,
        count=len(rows) if count is None else count,
        step=1,
        boottime_ns=BOOTTIME,
        left_out_bytes=left_out,
    )
    return head + b"".join(
        fmt.AGE.pack(id=stack, born=born, bytes=size, variance=variance, objects=objects)
        for stack, born, size, variance, objects in rows
    )


def builder() -> CaptureBuilder:
    return CaptureBuilder(mode="exact").process(exe="/bin/prog").stacks([(16, [0x10]), (17, [0x20])])


def capture(*records: bytes, numbers: int = 4) -> bytes:
    built = builder()
    for _ in range(numbers):
        built.snapshot("time", {16: Counter(2000, 20), 17: Counter(100, 2)})
    for record in records:
        built.raw("AGES", record)
    return built.end().data()


def series(tmp_path: Path, *records: bytes, numbers: int = 4) -> Series:
    path = tmp_path / "x.tide"
    path.write_bytes(capture(*records, numbers=numbers))
    return load(path)


def test_rows_are_read(tmp_path: Path) -> None:
    found = series(tmp_path, ages(4, ROWS, left_out=8)).survivors()
    assert found.at_number == 4 and found.left_out_bytes == 8
    assert found.ids.tolist() == [16, 16, 17, 17] and found.born.tolist() == [1, 3, 2, 4]
    assert found.bytes.tolist() == [1000, 500, 70, 30]
    assert (found.born_s[1:] != found.born_s[:-1]).all()
    ids, size, objects, variance = found.by_stack()
    assert ids.tolist() == [16, 17] and size.tolist() == [1500, 100]
    assert objects.tolist() == [15, 2] and variance.tolist() == [150, 16]


def test_born_between_two_moments(tmp_path: Path) -> None:
    shots = series(tmp_path, ages(4, ROWS))
    profile = shots.born("#1", "#3")
    assert profile.mode == "sampled"
    assert profile.values["inuse_space"].tolist() == [500, 70]  # after #1, and at #3 already there
    assert profile.values["inuse_objects"].tolist() == [5, 1.5]
    assert profile.error("inuse_space") == pytest.approx(1.96 * (50 + 9) ** 0.5)
    assert shots.born("start", "end").total("inuse_space") == 1600
    assert shots.born("#3", "#3").total("inuse_space") == 0


def test_the_last_reading_up_to_a_moment(tmp_path: Path) -> None:
    shots = series(tmp_path, ages(2, ROWS[:1]), ages(4, ROWS))
    assert len(shots.survivors("#3").ids) == 1
    assert len(shots.survivors("#4").ids) == 4
    with pytest.raises(NothingToShow, match="does not tell"):
        shots.survivors("#1")
    assert shots.mappings is not None
    with pytest.raises(NothingToShow):
        shots.mappings.survivors()


def test_births_in_snapshots_that_are_gone(tmp_path: Path) -> None:
    """A past that was thinned lacks numbers: a birth is then told by the next that is left."""
    built = builder()
    for number in (1, 5, 9):
        built.snapshot("time", {16: Counter(2000, 20)}, number=number, flags=fmt.SNAPSHOT_GAP)
    path = tmp_path / "thin.tide"
    path.write_bytes(built.raw("AGES", ages(7, [(16, 3, 64, 1.0, 1.0), (16, 8, 32, 1.0, 1.0)])).end().data())
    shots = load(path)
    found = shots.survivors("#9")
    assert found.at_number == 9
    assert found.born_s.tolist() == [shots.snapshots[1].offset_s, shots.snapshots[2].offset_s]


@pytest.mark.parametrize(
    "payload",
    [
        ages(4, ROWS)[:-1],
        ages(4, ROWS, count=2**32 - 1),
        ages(4, [(16, 1, 1, float("nan"), 1.0)]),
        ages(4, [(16, 1, 1, -1.0, 1.0)]),
        b"\0" * 8,
    ],
)
def test_damage_is_said_and_stepped_over(payload: bytes) -> None:
    found = read(capture(payload))
    assert len(found.damage) == 1
    assert not any(type(record).__name__ == "AgesRecord" for record in found.records)


def test_as_the_format_says() -> None:
    assert struct.calcsize("<IIQff") == fmt.AGE.size and fmt.AGES.size == 32


@pytest.mark.parametrize(
    "words",
    [["tree"], ["tree", "--by", "address"], ["peek", "."], ["traces"], ["graph", "-o", "-"]],
    ids=lambda words: " ".join(words),
)
def test_every_view_tells_survivors(tmp_path: Path, words: list[str]) -> None:
    """Of stack 16 what was born at #3, of stack 17 what was at #2."""
    series(tmp_path, ages(4, ROWS))
    picture = tmp_path / "x.dot"
    command = [str(picture) if word == "-" else word for word in words]
    done = CliRunner().invoke(cli, [*command, str(tmp_path / "x.tide"), "--born", "#1..#3"])
    assert done.exit_code == 0, done.output
    text = picture.read_text() if picture.exists() else done.output
    assert "born after #1" in text and "total 570 B" in text
    assert "500 B" in text and "70 B" in text


def test_nothing_left_says_of_what(tmp_path: Path) -> None:
    series(tmp_path, ages(4, ROWS))
    done = CliRunner().invoke(cli, ["tree", str(tmp_path / "x.tide"), "--born", "start..#1", "--at", "#4"])
    assert done.exit_code == 0 and "born until #1" in done.output
    done = CliRunner().invoke(cli, ["tree", str(tmp_path / "x.tide"), "--born", "#4..#4"])
    assert isinstance(done.exception, NothingToShow)
    assert str(done.exception).startswith("nothing is left of what was born after #4")


def test_on_the_command_line(tmp_path: Path) -> None:
    series(tmp_path, ages(4, ROWS))
    path = str(tmp_path / "x.tide")
    done = CliRunner().invoke(cli, ["top", path, "--born", "#1..#3"])
    assert done.exit_code == 0, done.output
    assert "born after #1" in done.output and "total 570 B +/-" in done.output
    for words, wrong in ((["--born", "#1"], "A..B"), (["--born", ".."], "A..B")):
        done = CliRunner().invoke(cli, ["traces", path, *words])
        assert done.exit_code == 2 and wrong in done.output
    for verb in (["top"], ["tree"], ["traces"], ["peek", "."], ["list", "."], ["graph", "-o", "x.dot"]):
        for more in (["--base", "#1"], ["--mmap"], ["--value", "alloc_space"]):
            done = CliRunner().invoke(cli, [*verb, path, "--born", "#1..#3", *more])
            assert isinstance(done.exception, UsageError)
