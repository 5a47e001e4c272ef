# SPDX-License-Identifier: Apache-2.0
"""The recorder against books with known contents (native/tests/fake_agent.c): cuts, deaths, trouble with the disk."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import stat
import subprocess
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from heaptide.capture import read
from heaptide.capture.records import EndRecord, ModuleRecord, NoteRecord, StacksRecord
from tests.builders.fake_agent import MAILBOXES, Server, build, load, snapshots, totals, truth

LATE, KILLED, GAP = 1, 2, 4


@pytest.fixture(scope="module")
def fake(native_build: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(native_build, tmp_path_factory.mktemp("fake"))


def _run(recorder: Path, fake: Path, folder: Path, *words: str, options: tuple[str, ...] = ()) -> list[dict]:
    with Server(recorder, folder, *options) as server:
        program = server.start(fake, *words)
        program.wait()
        return server.finish()


def _end(recording) -> EndRecord:
    assert isinstance(recording.records[-1], EndRecord)
    return recording.records[-1]


def _assert_cuts(recording, threads: int) -> int:
    """Every snapshot is a state in which the program was; how many there were."""
    count, before = 0, None
    for snapshot, state in totals(recording):
        alloc_bytes, alloc_objects, free_bytes, free_objects = state.T
        assert (free_bytes <= alloc_bytes).all() and (free_objects <= alloc_objects).all(), snapshot.number
        in_use = int((alloc_objects - free_objects).sum())
        assert in_use <= MAILBOXES + threads, f"snapshot {snapshot.number} is no cut: {in_use} blocks in use"
        assert before is None or (state >= before).all(), "totals fell"
        count, before = count + 1, state
    return count


@pytest.mark.parametrize("words", [("threads=1",), ("threads=2",), ("threads=6",), ("threads=4", "shared=1")])
def test_every_snapshot_is_a_cut(words: tuple[str, ...], recorder: Path, fake: Path, tmp_path: Path) -> None:
    options = ("--every=10ms", "--output=x.tide")
    (summary,) = _run(recorder, fake, tmp_path, *words, "ms=600", "truth=truth", options=options)
    recording = load(tmp_path / "x.tide")
    assert _assert_cuts(recording, threads=6) >= 10
    *_, (last, state) = totals(recording)
    assert last.kind == "exit" and not last.flags & KILLED
    assert (state.sum(axis=0) == truth(tmp_path / "truth").sum(axis=0)).all(), "to the byte"
    assert summary["cause"] == "exited" and summary["status"] == 7 and summary["losses"] == {}
    assert summary["in_use_bytes"] == int(state[:, 0].sum() - state[:, 2].sum())


def test_sampled_columns(recorder: Path, fake: Path, tmp_path: Path) -> None:
    _run(recorder, fake, tmp_path, "mode=sampled", "threads=3", "ms=400", options=("--output=x.tide",))
    recording = load(tmp_path / "x.tide")
    last = {}
    for snapshot in snapshots(recording):
        for row, stack in enumerate(snapshot.ids):
            last[stack] = {name: column[row].item() for name, column in snapshot.columns.items()}
    assert len(last) == 200
    for counts in last.values():  # the fake agent's variance is the sum of sizes, and each block a sample
        assert counts["alloc_objects"] == counts["alloc_samples"] << 16
        assert counts["alloc_variance"] == counts["alloc_bytes"] and counts["free_variance"] == counts["free_bytes"]


def test_frozen_thread_makes_a_snapshot_late_and_never_wrong(recorder: Path, fake: Path, tmp_path: Path) -> None:
    _run(recorder, fake, tmp_path, "threads=2", "freeze=1", "ms=1500", options=("--every=10ms", "--output=x.tide"))
    recording = load(tmp_path / "x.tide")
    _assert_cuts(recording, threads=2)
    assert any(snapshot.flags & LATE for snapshot in snapshots(recording))
    assert any(isinstance(record, NoteRecord) and "waited" in record.text for record in recording.records)


def test_thread_that_left_its_operation_holds_nothing_up(recorder: Path, fake: Path, tmp_path: Path) -> None:
    words, options = ("threads=3", "abandon=1", "ms=4000"), ("--every=100ms", "--output=x.tide")
    _run(recorder, fake, tmp_path, *words, options=options)
    recording = load(tmp_path / "x.tide")
    started = recording.records[0].started_boottime_ns
    later = [snapshot for snapshot in snapshots(recording) if snapshot.boottime_ns - started > 2.5e9]
    assert len(later) >= 5
    _assert_cuts(recording, threads=4)


def test_state_before_the_shutdown(recorder: Path, fake: Path, tmp_path: Path) -> None:
    words = ("threads=2", "ms=300", "end=shutdown", "truth=truth")
    (summary,) = _run(recorder, fake, tmp_path, *words, options=("--output=x.tide",))
    states = {snapshot.kind: state.sum(axis=0) for snapshot, state in totals(load(tmp_path / "x.tide"))}
    counted = truth(tmp_path / "truth")
    assert (states["shutdown"] == counted[:2].sum(axis=0)).all()
    assert (states["exit"] == counted.sum(axis=0)).all()
    assert states["exit"][0] == states["exit"][2] and states["shutdown"][0] > states["shutdown"][2]
    assert summary["in_use_bytes"] == states["shutdown"][0] - states["shutdown"][2], "a summary is of the moment `end`"


@pytest.mark.parametrize("round_", range(5))
def test_sigkill_costs_at_most_one_operation_a_thread(round_: int, recorder: Path, fake: Path, tmp_path: Path) -> None:
    words = ("threads=3", f"ms={100 + 37 * round_}", "end=kill", "truth=truth")
    (summary,) = _run(recorder, fake, tmp_path, *words, options=("--output=x.tide",))
    recording = load(tmp_path / "x.tide")
    assert (_end(recording).cause, _end(recording).status) == (2, signal.SIGKILL) and summary["cause"] == "killed"
    *_, (last, state) = totals(recording)
    off = np.abs(state.sum(axis=0).astype(np.int64) - truth(tmp_path / "truth").sum(axis=0).astype(np.int64))
    assert last.kind == "exit" and (off <= [3000, 3, 3000, 3]).all()


def test_exec_begins_another_capture(recorder: Path, fake: Path, tmp_path: Path) -> None:
    first, second = _run(recorder, fake, tmp_path, "ms=1200", "end=exec", options=("--output=x.tide",))
    assert (first["path"], first["cause"]) == ("x.tide", "exec")
    assert (second["path"], second["cause"]) == (f"x.{first['pid']}.tide", "exited") and first["pid"] == second["pid"]
    assert _end(load(tmp_path / "x.tide")).cause == 3


def test_wrapper_leaves_its_name_and_no_capture(recorder: Path, fake: Path, tmp_path: Path) -> None:
    (only,) = _run(recorder, fake, tmp_path, "ms=20", "end=exec", options=("--output=x.tide",))
    assert only["path"] == "x.tide" and only["cause"] == "exited" and len(list(tmp_path.iterdir())) == 1
    notes = [record.text for record in load(tmp_path / "x.tide").records if isinstance(record, NoteRecord)]
    assert any("ran here before" in note for note in notes)


def test_exec_of_a_program_that_does_not_register(recorder: Path, fake: Path, tmp_path: Path) -> None:
    words = ("ms=300", "end=exec-unregistered", "truth=truth")
    (only,) = _run(recorder, fake, tmp_path, *words, options=("--output=x.tide",))
    *_, (_, state) = totals(load(tmp_path / "x.tide"))
    assert only["cause"] == "exec" and (state.sum(axis=0) == truth(tmp_path / "truth").sum(axis=0)).all()


def _expected_pcs(stack: int, depth: int) -> list[int]:
    return [0x400000 + (stack * 4096 if i + 4 < depth else 0) + i * 16 for i in range(depth)]


def test_stacks_and_modules_through_a_small_ring(recorder: Path, fake: Path, tmp_path: Path) -> None:
    words = ("stacks=3000", "depth=40", "log=65536", "ms=800", "threads=2")
    (summary,) = _run(recorder, fake, tmp_path, *words, options=("--output=x.tide",))
    recording = load(tmp_path / "x.tide")
    seen: dict[int, list[int]] = {}
    for record in recording.records:
        if isinstance(record, StacksRecord):
            seen.update({int(stack): [int(pc) for pc in record.addresses(row)] for row, stack in enumerate(record.ids)})
    counted = set().union(*(set(map(int, snapshot.ids)) for snapshot in snapshots(recording)))
    assert counted <= set(seen) == set(range(16, 16 + len(seen))) and len(seen) > 2500 and summary["losses"] == {}
    assert all(pcs == _expected_pcs(stack, 40) for stack, pcs in seen.items())
    (module,) = (record for record in recording.records if isinstance(record, ModuleRecord))
    assert module.path == str(fake) and module.build_id == b"twenty bytes of id.."
    assert module.phdrs[0].memsz == 0x80000000 - 0x400000


# ---- The recorder's own trouble --------------------------------------------------------------------------------------


def _wait_for(path: Path, bytes_: int = 1) -> None:
    deadline = time.monotonic() + 10
    while not (path.exists() and path.stat().st_size >= bytes_):
        assert time.monotonic() < deadline, f"{path} did not come to be"
        time.sleep(0.01)


def test_full_disk_loses_no_count(recorder: Path, fake: Path, tmp_path: Path) -> None:
    capture = tmp_path / "x.tide"
    with Server(recorder, tmp_path, "--every=20ms", "--output=x.tide") as server:
        program = server.start(fake, "ms=2500", "truth=truth")
        _wait_for(capture)
        full = capture.stat().st_size + 3000
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
        time.sleep(0.7)
        on_full_disk = read(capture.read_bytes(), live=True)
        assert not on_full_disk.damage and capture.stat().st_size <= full, "half a record is taken back"
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert program.wait() == 7
        (summary,) = server.finish()
    recording = load(capture)
    *_, (_, state) = totals(recording)
    assert (state.sum(axis=0) == truth(tmp_path / "truth").sum(axis=0)).all()
    assert summary["failed_writes"] > 0 and any(snapshot.flags & GAP for snapshot in snapshots(recording))
    assert any(isinstance(record, NoteRecord) and "File too large" in record.text for record in recording.records)


def test_disk_that_stays_full(recorder: Path, fake: Path, tmp_path: Path) -> None:
    with Server(recorder, tmp_path, "--output=x.tide") as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, 0))
        assert server.start(fake, "ms=200").wait() == 7, "the program does not notice"
        (summary,) = server.finish(patience_s=20)
    assert summary["failed_writes"] > 0 and summary["path"] is None and summary["error"] == "File too large"
    assert not (tmp_path / "x.tide").exists(), "no empty file is left behind"


def test_recorder_killed(recorder: Path, fake: Path, tmp_path: Path) -> None:
    with Server(recorder, tmp_path, "--output=x.tide") as server:
        program = server.start(fake, "ms=1800", "threads=1")
        _wait_for(tmp_path / "x.tide")
        time.sleep(0.7)
        server.process.kill()
        assert program.wait() == 7
    recording = read((tmp_path / "x.tide").read_bytes())
    assert not recording.damage and not recording.complete and len(snapshots(recording)) >= 3


def test_signals(recorder: Path, fake: Path, tmp_path: Path) -> None:
    with Server(recorder, tmp_path, "--every=1h", "--output=x.tide") as server:
        program = server.start(fake, "ms=700")
        time.sleep(0.2)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
            server.process.send_signal(number)
        server.process.send_signal(signal.SIGUSR1)
        program.wait()
        server.finish()
    assert [snapshot.kind for snapshot in snapshots(load(tmp_path / "x.tide"))] == ["start", "signal", "exit"]


# ---- Names and files -------------------------------------------------------------------------------------------------


def test_names(recorder: Path, fake: Path, tmp_path: Path) -> None:
    (tmp_path / "taken.tide").write_bytes(b"precious")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "victim")
    with Server(recorder, tmp_path, "--output=taken.tide") as server:
        pids = [server.start(fake, "ms=50") for _ in range(2)]
        assert [program.wait() for program in pids] == [7, 7]
        paths = {summary["pid"]: summary["path"] for summary in server.finish()}
    assert paths == {program.pid: f"taken.{program.pid}.tide" for program in pids}
    assert (tmp_path / "taken.tide").read_bytes() == b"precious"
    (linked,) = _run(recorder, fake, tmp_path, "ms=50", options=("--output=elsewhere",))
    assert linked["path"] == f"elsewhere.{linked['pid']}" and not (tmp_path / "victim").exists()
    (named,) = _run(recorder, fake, tmp_path, "ms=50", options=("--output=sub-{name}-{pid}",))
    assert named["path"] == f"sub-fake_agent-{named['pid']}"
    assert stat.S_IMODE((tmp_path / named["path"]).stat().st_mode) == 0o600


def test_capture_is_locked_while_it_is_written(recorder: Path, fake: Path, tmp_path: Path) -> None:
    with Server(recorder, tmp_path, "--output=x.tide") as server:
        program = server.start(fake, "ms=1500")
        _wait_for(tmp_path / "x.tide")
        with open(tmp_path / "x.tide", "rb") as file:
            with pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            program.wait()
            server.finish()
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_standard_output_without_a_control_socket(recorder: Path, fake: Path, tmp_path: Path) -> None:
    served = subprocess.Popen(
        [recorder, "--serve", "--output=x.tide"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert served.stdout is not None
    with served, served.stdout:
        address = served.stdout.readline().split()[1]
        subprocess.run([fake, "ms=50"], env={"HEAPTIDE_SOCKET": address})
        assert '"path": "x.tide"' in served.stdout.read()
    assert os.path.exists(tmp_path / "x.tide")
