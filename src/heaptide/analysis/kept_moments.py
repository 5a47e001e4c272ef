# SPDX-License-Identifier: Apache-2.0
"""Which moments of a long recording a page keeps: those that something is said of, and evenly chosen ones between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from heaptide.model import Series, Snapshot

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def told_moments(series: Series, steps: Iterable[float] = (), also: Iterable[Snapshot] = ()) -> frozenset[int]:
    """Indices of the snapshots that a page speaks of: the first and the last, `end`, `exit` and the peak, and for each
    step (seconds since recording began) the snapshot that shows it and the one before; and `also`.

    Raises NothingToShow when there is no snapshot.
    """
    shots = series.snapshots
    index = {shot.number: place for place, shot in enumerate(shots)}
    told = {index[series.moment(word).number] for word in ("start", "peak", "end", "exit")} | {0, len(shots) - 1}
    told |= {index[shot.number] for shot in also}
    times = [shot.offset_s for shot in shots]
    for step in steps:
        place = max(int(np.searchsorted(times, step, side="right")) - 1, 0)
        told |= {place, max(place - 1, 0)}
    return frozenset(told)


def kept_moments(shots: Sequence[Snapshot], told: Iterable[int], limit: int) -> Ints:
    """Indices of `told` and of others, evenly over time: at most `limit`, or all that are told."""
    if len(shots) <= limit:
        return np.arange(len(shots))
    must = set(told)
    others = np.array([place for place in range(len(shots)) if place not in must])
    times = np.array([shots[place].offset_s for place in others.tolist()])
    return np.array(sorted(must.union(others[_even(times, limit - len(must))].tolist())), np.int64)


def _even(times: Floats, count: int) -> Ints:
    """At most so many places: of equal stretches of time the one nearest to each stretch's middle."""
    if count <= 0 or len(times) <= count:
        return np.arange(len(times) if count > 0 else 0)
    middles = times[0] + (np.arange(count) + 0.5) * (times[-1] - times[0]) / count
    right = np.clip(np.searchsorted(times, middles), 1, len(times) - 1)
    return np.unique(np.where(middles - times[right - 1] <= times[right] - middles, right - 1, right))
