# SPDX-License-Identifier: Apache-2.0
"""A capture keeps to its budget: the past is thinned, and nothing else changes. Books of native/tests/fake_agent.c."""

from __future__ import annotations

import resource
import signal
import subprocess
import time
from pathlib import Path
from types import ModuleType

import pytest

from heaptide import build as captures
from heaptide.capture import Recording, read
from heaptide.capture.records import NoteRecord, SnapshotRecord, StacksRecord
from tests.builders.fake_agent import MAILBOXES, Server, build, load, snapshots, totals, truth

KILOBYTES = 64
FOLDED = 15
"""HT_ID_FOLDED of books.h."""
EVERY, BUDGET, OUTPUT = "--every=10ms", f"--budget={KILOBYTES}KiB", "--output=x.tide"


@pytest.fixture(scope="module")
def fake(native_build: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(native_build, tmp_path_factory.mktemp("fake"))


def _thinned(recording: Recording) -> int:
    return sum(snapshot.thinned for snapshot in snapshots(recording))


def _assert_sound(recording: Recording) -> SnapshotRecord:
    """Each snapshot is a state in which the program was, none is missing unsaid, and the sums are those of the rows."""
    assert not recording.damage
    number = 0
    for snapshot, state in totals(recording):
        alloc_bytes, alloc_objects, free_bytes, free_objects = state.T
        assert (free_bytes <= alloc_bytes).all() and (free_objects <= alloc_objects).all(), snapshot.number
        assert int((alloc_objects - free_objects).sum()) <= MAILBOXES + 2
        assert snapshot.number == number + 1 + snapshot.thinned
        assert snapshot.sums is not None
        assert snapshot.sums.in_use_bytes == (int((alloc_bytes - free_bytes).sum()), 0)
        assert snapshot.sums.alloc_bytes == (int(alloc_bytes.sum()), 0)
        assert snapshot.sums.low_bytes <= snapshot.sums.in_use_bytes[0] <= snapshot.sums.high_bytes
        number = snapshot.number
    return snapshots(recording)[-1]


def test_many_rewritings(recorder: Path, fake: Path, tmp_path: Path) -> None:
    with Server(recorder, tmp_path, EVERY, BUDGET, OUTPUT) as server:
        assert server.start(fake, "ms=3000", "truth=truth").wait() == 7
        (summary,) = server.finish()
    capture = tmp_path / "x.tide"
    recording = load(capture)
    last = _assert_sound(recording)
    assert capture.stat().st_size == summary["file_bytes"] <= KILOBYTES << 10
    assert last.kind == "exit" and last.number == summary["snapshots"] and _thinned(recording) > 0
    *_, (_, state) = totals(recording)
    assert (state.sum(axis=0) == truth(tmp_path / "truth").sum(axis=0)).all(), "to the byte"
    series = captures.load(capture)
    assert series.complete and not series.damaged and not any("missing" in text for text in series.warnings)
    assert series.snapshots[0].kind == "start"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["truth", "x.tide"]


def test_without_a_limit_nothing_is_thinned(recorder: Path, fake: Path, tmp_path: Path) -> None:
    with Server(recorder, tmp_path, EVERY, "--budget=0", OUTPUT) as server:
        program = server.start(fake, "ms=60000", "end=stay")
        _wait_for(tmp_path / "x.tide", KILOBYTES << 10)
        program.kill()
        program.wait()
        server.finish()
    assert _thinned(load(tmp_path / "x.tide")) == 0


def test_stacks_that_do_not_fit_are_folded(recorder: Path, fake: Path, tmp_path: Path) -> None:
    """3000 stacks of 40 frames, and room for a third of them: the lightest are one, and every sum is right."""
    with Server(recorder, tmp_path, "--every=20ms", "--budget=256KiB", OUTPUT) as server:
        assert server.start(fake, "ms=4000", "stacks=3000", "depth=40", "truth=truth").wait() == 7
        server.finish()
    recording = load(tmp_path / "x.tide")
    *_, (last, state) = totals(recording)
    assert (state.sum(axis=0) == truth(tmp_path / "truth").sum(axis=0)).all() and last.kind == "exit"
    assert state[FOLDED, 0] > 0 and (tmp_path / "x.tide").stat().st_size <= 256 << 10
    told = {int(stack) for record in recording.records if isinstance(record, StacksRecord) for stack in record.ids}
    counted = {int(stack) for snapshot in snapshots(recording) for stack in snapshot.ids}
    assert counted - {FOLDED} <= told and len(told) < 2000
    notes = [note.text for note in recording.records if isinstance(note, NoteRecord)]
    assert any("shown as one" in note for note in notes)
    series = captures.load(tmp_path / "x.tide")
    assert not series.damaged and not any("missing" in text for text in series.warnings)


def test_a_capture_that_was_moved_is_left_alone(recorder: Path, fake: Path, tmp_path: Path) -> None:
    """What has its name now is somebody else's. The recording goes on with gaps, and says so."""
    moved, capture = tmp_path / "moved.tide", tmp_path / "x.tide"
    with Server(recorder, tmp_path, EVERY, BUDGET, OUTPUT) as server:
        program = server.start(fake, "ms=2500", "truth=truth")
        _wait_for(capture)
        capture.rename(moved)
        capture.write_bytes(b"precious")
        assert program.wait() == 7
        server.finish()
    assert capture.read_bytes() == b"precious"
    recording = load(moved)
    _assert_sound(recording)
    *_, (last, state) = totals(recording)
    assert last.kind == "exit" and (state.sum(axis=0) == truth(tmp_path / "truth").sum(axis=0)).all()
    assert moved.stat().st_size <= KILOBYTES << 10
    assert any(isinstance(note, NoteRecord) and "budget" in note.text for note in recording.records)


def test_a_disk_that_is_full_when_it_is_rewritten(recorder: Path, fake: Path, tmp_path: Path) -> None:
    """The old file stays, whole, until there is room."""
    capture = tmp_path / "x.tide"
    with Server(recorder, tmp_path, EVERY, BUDGET, OUTPUT) as server:
        program = server.start(fake, "ms=2500", "truth=truth")
        _wait_for(capture, 8 << 10)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (24 << 10, resource.RLIM_INFINITY))
        time.sleep(0.5)
        assert not read(capture.read_bytes(), live=True).damage
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert program.wait() == 7
        server.finish()
    recording = load(capture)
    _assert_sound(recording)
    *_, (_, state) = totals(recording)
    assert (state.sum(axis=0) == truth(tmp_path / "truth").sum(axis=0)).all()
    assert capture.stat().st_size <= KILOBYTES << 10


@pytest.fixture(scope="module")
def killer(native_build: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("killer") / "kill_at.so"
    source = native_build.NATIVE / "tests" / "kill_at.c"
    subprocess.run([*native_build.compiler(), "-shared", "-fPIC", source, "-o", library, "-ldl"], check=True)
    return library


POINTS = ["openat after", "pwrite before", "3 after", "9 before", "fdatasync before", "fdatasync after"]
POINTS += ["linkat before", "linkat after", "renameat before", "renameat after", "fsync after"]


@pytest.mark.parametrize("point", POINTS)
def test_a_recorder_killed_while_it_rewrites(
    point: str, recorder: Path, fake: Path, killer: Path, tmp_path: Path
) -> None:
    """Under its name there is one whole capture, with everything up to then."""
    at, when = point.split()
    capture, before = tmp_path / "x.tide", tmp_path / "before"
    env = {"LD_PRELOAD": str(killer), "KILL_AT": at, "KILL_AFTER": "1" if when == "after" else "0"}
    env["KILL_BEFORE"] = str(before)
    with Server(recorder, tmp_path, EVERY, BUDGET, OUTPUT, env=env) as server:
        program = server.start(fake, "ms=60000", "end=stay")
        assert server.process.wait(60) == -signal.SIGKILL
        program.kill()
        program.wait()
    was, now = read(before.read_bytes()), read(capture.read_bytes())
    _assert_sound(was)
    last = _assert_sound(now)
    assert last.number == snapshots(was)[-1].number
    assert (list(totals(was))[-1][1] == list(totals(now))[-1][1]).all()
    renamed = (at, when) in {("renameat", "after"), ("fsync", "after")}
    assert bool(_thinned(now)) == renamed
    left = {path.name for path in tmp_path.iterdir()} - {"x.tide", "before"}
    assert left == ({"x.tide.rewritten"} if point in {"linkat after", "renameat before"} else set())


def _wait_for(path: Path, bytes_: int = 1) -> None:
    deadline = time.monotonic() + 30
    while not (path.exists() and path.stat().st_size >= bytes_):
        assert time.monotonic() < deadline, f"{path} did not come to be"
        time.sleep(0.002)
