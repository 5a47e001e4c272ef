# SPDX-License-Identifier: Apache-2.0
"""Sudden rises that were not given back, and when.

Binary segmentation (Scott and Knott 1974) of the level, with the split where the means of both sides differ most for
their lengths; a split counts as a step when nearly all of that difference came about within two snapshots, and when the
level has never since come back to the middle of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_MOST = 12
_ABRUPT = 0.7
"""So much of the difference of the levels lies in the jump itself."""
_LEAST_SIDE = 3
"""Snapshots on each side of a step."""


@dataclass(frozen=True, slots=True)
class Rise:
    """A step, by snapshot index: `index` is the first that shows it."""

    index: int
    bytes: float
    before: float
    """The level before it."""


def rises(series: Floats, least: float) -> list[Rise]:
    """The lasting steps up of at least `least` bytes, in order of time."""
    found: list[Rise] = []
    waiting = [(0, len(series))]
    while waiting and len(found) < _MOST:
        begin, end = waiting.pop()
        split = _best_split(series[begin:end])
        if split is None:
            continue
        index = begin + split
        rise = _rise_at(series, begin, index, end)
        if abs(rise.bytes) < least:
            continue
        waiting += [(begin, index), (index, end)]
        if rise.bytes >= least and _lasting(series, rise):
            found.append(rise)
    return sorted(found, key=lambda rise: rise.index)


def _best_split(part: Floats) -> int | None:
    """The index from which the second mean counts; None where the part is too short or level."""
    count = len(part)
    if count < 2 * _LEAST_SIDE:
        return None
    sums = np.cumsum(part)
    left = np.arange(_LEAST_SIDE, count - _LEAST_SIDE + 1)
    mean_left = sums[left - 1] / left
    mean_right = (sums[-1] - sums[left - 1]) / (count - left)
    gain = np.square(mean_right - mean_left) * left * (count - left)
    best = int(np.argmax(gain))
    return int(left[best]) if gain[best] > 0 else None


def _rise_at(series: Floats, begin: int, index: int, end: int) -> Rise:
    """The jump near a split, from the medians of a few snapshots on each side, and put where most of it happens."""
    before = float(np.median(series[max(begin, index - 5) : index]))
    after = float(np.median(series[index : min(end, index + 5)]))
    near = np.arange(max(begin + 1, index - 2), min(end, index + 3))
    jumps = series[near] - series[near - 1]
    sharp = int(near[np.argmax(jumps)]) if after > before else index
    return Rise(sharp, after - before, before)


def _lasting(series: Floats, rise: Rise) -> bool:
    index = rise.index
    low, high = series[max(0, index - 1)], series[min(len(series) - 1, index + 1)]
    abrupt = high - low >= _ABRUPT * rise.bytes
    return bool(abrupt and series[index:].min() >= rise.before + rise.bytes / 2)
