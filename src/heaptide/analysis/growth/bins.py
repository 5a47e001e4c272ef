# SPDX-License-Identifier: Apache-2.0
"""From snapshots at irregular times to means over equal stretches of time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MOST_BINS = 48
LEAST_BINS = 6


def bin_count(times: Floats, begin: float, end: float) -> int:
    """How many bins a stretch of time bears: about as many as it has snapshots."""
    inside = int(((times >= begin) & (times <= end)).sum())
    return max(LEAST_BINS, min(MOST_BINS, inside))


def bin_means(times: Floats, begin: float, end: float, bins: int) -> Floats:
    """A matrix of `len(times)` rows by `bins` columns: series @ matrix gives the mean in each bin.

    Between snapshots a series is taken to be a straight line, and level before the first and after the last.
    """
    edges = np.linspace(begin, end, bins + 1)
    return np.diff(_integrals(times, edges), axis=1) / ((end - begin) / bins)


def _integrals(times: Floats, edges: Floats) -> Floats:
    """Column j: the weights that give the integral from `times[0]` to `edges[j]`."""
    count = len(times)
    weights = np.zeros((count, len(edges)))
    gaps = np.diff(times)
    for column, edge in enumerate(edges):
        if edge <= times[0] or count == 1:
            weights[0, column] = edge - times[0]
            continue
        last = min(int(np.searchsorted(times, edge, side="right")) - 1, count - 1)
        whole = gaps[: min(last, count - 1)]
        weights[: len(whole), column] += whole / 2
        weights[1 : len(whole) + 1, column] += whole / 2
        if last == count - 1:
            weights[last, column] += edge - times[last]
        else:
            part = edge - times[last]
            share = part / gaps[last]
            weights[last, column] += part * (1 - share / 2)
            weights[last + 1, column] += part * share / 2
    return weights
