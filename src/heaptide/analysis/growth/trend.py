# SPDX-License-Identifier: Apache-2.0
"""The slope of a noisy series, and how sure it is when nobody knows the colour of the noise.

A heap's series is not a line plus independent errors. What is left after the line is correlated (live blocks are shared
by neighbouring snapshots, load comes and goes), and a leak's own arrivals are a random walk. Each kind of noise asks
for another estimator and gives another error, and which kind it is cannot be told from one short series. So the slope
is averaged over a family of noise models, each weighted by how well it explains the series:

    y = a + b t + e,   e ~ N(0, s² K_m),   prior of s²: scaled inverse chi² (NU degrees, scale `floor`), flat in a, b

For each model m the posterior of b is Student's t with n - 2 + NU degrees about the generalised least squares estimate,
and the model's weight is its restricted likelihood (Harville 1974; Zellner 1971, chapter 3, for the integral over s).
K_m are mixtures of white noise, first-order autoregressions of several memories and random walks; the random walk's
estimate is nearly the difference of the ends, white noise's is ordinary least squares. Müller and Watson (2008, 2016)
reason in this way about trends of few low frequencies.

All matrices depend on the number of points alone, so any number of series costs a few matrix products.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

NU = 1.0
"""Degrees of freedom that the floor of the noise counts for."""
_WALK_SHARES = (0.01, 0.1, 0.5)
_WALK_MEMORIES = (0.0, 2.0)
_MEMORIES = (0.0, 1.0, 2.0, 4.0, 8.0)
_WALK_PRIOR = 16.0
"""How much likelier a pure random walk is beforehand than each other model: what is kept arrives at random. Noise of a
memory near the whole stretch cannot be told from it, and is taken for it."""
_TIDE_MEMORY, _TIDE_PRIOR = 2.0, 4.0
"""Of a walk whose steps have a memory: what is kept arrives with the load, and load lasts."""
_QUANTILE_STEPS = 40


@dataclass(frozen=True, slots=True)
class Trend:
    """Slopes of many series, per unit of time. The posterior is a mixture of Student's t: one column for each model."""

    rate: Floats
    """Mean of the posterior, one for each series."""
    spread: Floats
    """Standard deviation of the posterior."""
    centres: Floats
    scales: Floats
    weights: Floats
    degrees: float

    def below(self, value: Floats | float) -> Floats:
        """Posterior probability that the slope is at most `value`."""
        at = np.broadcast_to(np.asarray(value, np.float64), self.rate.shape)
        z = (at[:, None] - self.centres) / self.scales
        result: Floats = (self.weights * student_below(z, self.degrees)).sum(axis=1)
        return result

    def quantile(self, probability: float) -> Floats:
        """The slope below which the posterior has this probability, by bisection."""
        reach = 40 * self.scales.max(axis=1)
        low, high = self.centres.min(axis=1) - reach, self.centres.max(axis=1) + reach
        for _ in range(_QUANTILE_STEPS):
            middle = (low + high) / 2
            less = self.below(middle) < probability
            low, high = np.where(less, middle, low), np.where(less, high, middle)
        result: Floats = (low + high) / 2
        return result


@dataclass(frozen=True, slots=True)
class _Model:
    """One kind of noise over n points, ready for use."""

    residual: Floats
    """n - 2 rows: series -> independent coordinates of what the line leaves, whitened."""
    slope: Floats
    """A row: series -> the generalised least squares estimate of b."""
    slope_scale: float
    """Standard deviation of b for s = 1."""
    log_weight: float


def fit(series: Floats, step: float, floor: Floats) -> Trend:
    """Slopes of equally spaced series.

    Args:
        series: one row for each; at least 6 points.
        step: time between points.
        floor: for each series a standard deviation below which its noise is not believed to be (block sizes, the
            sampling interval), above zero.
    """
    count, points = series.shape
    models = _models(points)
    degrees = points - 2 + NU
    centres, scales, logs = (np.empty((count, len(models))) for _ in range(3))
    for column, model in enumerate(models):
        squares = np.square(series @ model.residual.T).sum(axis=1) + NU * np.square(floor)
        centres[:, column] = series @ model.slope / step
        scales[:, column] = np.sqrt(squares / degrees) * model.slope_scale / step
        logs[:, column] = model.log_weight - degrees / 2 * np.log(squares)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    rate = (weights * centres).sum(axis=1)
    variance = np.square(scales) * degrees / (degrees - 2) + np.square(centres - rate[:, None])
    return Trend(rate, np.sqrt((weights * variance).sum(axis=1)), centres, scales, weights, degrees)


@lru_cache(maxsize=64)
def _models(points: int) -> tuple[_Model, ...]:
    return tuple(_model(covariance, prior) for covariance, prior in noises(points))


@lru_cache(maxsize=64)
def noises(points: int) -> tuple[tuple[Floats, float], ...]:
    """The family of covariances of so many points, and the logarithms of their prior weights.

    Each is scaled so that what a line leaves of it has unit mean square.

    The points are means over bins. Of a random walk the means over bins i < j have the covariance i + 1/2, and the
    variance i + 1/3: their steps are correlated, and taking them for independent ones halves the error of the slope.
    """
    where = np.arange(points)
    apart = np.abs(where[:, None] - where[None, :])
    stationary = {
        memory: _scaled(np.exp(-apart / memory) if memory else np.eye(points))
        for memory in _MEMORIES
        if memory <= points / 2
    }
    walk = _scaled(np.minimum(where[:, None], where[None, :]) + 1 / 2 - np.eye(points) / 6)
    mixed = [
        (1 - share) * stationary[memory] + share * walk
        for share in _WALK_SHARES
        for memory in _WALK_MEMORIES
        if memory in stationary
    ]
    sums = np.tril(np.ones((points, points)))
    tide = _scaled(sums @ np.exp(-apart / _TIDE_MEMORY) @ sums.T)
    return (
        *((covariance, 0.0) for covariance in [*stationary.values(), *mixed]),
        (walk, math.log(_WALK_PRIOR)),
        (tide, math.log(_TIDE_PRIOR)),
    )


def _scaled(covariance: Floats) -> Floats:
    rest = _rest(len(covariance))
    scaled: Floats = covariance / np.trace(rest @ covariance @ rest.T) * (len(covariance) - 2)
    return scaled


def _rest(points: int) -> Floats:
    """n - 2 orthonormal rows, orthogonal to every line."""
    line = np.stack([np.ones(points), np.arange(points)], axis=1)
    whole, _ = np.linalg.qr(line, mode="complete")
    rows: Floats = whole[:, 2:].T
    return rows


def _model(covariance: Floats, prior: float) -> _Model:
    points = len(covariance)
    factor = np.linalg.cholesky(covariance)
    whiten = np.linalg.inv(factor)
    line = np.stack([np.ones(points), np.arange(points) - (points - 1) / 2], axis=1)
    basis, triangle = np.linalg.qr(whiten @ line, mode="complete")
    inverse = np.linalg.inv(triangle[:2])
    log_weight = prior - np.log(np.diag(factor)).sum() - np.log(np.abs(np.diag(triangle[:2]))).sum()
    return _Model(
        residual=basis[:, 2:].T @ whiten,
        slope=inverse[1] @ basis[:, :2].T @ whiten,
        slope_scale=float(np.sqrt(np.square(inverse[1]).sum())),
        log_weight=float(log_weight),
    )


def student_below(value: Floats, degrees: float) -> Floats:
    """Student's distribution function, by Wallace's normal approximation (1959), within 1e-3 for 5 degrees and more."""
    ratio = (8 * degrees + 1) / (8 * degrees + 3)
    return normal_below(np.sign(value) * ratio * np.sqrt(degrees * np.log1p(np.square(value) / degrees)))


def normal_below(value: Floats) -> Floats:
    """The normal distribution function; relative error of each tail below 1.2e-7 (Press et al., erfcc)."""
    z = np.abs(value) / np.sqrt(2)
    t = 1 / (1 + z / 2)
    coefficients = (
        0.17087277,
        -0.82215223,
        1.48851587,
        -1.13520398,
        0.27886807,
        -0.18628806,
        0.09678418,
        0.37409196,
        1.00002368,
        -1.26551223,
    )
    tail = t * np.exp(-z * z + np.polyval(coefficients, t)) / 2
    result: Floats = np.where(value < 0, tail, 1 - tail)
    return result
