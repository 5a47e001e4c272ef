# SPDX-License-Identifier: Apache-2.0
"""Sums over groups of stacks at many snapshots, held against the states one by one."""

from __future__ import annotations

import numpy as np
import pytest

from heaptide.capture import read
from heaptide.capture.counters import CounterLog
from heaptide.capture.history import grouped
from heaptide.capture.records import SnapshotRecord
from tests.unit.test_capture_counters import random_walk


@pytest.mark.parametrize("mode", ["exact", "sampled"])
@pytest.mark.parametrize("seed", range(6))
def test_groups_are_the_sums_of_their_stacks(seed: int, mode: str) -> None:
    capture, states = random_walk(seed, mode)
    log = CounterLog([item for item in read(capture.data()).records if isinstance(item, SnapshotRecord)])
    ids = log.ids[:: 1 + seed % 2]
    group = np.arange(len(ids)) % 3
    at = np.arange(0, len(states), 1 + seed % 4)
    sums = grouped(log, ids, group, 4, at)
    for name, matrix in sums.items():
        assert matrix.shape == (4, len(at))
        for column, index in enumerate(at.tolist()):
            for number in range(4):
                members = [states[index].get(stack) for stack in ids[group == number].tolist()]
                wanted = sum(getattr(counter, name) for counter in members if counter is not None)
                assert matrix[number, column] == pytest.approx(wanted, rel=1e-12, abs=1e-3)


def test_nothing_to_sum() -> None:
    nothing = np.zeros(0, np.int64)
    assert grouped(CounterLog([]), nothing, nothing, 2, nothing) == {}
    capture, _ = random_walk(1, "exact")
    log = CounterLog([item for item in read(capture.data()).records if isinstance(item, SnapshotRecord)])
    assert grouped(log, nothing, nothing, 1, np.array([0]))["alloc_bytes"].tolist() == [[0.0]]
