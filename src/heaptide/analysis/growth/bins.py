# SPDX-License-Identifier: Apache-2.0
"""From snapshots at irregular times to means over equal stretches of time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BINS = (6, 7, 8, 10, 12, 16, 20, 24, 32, 40, 48)
"""What is computed for a number of bins is kept: there are few."""
FEW_BINS = 12


def bin_count(times: Floats, begin: float, end: float) -> int:
    """How many bins a stretch of time bears: half as many as it has snapshots, where there are enough.

    With a snapshot a bin the straight lines between them would smooth neighbouring bins alike.
    """
    inside = int(((times >= begin) & (times <= end)).sum())
    wanted = max(min(inside, FEW_BINS), inside // 2)
    return max((bins for bins in BINS if bins <= wanted), default=BINS[0])


def bin_means(times: Floats, begin: float, end: float, bins: int) -> Floats:
    """A matrix of `len(times)` rows by `bins` columns: series @ matrix gives the mean in each bin.

    Between snapshots a series is taken to be a straight line, and level before the first and after the last.
    """
    edges = np.linspace(begin, end, bins + 1)
    return np.diff(_integrals(times, edges), axis=1) / ((end - begin) / bins)


def _integrals(times: Floats, edges: Floats) -> Floats:
    """Column j: the weights that give the integral from `times[0]` to `edges[j]`."""
    gaps = np.append(np.diff(times), np.inf)
    inside = np.clip(edges[None, :] - times[:, None], 0.0, gaps[:, None])  # of each gap, what lies before the edge
    share = np.where(np.isinf(gaps), 0.0, 1 / gaps)[:, None] * inside / 2
    weights = inside * (1 - share)
    weights[1:] += (inside * share)[:-1]
    weights[0] += np.minimum(edges - times[0], 0.0)
    return weights
