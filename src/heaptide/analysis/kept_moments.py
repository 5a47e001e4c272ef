# SPDX-License-Identifier: Apache-2.0
"""Which moments of a long recording a page keeps: those that something is said of, and evenly chosen ones between."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from heaptide.model import Series, Snapshot

Ints = npt.NDArray[np.int64]


def kept_moments(series: Series, limit: int, also: Collection[float] = ()) -> Ints:
    """Indices into the snapshots, ascending: the first and the last, `end` and the peak, the moments `also` (offsets in
    seconds, with the moment before each), and others evenly over time, up to `limit` where those are not more.

    Raises NothingToShow when there is no snapshot.
    """
    shots = series.snapshots
    index = {shot.number: place for place, shot in enumerate(shots)}
    must = {index[series.moment(word).number] for word in ("start", "peak", "end", "exit")} | {0, len(shots) - 1}
    for offset in also:
        place = _place(shots, offset)
        must |= {place, max(place - 1, 0)}
    if len(shots) <= limit:
        return np.arange(len(shots))
    return np.array(sorted(must | _even(shots, limit - len(must))), np.int64)


def _place(shots: Sequence[Snapshot], offset: float) -> int:
    """The last snapshot up to an offset."""
    return max(int(np.searchsorted([shot.offset_s for shot in shots], offset, side="right")) - 1, 0)


def _even(shots: Sequence[Snapshot], count: int) -> set[int]:
    """At most so many snapshots: of equal stretches of time the one nearest to each stretch's middle."""
    if count <= 0:
        return set()
    times = np.array([shot.offset_s for shot in shots])
    width = (times[-1] - times[0]) / count
    middles = times[0] + (np.arange(count) + 0.5) * width
    right = np.clip(np.searchsorted(times, middles), 1, len(times) - 1)
    nearest = np.where(middles - times[right - 1] <= times[right] - middles, right - 1, right)
    return set(nearest.tolist())
