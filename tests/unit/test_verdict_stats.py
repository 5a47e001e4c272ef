# SPDX-License-Identifier: Apache-2.0
"""Exact bounds of shares, against closed forms and published values."""

from __future__ import annotations

import math

import pytest

from bench.verdict_stats import Share, at_most, lower_bound, upper_bound


def test_tails_are_the_binomials() -> None:
    n, p = 12, 0.3
    exact = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    for k in range(n + 1):
        assert at_most(k, n, p) == pytest.approx(sum(exact[: k + 1]))
    assert at_most(3, n, 0) == 1 and at_most(3, n, 1) == 0 and at_most(n, n, 1) == 1


@pytest.mark.parametrize("n", [1, 10, 628])
def test_nothing_seen_has_a_closed_form(n: int) -> None:
    assert upper_bound(0, n) == pytest.approx(1 - 0.05 ** (1 / n))
    assert lower_bound(n, n) == pytest.approx(0.05 ** (1 / n))


def test_two_of_628_are_below_one_percent() -> None:
    """Why it is 628 runs: one fewer does not do."""
    assert upper_bound(2, 628) < 0.01 < upper_bound(2, 627)


def test_published_interval() -> None:
    """5 of 10 and 8 of 10, from the tables of Clopper and Pearson (1934) as printed in textbooks."""
    assert (Share(5, 10).low, Share(5, 10).high) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    assert (Share(8, 10).low, Share(8, 10).high) == pytest.approx((0.4439, 0.9748), abs=1e-4)


def test_a_share_of_nothing() -> None:
    assert math.isnan(Share(0, 0).value) and str(Share(0, 0)) == "none of none"
    assert upper_bound(0, 0) == 1
