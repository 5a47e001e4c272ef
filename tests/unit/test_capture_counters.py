# SPDX-License-Identifier: Apache-2.0
"""State at a snapshot = last values up to it; held against a dictionary that is filled snapshot by snapshot."""

from __future__ import annotations

import random

import numpy as np
import pytest

from heaptide.capture import read
from heaptide.capture.counters import CounterLog
from heaptide.capture.records import SnapshotRecord
from tests.builders.capture import CaptureBuilder, Counter


def random_walk(seed: int, mode: str) -> tuple[CaptureBuilder, list[dict[int, Counter]]]:
    rng = random.Random(seed)
    capture = CaptureBuilder(mode).process()
    ids = rng.sample(range(16, 60), 25) + ([2**31 + 5] if seed % 2 else [])  # a far id: the union is taken another way
    state: dict[int, Counter] = {}
    states = []
    for _ in range(rng.randrange(1, 80)):
        changed = {}
        for stack_id in rng.sample(ids, rng.choice([0, 1, 2, len(ids)])):
            old = state.get(stack_id, Counter())
            size = rng.choice([1, 100, 2**20, 2**40])
            new = Counter(
                old.alloc_bytes + size,
                old.alloc_objects + 1,
                old.free_bytes + (size // 2),
                old.free_objects,
                old.alloc_variance + size * 0.5,
                old.free_variance + size * 0.25,
                old.alloc_samples + 1,
                old.free_samples,
            )
            state[stack_id] = changed[stack_id] = new
        capture.snapshot("time", changed)
        states.append(dict(state))
    return capture.end(), states


@pytest.mark.parametrize("mode", ["exact", "sampled"])
@pytest.mark.parametrize("seed", range(12))
def test_every_state(seed, mode):
    capture, states = random_walk(seed, mode)
    snapshots = [item for item in read(capture.data()).records if isinstance(item, SnapshotRecord)]
    log = CounterLog(snapshots)
    totals = log.totals()
    for index, wanted in enumerate(states):
        state = log.state(index)
        assert state.ids.tolist() == sorted(wanted)
        for name, column in state.columns.items():
            assert column.tolist() == [getattr(wanted[stack_id], name) for stack_id in sorted(wanted)], name
            assert column.dtype == (np.float64 if "variance" in name else np.int64)
        in_use = sum(counter.alloc_bytes - counter.free_bytes for counter in wanted.values())
        assert totals.in_use_bytes[index] == in_use
        assert totals.allocated_bytes[index] == sum(counter.alloc_bytes for counter in wanted.values())


def test_more_freed_than_allocated_counts_as_nothing():
    capture = CaptureBuilder().snapshot("time", {16: Counter(10, 1, 30, 3), 17: Counter(5, 1)})
    capture.snapshot("time", {16: Counter(40, 4, 30, 3)})
    log = CounterLog([item for item in read(capture.data()).records if isinstance(item, SnapshotRecord)])
    assert log.totals().in_use_bytes.tolist() == [5, 15] and log.totals().negative.tolist() == [1, 0]


def test_no_snapshots():
    log = CounterLog([])
    assert log.ids.tolist() == [] and log.totals().in_use_bytes.tolist() == []
