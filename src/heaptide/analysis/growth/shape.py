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


def ages(times: Floats, allocated: Floats, freed: Floats) -> Floats:
    """How long ago the oldest live byte was allocated if blocks were freed in the order of their birth, seconds.

    W(t) = t - A'(F(t)), where A' turns round the bytes ever allocated A. By Little's law (1961) it is the mean lifetime
    where load is steady, and where load changes it stays so: what is in use is load times lifetime, and this is the
    second factor. It rises when something is kept. One row, one value for each moment.
    """
    rising = allocated + np.arange(len(allocated)) * max(float(allocated[-1]), 1.0) * 1e-12
    return times - np.interp(np.minimum(freed, allocated), rising, times)
