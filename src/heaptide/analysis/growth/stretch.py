# SPDX-License-Identifier: Apache-2.0
"""The part of a recording that is judged, on the program's own clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heaptide.analysis.growth.clock import waking
from heaptide.model import Series, Snapshot

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some snapshots of a series, in order."""

    snapshots: tuple[Snapshot, ...]
    columns: npt.NDArray[np.int64]
    """Their indices in the series."""
    times: Floats
    """Their moments in waking time, seconds, ascending."""

    @property
    def length(self) -> float:
        """Seconds awake."""
        return float(self.times[-1] - self.times[0]) if len(self.times) else 0.0

    @property
    def asleep(self) -> float:
        """Seconds asleep."""
        if not self.snapshots:
            return 0.0
        return self.snapshots[-1].offset_s - self.snapshots[0].offset_s - self.length

    def thinned(self, most: int) -> npt.NDArray[np.int64]:
        """Places of at most so many snapshots, evenly spread in time, first and last among them."""
        if len(self.times) <= most:
            return np.arange(len(self.times))
        wanted = np.linspace(self.times[0], self.times[-1], most)
        return np.unique(np.searchsorted(self.times, wanted).clip(0, len(self.times) - 1))


def stretch_of(series: Series, start: str, end: str) -> Stretch:
    """The snapshots from `start` to `end`. Raises as `Series.moment`."""
    first, last = series.moment(start), series.moment(end)
    picked = [
        (index, snapshot)
        for index, snapshot in enumerate(series.snapshots)
        if first.number <= snapshot.number <= last.number
    ]
    # Two snapshots of one moment (one by growth beside one by time) are one: the later counts.
    kept = [
        pair
        for pair, following in zip(picked, [*picked[1:], None], strict=True)
        if following is None or following[1].offset_s > pair[1].offset_s
    ]
    offsets = np.array([snapshot.offset_s for _, snapshot in kept])
    allocated = np.array([float(snapshot.allocated_bytes) for _, snapshot in kept])
    return Stretch(
        tuple(snapshot for _, snapshot in kept),
        np.array([index for index, _ in kept], np.int64),
        waking(offsets, allocated),
    )
