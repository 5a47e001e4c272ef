# SPDX-License-Identifier: Apache-2.0
"""What is measured of each site's series before anything is decided. Vectorised: one row for each site."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heaptide.analysis.growth import trend
from heaptide.analysis.growth.bins import bin_count, bin_means
from heaptide.model.histories import Histories

Floats = npt.NDArray[np.float64]

WARM_UP = 0.2
"""The first part of a run says nothing of its steady state."""
_WALK_LOSS = 1.05
"""Variance of the estimated drift of a random walk over that of the best one: between the ends' difference, 1, and
ordinary least squares, 6/5."""
_ALONE = 0.02
_OPEN_FROM = 24
"""With so many snapshots a spike of one snapshot is taken out."""


@dataclass(frozen=True, slots=True)
class Features:
    """Times are seconds of waking time, amounts bytes, rates bytes per second."""

    half: trend.Trend
    """Over the last half."""
    main: trend.Trend
    """Over all but the warm-up."""
    before: trend.Trend
    """Over what `main` has and `half` has not."""
    low: Floats
    high: Floats
    """95 % interval of `half`, with the sampling error's own skewness."""
    quantum: Floats
    """The grain of the series: the mean weight of a sample, or the mean size of a block."""
    kept: npt.NDArray[np.bool_]
    """Of what was allocated in the last half next to nothing was freed: what is live there does not come and go."""
    series: Floats
    """In use at each snapshot, single spikes taken out."""


def measure(histories: Histories, times: Floats, sampled: bool) -> Features:
    """Every feature of every row.

    Args:
        histories: the judged stretch alone.
        times: its moments in waking time, ascending.
        sampled: what the totals are.
    """
    series = opened(histories.in_use_bytes)
    quantum = grain(histories, sampled)
    begin, end = float(times[0]), float(times[-1])
    length = end - begin
    half = _fit(series, times, begin + length / 2, end, quantum)
    kept = is_kept(histories, times)
    low, high = interval(half, grain_variance(histories, times, quantum, sampled), kept, length / 2)
    return Features(
        half=half,
        main=_fit(series, times, begin + WARM_UP * length, end, quantum),
        before=_fit(series, times, begin + WARM_UP * length, begin + length / 2, quantum),
        low=low,
        high=high,
        quantum=quantum,
        kept=kept,
        series=series,
    )


def opened(series: Floats) -> Floats:
    """Without rises that last a single snapshot: the morphological opening over two neighbours (a minimum over each
    pair, then a maximum over the pairs that a moment is in). What rises and stays is left as it is."""
    if series.shape[1] < _OPEN_FROM:
        return series
    pairs = np.minimum(series[:, 1:], series[:, :-1])
    inner = np.maximum(pairs[:, 1:], pairs[:, :-1])
    return np.concatenate([pairs[:, :1], inner, pairs[:, -1:]], axis=1)


def grain(histories: Histories, sampled: bool) -> Floats:
    """See `Features.quantum`. A sample of weight w adds w² (1 - p) to the variance and w to the bytes."""
    allocated = histories.alloc_bytes[:, -1]
    over = histories.alloc_variance[:, -1] if sampled else np.square(allocated)
    under = allocated if sampled else allocated * histories.alloc_objects[:, -1]
    mean = np.divide(over, under, out=np.ones(len(over)), where=under > 0)
    result: Floats = np.maximum(mean, 1.0)
    return result


def is_kept(histories: Histories, times: Floats) -> npt.NDArray[np.bool_]:
    """See `Features.kept`."""
    middle = int(np.searchsorted(times, (times[0] + times[-1]) / 2))
    allocated = histories.alloc_bytes[:, -1] - histories.alloc_bytes[:, middle]
    freed = histories.free_bytes[:, -1] - histories.free_bytes[:, middle]
    result: npt.NDArray[np.bool_] = (allocated > 0) & (freed < _ALONE * allocated)
    return result


def grain_variance(histories: Histories, times: Floats, quantum: Floats, sampled: bool) -> Floats:
    """Variance of what is kept, for each byte of it, as a random walk over the last half: bytes.

    Of a sample's weight q each byte kept has the variance q. In exact mode blocks may come as regularly as they like:
    where nothing is freed, the steps of the series themselves tell; else nothing is known and it is zero.
    """
    if sampled:
        return quantum
    last = times >= (times[0] + times[-1]) / 2
    came = histories.alloc_bytes[:, last]
    gaps, steps = np.diff(times[last]), np.diff(came, axis=1)
    total = came[:, -1] - came[:, 0]
    excess = steps - (total / gaps.sum())[:, None] * gaps
    variance = np.square(excess).sum(axis=1) * len(gaps) / max(len(gaps) - 1, 1)
    result: Floats = np.divide(variance, total, out=np.zeros(len(total)), where=is_kept(histories, times))
    return result


def interval(fitted: trend.Trend, grains: Floats, kept: npt.NDArray[np.bool_], length: float) -> tuple[Floats, Floats]:
    """The 95 % interval of a rate, the part of the variance that is proportional to the rate taken at its ends.

    What is kept arrives in grains: at the rate r over a time T the variance of the estimated rate is at least r g / T
    for grains of g bytes. Wilson's (1927) reasoning: the ends are the rates for which the estimate would lie just
    within the error that *they* predict, not the error that the estimate predicts. Where all that comes is kept, all of
    the variance is of this kind, bursts and load included: what arrives is never less than nothing.
    """
    per_rate = _WALK_LOSS * grains / length
    whole = np.divide(np.square(fitted.spread), fitted.rate, out=np.zeros(len(grains)), where=fitted.rate > 0)
    per_rate = np.where(kept, np.maximum(per_rate, whole), per_rate)
    arrivals = per_rate * np.maximum(fitted.rate, 0.0)
    rest = np.maximum(np.square(fitted.spread) - arrivals, 0.0)
    ends = []
    for probability, sign in ((0.025, -1.0), (0.975, 1.0)):
        t = np.abs(fitted.quantile(probability) - fitted.rate) / fitted.spread
        skew = t * t * per_rate / 2
        ends.append(fitted.rate + skew + sign * t * np.sqrt(rest + arrivals + skew * per_rate / 2))
    return ends[0], ends[1]


def _fit(series: Floats, times: Floats, begin: float, end: float, quantum: Floats) -> trend.Trend:
    bins = bin_count(times, begin, end)
    means = series @ bin_means(times, begin, end, bins)
    return trend.fit(means, (end - begin) / bins, 0.3 * quantum)
