# SPDX-License-Identifier: Apache-2.0
"""Exact intervals for shares: Clopper and Pearson (1934), by bisection of the binomial's tails."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


def at_most(k: int, n: int, p: float) -> float:
    """P(X <= k) for X ~ Binomial(n, p)."""
    if p <= 0 or k >= n:
        return 1.0
    if p >= 1:
        return 0.0
    logs = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(p) + (n - i) * math.log1p(-p)
        for i in range(k + 1)
    )
    return min(1.0, math.fsum(math.exp(value) for value in logs))


def _falls_to(level: float, of: Callable[[float], float]) -> float:
    """Where a falling function of p in [0, 1] reaches `level`."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if of(middle) > level else (low, middle)
    return (low + high) / 2


def upper_bound(k: int, n: int, confidence: float = 0.95) -> float:
    """One-sided: the share is below this, `confidence` of the time. 1 where nothing was counted."""
    return 1.0 if k >= n else _falls_to(1 - confidence, lambda p: at_most(k, n, p))


def lower_bound(k: int, n: int, confidence: float = 0.95) -> float:
    """One-sided: the share is above this."""
    return 1 - upper_bound(n - k, n, confidence)


@dataclass(frozen=True)
class Share:
    """`k` of `n`, with its two-sided 95 % interval."""

    k: int
    n: int

    @property
    def value(self) -> float:
        """nan where nothing was counted."""
        return self.k / self.n if self.n else math.nan

    @property
    def low(self) -> float:
        return lower_bound(self.k, self.n, 0.975)

    @property
    def high(self) -> float:
        return upper_bound(self.k, self.n, 0.975)

    def __str__(self) -> str:
        if not self.n:
            return "none of none"
        return f"{100 * self.value:5.1f} % ({self.k} of {self.n}; {100 * self.low:.1f} to {100 * self.high:.1f} %)"
