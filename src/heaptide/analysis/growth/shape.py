# SPDX-License-Identifier: Apache-2.0
"""What a suspicious series looks like beside its trend: as high before, explained by load, come back to its trough.

These are the questions that significance does not answer. A ramp of garbage that has not been collected yet, or a load
that has doubled, is as significant as a leak.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_NOTICEABLE = 0.03
_GIVEN_BACK = 0.7
_LOAD_KNOTS = 25
_HIGH, _LOW = 0.6, 0.25
"""A swing goes above the one and then below the other part of the range."""


def roughness(means: Floats) -> Floats:
    """Standard deviation of the noise from bin to bin, one for each row, by the median of second differences: blind to
    trends, to slow waves and to a few steps."""
    bends = np.abs(means[:, 2:] - 2 * means[:, 1:-1] + means[:, :-2])
    result: Floats = np.median(bends, axis=1) / (0.6745 * np.sqrt(6))
    return result


def record(means: Floats, noise: Floats) -> Floats:
    """By how much the end lies above all that the first 55 % of the run ever reached, one for each row.

    `means` are bin means over the whole run. The noise of the highest of some twenty bins is allowed for.
    """
    bins = means.shape[1]
    earlier = means[:, : max(1, int(0.55 * bins))].max(axis=1)
    now = means[:, -max(1, bins // 16) :].mean(axis=1)
    result: Floats = now - earlier + 1.5 * noise
    return result


def returns(means: Floats) -> Ints:
    """How often each row came down from the upper part of its range to near its trough."""
    low, high = means.min(axis=1), means.max(axis=1)
    reach = high - low
    above, count = np.zeros(len(means), bool), np.zeros(len(means), np.int64)
    for column in means.T:
        up, down = column > low + _HIGH * reach, column < low + _LOW * reach
        count += above & down & (reach > 0)
        above = (above | up) & ~down
    return count


def arrivals(means: Floats) -> Ints:
    """In how many bins a row rose by a noticeable part of what it rose in all."""
    rise = means[:, -1:] - means[:, :1]
    result: Ints = ((np.diff(means, axis=1) > _NOTICEABLE * rise) & (rise > 0)).sum(axis=1)
    return result


def fallen(means: Floats) -> Floats:
    """The highest level, as a part of the last, from which a row came down by most of it; 0 where it never did."""
    peak = np.maximum.accumulate(means, axis=1)
    low = np.minimum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
    deep = low < (1 - _GIVEN_BACK) * peak
    last = np.maximum(means[:, -1], 1e-300)
    result: Floats = np.where(deep, peak, 0.0).max(axis=1) / last
    return result


def ages(times: Floats, allocated: Floats, in_use: Floats) -> Floats:
    """How long ago the oldest live byte was allocated if blocks were freed in the order of their birth, seconds.

    W(t) = t - A'(A(t) - X(t)), where A' turns round the bytes ever allocated A, and X is in use. By Little's law (1961)
    what is in use is load times lifetime, and this is the second factor: load may change and it stays. It rises when
    something is kept. A is taken at a few moments with straight lines between, so that its own noise stays out. One
    row, one value for each moment.
    """
    knots = np.linspace(times[0], times[-1], _LOAD_KNOTS)
    smooth = np.interp(knots, times, allocated)
    rising = smooth + np.arange(_LOAD_KNOTS) * max(float(smooth[-1]), 1.0) * 1e-12
    result: Floats = times - np.interp(np.interp(times, knots, smooth) - in_use, rising, knots)
    return result


def load_rose(times: Floats, allocated: Floats, in_use: Floats) -> bool:
    """Whether the pace of allocation rose from the second quarter of the run to the last sixth by at least half as much
    as what is in use did: then load may explain the growth."""
    marks = times[0] + (times[-1] - times[0]) * np.array([0.25, 0.5, 5 / 6, 1.0])
    done, held = np.interp(marks, times, allocated), np.interp(marks, times, in_use)
    before = (done[1] - done[0]) / (marks[1] - marks[0])
    now = (done[3] - done[2]) / (marks[3] - marks[2])
    louder = now / before if before > 0 else np.inf
    higher = held[3] / max((held[0] + held[1]) / 2, 1e-300)
    return bool(louder - 1 >= (higher - 1) / 2)
