# SPDX-License-Identifier: Apache-2.0
"""A small month: many stacks for a long time, the clock driven. The thinned capture against the full record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import month
from bench.injected import Injected
from heaptide import build as captures
from heaptide.capture import Recording, read
from heaptide.capture.counters import CounterLog
from heaptide.capture.records import SnapshotRecord

STACKS, DAYS, TICK_S = 800, 8, 600
BUDGET = {"exact": 1100 << 10, "sampled": 700 << 10}
JUMP_AT = 0.31
"""Of the whole time, by month.c."""
COLUMNS = ("alloc_bytes", "alloc_objects", "free_bytes", "free_objects")


def _record(folder: Path, program: Path, mode: str, budget: int) -> Path:
    folder.mkdir()
    truth = str(folder / "truth")
    with Injected(folder, f"--budget={budget}", f"--every={TICK_S}s") as recorder:
        words = [str(program), str(STACKS), str(DAYS), str(TICK_S), "some", mode, truth]
        recorder.start(words, env={"LD_PRELOAD": ""})
        (summary,), _ = recorder.finish()
    assert summary["status"] == 0 and summary["failed_writes"] == 0
    return Path(summary["path"])


@pytest.fixture(scope="module", params=["exact", "sampled"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The full capture and the thinned one of the same counts."""
    folder = tmp_path_factory.mktemp(f"month-{request.param}")
    program = month.build_program(folder)
    budget = BUDGET[request.param]
    return _record(folder / "full", program, request.param, 0), _record(folder / "thin", program, request.param, budget)


def _log(path: Path) -> tuple[Recording, list[SnapshotRecord], CounterLog]:
    recording = read(path.read_bytes())
    assert recording.complete, recording.damage
    taken = [record for record in recording.records if isinstance(record, SnapshotRecord)]
    return recording, taken, CounterLog(taken)


def test_what_is_kept_is_as_it_was(both: tuple[Path, Path]) -> None:
    """Every whole snapshot of the thinned capture is, to the byte, the one of the full record with its number."""
    _, full, full_log = _log(both[0])
    _, kept, kept_log = _log(both[1])
    assert both[1].stat().st_size <= max(BUDGET.values()) and len(kept) < len(full) / 2
    whole = [(index, record) for index, record in enumerate(kept) if "partial" not in _remarks(record)]
    assert len(whole) >= 20
    for index, record in whole:
        state, other = kept_log.state(index), full_log.state(record.number - 1)
        assert full[record.number - 1].number == record.number
        assert np.array_equal(state.ids, other.ids)
        assert all(np.array_equal(state.columns[name], other.columns[name]) for name in COLUMNS)
        if "alloc_variance" in state.columns:
            assert np.allclose(state.columns["alloc_variance"], other.columns["alloc_variance"], rtol=1e-6)


def test_totals_are_right_where_stacks_are_left_out(both: tuple[Path, Path]) -> None:
    full, thinned = captures.load(both[0]), captures.load(both[1])
    assert not thinned.damaged and thinned.warnings == full.warnings
    by_number = {snapshot.number: snapshot for snapshot in full.snapshots}
    for snapshot in thinned.snapshots:
        assert snapshot.in_use_bytes == by_number[snapshot.number].in_use_bytes
        assert snapshot.allocated_bytes == by_number[snapshot.number].allocated_bytes
    most = max(full.snapshots, key=lambda snapshot: snapshot.in_use_bytes)
    assert most.number in {snapshot.number for snapshot in thinned.snapshots}, "the peak is kept"


def test_the_past_is_kept_everywhere(both: tuple[Path, Path]) -> None:
    """Nowhere is a gap longer than a fifth of the whole; the newest are there without a gap."""
    thinned = captures.load(both[1]).snapshots
    times = [snapshot.offset_s for snapshot in thinned]
    assert max(np.diff(times)) < DAYS * 86400 / 5
    numbers = [snapshot.number for snapshot in thinned][-5:]
    assert numbers == list(range(numbers[0], numbers[0] + 5))


def test_a_jump_in_the_thinned_past_is_known_to_one_snapshot(both: tuple[Path, Path]) -> None:
    """The heaviest stack that jumps: flat before, flat after, and the moment between two neighbouring snapshots."""
    shapes = [line.split() for line in (both[1].parent / "truth").read_text().splitlines()]
    stack = next(int(number) for number, shape in shapes if shape == "jump")
    _, taken, log = _log(both[1])
    row = int(np.searchsorted(log.ids, stack))
    entries = slice(log.first[row], log.first[row + 1])
    in_use = (log.column("alloc_bytes") - log.column("free_bytes"))[entries]
    risen = int(np.argmax(in_use > in_use[-1] / 2))
    before, after = (taken[log.moment[entries][place]] for place in (risen - 1, risen))
    assert after.number - before.number == 1, "both sides of it are kept"
    began = taken[0].boottime_ns
    late = (after.boottime_ns - began) / 1e9 - JUMP_AT * DAYS * 86400
    assert 0 <= late <= 2 * TICK_S + 60, "counted within a tick, snapshot at the end of the next"


def _remarks(record: SnapshotRecord) -> tuple[str, ...]:
    return ("partial",) if record.flags & 8 else ()
