# SPDX-License-Identifier: Apache-2.0
"""The counters of many snapshots at once, summed over groups of stacks.

A capture holds what changed. Here every change goes to the sum of its stack's group, snapshot by snapshot: the work is
that of the changes, not that of stacks times snapshots.
"""

import numpy as np
import numpy.typing as npt

from heaptide.capture.counters import Column, CounterLog, Ints

Floats = npt.NDArray[np.float64]


def grouped(log: CounterLog, ids: Ints, group: Ints, count: int, at: Ints) -> dict[str, Floats]:
    """For every column of the capture a matrix of `count` groups by the snapshots `at`: totals since recording began.

    Args:
        log: the counters of a recording.
        ids: stack ids, ascending.
        group: for each of `ids` its group, 0 to `count` - 1. Stacks that are not in `ids` are left out.
        at: indices of snapshots, ascending.
    """
    entries, cell = _cells(log, ids, group, at)
    out: dict[str, Floats] = {}
    for name in log.names:
        steps = log.steps(log.column(name))[entries]
        sums = np.bincount(cell, weights=steps, minlength=count * len(at))
        out[name] = np.cumsum(sums.reshape(count, len(at)), axis=1, dtype=np.float64)
    return out


def _cells(log: CounterLog, ids: Ints, group: Ints, at: Ints) -> tuple[Ints, Ints]:
    """The entries that count, and for each the cell of the matrix from which on its change is in the sum."""
    groups = np.full(len(log.ids), -1, np.int64)
    if len(ids):
        place = np.minimum(np.searchsorted(ids, log.ids), len(ids) - 1)
        groups = np.where(ids[place] == log.ids, group[place], -1)
    row = np.repeat(groups, np.diff(log.first))
    moments = int(log.moment.max()) + 1 if len(log.moment) else 0
    column = np.searchsorted(at, np.arange(moments))[log.moment]
    entries = np.flatnonzero((row >= 0) & (column < len(at)))
    return entries, row[entries] * len(at) + column[entries]


def last_totals(log: CounterLog, at: Ints) -> tuple[Ints, Ints, dict[str, Column]]:
    """The totals of every stack at those of the snapshots `at` since whose predecessor in `at` it changed.

    Args:
        log: the counters of a recording.
        at: indices of snapshots, ascending.

    Returns:
        Places in `log.ids`, places in `at` (ordered by the first, then the second), and the columns of the capture.
    """
    row = np.repeat(np.arange(len(log.ids)), np.diff(log.first))
    moments = int(log.moment.max()) + 1 if len(log.moment) else 0
    column = np.searchsorted(at, np.arange(moments))[log.moment]
    cell = row * (len(at) + 1) + column
    last = np.append(cell[1:] != cell[:-1], True) if len(cell) else np.zeros(0, bool)
    entries = np.flatnonzero(last & (column < len(at)))
    return row[entries], column[entries], {name: log.column(name)[entries] for name in log.names}
