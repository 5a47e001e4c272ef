# SPDX-License-Identifier: Apache-2.0
"""The program's waking time: the recording's clock without the stretches in which the machine slept.

The recording's clock goes on in suspend (CLOCK_BOOTTIME). A night's sleep in the middle of a day's run would dilute
every rate and look like a silence after a step.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_GAP_FACTOR = 10.0
"""A gap between snapshots may be sleep when it is so many times as long as both its neighbours."""
_LEAST_GAP_S = 30.0
_IDLE = 3.0
"""... and sleep it is when the process allocated in it at most what it usually does in so many of the neighbours: some
of the gap, beside the sleep, it was awake."""


def waking(offset_s: Floats, allocated: Floats) -> Floats:
    """The moments in waking time, seconds. A gap that is sleep shrinks to the longer of its neighbours.

    Args:
        offset_s: the moments, ascending.
        allocated: bytes that the process had allocated at each.
    """
    if len(offset_s) < 4:
        return offset_s.copy()
    gaps, done = np.diff(offset_s), np.diff(allocated)
    before, after = np.append(gaps[1], gaps[:-1]), np.append(gaps[1:], gaps[-2])
    neighbours = np.maximum(before, after)
    long = (gaps > _GAP_FACTOR * neighbours) & (gaps > _LEAST_GAP_S)
    if long.all() or not long.any():
        return offset_s.copy()
    usual = done[~long].sum() / gaps[~long].sum()
    asleep = long & (done < _IDLE * usual * neighbours)
    return np.concatenate([offset_s[:1], offset_s[0] + np.cumsum(np.where(asleep, neighbours, gaps))])
