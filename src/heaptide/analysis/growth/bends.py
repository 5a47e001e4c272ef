# SPDX-License-Identifier: Apache-2.0
"""Whether growth goes on or runs out: a line against a curve that tends to a bound.

Three families of means are compared over the whole run but its first moments, each under every kind of noise of
`trend`:

    line   a + b t
    bound  a - c exp(-t / m)                  one of several m: the fill of anything of a limited size
    both   a - c exp(-t / m) + b t            a warm-up, and growth that goes on

by their marginal likelihoods: Student's integral over the noise's scale as in `trend`, regressors of unit spread, and a
unit normal prior on their coefficients once the series has unit spread too (O'Hagan and Forster 2004, chapter 7; such
a prior makes up for the third family's additional freedom).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from heaptide.analysis.growth import trend

Floats = npt.NDArray[np.float64]

_BOUND_MEMORIES = tuple(float(memory) for memory in np.geomspace(0.05, 0.6, 14))
_WARM_MEMORIES = (0.03, 0.06, 0.12, 0.2)
"""Parts of the run."""


@dataclass(frozen=True, slots=True)
class Bends:
    """For each series."""

    bounded: Floats
    """Probability that it tends to a bound."""
    bound: Floats
    """The bound, in the series' own unit, by the best such curve."""


@dataclass(frozen=True, slots=True)
class _Design:
    """One mean under one noise: what to multiply series by."""

    residual: Floats
    coefficients: Floats
    """regressors x points: the estimate of each regressor's coefficient."""
    log_weight: float
    family: int
    memory: float
    late: Floats
    """For each regressor by how much it rises over the last half."""


def compare(series: Floats) -> Bends:
    """Compares the families for equally spaced series, one in each row, that span the run."""
    count, points = series.shape
    spread = series.std(axis=1)
    unit = (series - series.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)[:, None]
    designs = _designs(points)
    logs, ends = np.empty((count, len(designs))), np.empty((count, len(designs)))
    for column, design in enumerate(designs):
        squares = np.square(unit @ design.residual.T).sum(axis=1) + 1e-9
        degrees = len(design.residual)
        logs[:, column] = design.log_weight - degrees / 2 * np.log(squares)
        ends[:, column] = unit @ design.coefficients[0]
        if design.family == 1:  # a curve that falls towards its bound is no fill
            logs[:, column] -= np.where(unit @ design.coefficients[1] > 0, 1e3, 0.0)
        if design.family == 2:  # and growth that goes on carries the last half
            logs[:, column] -= np.where(_runs_out(design, unit), 1e3, 0.0)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    bounded = np.array([design.family == 1 for design in designs])
    best = np.argmax(np.where(bounded, logs, -np.inf), axis=1)
    return Bends(
        bounded=weights[:, bounded].sum(axis=1) / weights.sum(axis=1),
        bound=series.mean(axis=1) + spread * ends[np.arange(count), best],
    )


@lru_cache(maxsize=64)
def _designs(points: int) -> tuple[_Design, ...]:
    time = (np.arange(points) + 0.5) / points
    means: list[tuple[int, float, list[Floats]]] = [(0, 0.0, [time - 0.5])]
    means += [(1, memory, [np.exp(-time / memory)]) for memory in _BOUND_MEMORIES]
    means += [(2, memory, [np.exp(-time / memory), time - 0.5]) for memory in _WARM_MEMORIES]
    sizes = {0: 1, 1: len(_BOUND_MEMORIES), 2: len(_WARM_MEMORIES)}
    return tuple(
        _design(covariance, regressors, family, memory, prior - math.log(sizes[family]))
        for covariance, prior in trend.noises(points)
        for family, memory, regressors in means
    )


def _design(covariance: Floats, regressors: Sequence[Floats], family: int, memory: float, prior: float) -> _Design:
    """Regressors are brought to unit spread; the constant is left as the value at their zero, so for a bound curve it
    is the bound."""
    points = len(covariance)
    scaled = [regressor / regressor.std() for regressor in regressors]
    design = np.stack([np.ones(points), *scaled], axis=1)
    factor = np.linalg.cholesky(covariance)
    whiten = np.linalg.inv(factor)
    basis, triangle = np.linalg.qr(whiten @ design, mode="complete")
    number = design.shape[1]
    square = triangle[:number]
    degrees = points - number
    log_weight = (
        prior
        - np.log(np.diag(factor)).sum()
        - np.log(np.abs(np.diag(square))).sum()
        + math.lgamma(degrees / 2)
        - degrees / 2 * math.log(math.pi)
        - (number - 1) * math.log(2 * math.pi) / 2
    )
    return _Design(
        residual=basis[:, number:].T @ whiten,
        coefficients=np.linalg.inv(square) @ basis[:, :number].T @ whiten,
        log_weight=float(log_weight),
        family=family,
        memory=memory,
        late=np.array([regressor[-1] - regressor[points // 2] for regressor in scaled]),
    )


def _runs_out(design: _Design, unit: Floats) -> npt.NDArray[np.bool_]:
    """Whether less than half of the last half's rise is the line's."""
    curve, line = (unit @ design.coefficients[place] * design.late[place - 1] for place in (1, 2))
    result: npt.NDArray[np.bool_] = line < curve
    return result
