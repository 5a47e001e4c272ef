# SPDX-License-Identifier: Apache-2.0
"""The statistics under the verdict, held against simulation, quadrature and tables."""

from __future__ import annotations

import math

import numpy as np
import pytest

from heaptide.analysis.growth import bends, features, trend
from heaptide.analysis.growth.bins import BINS, bin_count, bin_means
from heaptide.analysis.growth.clock import waking

RUNS = 600
SPREAD = 4.5 * math.sqrt(0.95 * 0.05 / RUNS)
"""Four and a half standard errors of a coverage of 95 %."""


def drifting(rng: np.random.Generator, noise: str, points: int = 48) -> np.ndarray:
    """Series with a slope of 1 per point; as in a recording, each point is the mean over a bin."""
    walk = rng.normal(size=(RUNS, points * 8)).cumsum(axis=1).reshape(RUNS, points, 8).mean(axis=2) / math.sqrt(8)
    white = rng.normal(size=(RUNS, points))
    return np.arange(points) + {"white": 5 * white, "walk": walk, "both": walk / 3 + 2 * white}[noise]


@pytest.mark.parametrize("noise", ["white", "walk", "both"])
def test_the_interval_covers_the_slope_whatever_the_noise(noise: str) -> None:
    """At least as often as it says, but for what a mixture of colours may lack (0006 has the figures at length)."""
    fitted = trend.fit(drifting(np.random.default_rng(1), noise), 1.0, np.full(RUNS, 1e-6))
    inside = (fitted.quantile(0.025) < 1) & (fitted.quantile(0.975) > 1)
    assert inside.mean() > 0.93 - SPREAD


def test_the_estimate_is_unbiased() -> None:
    fitted = trend.fit(drifting(np.random.default_rng(2), "walk"), 0.5, np.full(RUNS, 1e-6))
    assert fitted.rate.mean() == pytest.approx(2.0, abs=5 * fitted.rate.std() / math.sqrt(RUNS))


def test_arrivals_of_grains_are_covered_even_when_few() -> None:
    """Poisson arrivals at random moments, some fifteen in the stretch: the interval knows that counts are skewed."""
    rng, length = np.random.default_rng(3), 1000.0
    times = np.linspace(0, length, 200)
    series = np.stack([np.searchsorted(np.sort(rng.uniform(0, length, rng.poisson(15))), times) for _ in range(RUNS)])
    bins = bin_count(times, 0, length)
    fitted = trend.fit(series @ bin_means(times, 0, length, bins), length / bins, np.full(RUNS, 0.3))
    low, high = features.interval(fitted, np.ones(RUNS), np.ones(RUNS, bool), length)
    inside = (low < 0.015) & (high > 0.015)
    assert 0.95 - SPREAD < inside.mean() <= 1
    assert (low[fitted.rate > 0] > 0).all(), "what is kept cannot have come at less than nothing"


def test_a_level_series_has_no_slope() -> None:
    fitted = trend.fit(np.full((1, 24), 7.0), 1.0, np.array([1.0]))
    assert fitted.rate[0] == pytest.approx(0, abs=1e-9)
    assert fitted.below(0.0)[0] == pytest.approx(0.5, abs=1e-6)


# Quantiles of Student's distribution from the usual tables.
@pytest.mark.parametrize(("degrees", "value", "below"), [(5, 2.571, 0.975), (10, 2.764, 0.99), (30, -2.042, 0.025)])
def test_students_distribution(degrees: float, value: float, below: float) -> None:
    assert trend.student_below(np.array([value]), degrees)[0] == pytest.approx(below, abs=1e-3)


@pytest.mark.parametrize("value", [-8.0, -3.0, -0.5, 0.0, 1.0, 5.0])
def test_the_normal_distribution_and_its_tails(value: float) -> None:
    assert trend.normal_below(np.array([value]))[0] == pytest.approx(math.erfc(-value / math.sqrt(2)) / 2, rel=1e-6)


def test_bin_means_are_those_of_the_broken_line() -> None:
    times, values = np.array([0, 1, 3, 4.5, 9, 10.0]), np.array([1, 2, 0, 5, 5, 7.0])
    fine = np.linspace(2, 10, 800_001)
    line = np.interp(fine, times, values)
    expected = [line[(fine >= 2 + 2 * k) & (fine < 4 + 2 * k)].mean() for k in range(4)]
    assert values @ bin_means(times, 2, 10, 4) == pytest.approx(expected, abs=1e-4)


def test_bins_bear_two_snapshots() -> None:
    assert bin_count(np.arange(1000.0), 0, 999) == max(BINS)
    assert bin_count(np.arange(61.0), 0, 60) == 24
    assert bin_count(np.arange(4.0), 0, 3) == min(BINS)


def test_what_tends_to_a_bound_is_told_from_what_goes_on() -> None:
    rng, time = np.random.default_rng(4), np.linspace(0, 1, 48)
    noise = rng.normal(size=(2, 48)).cumsum(axis=1) * 0.5
    found = bends.compare(np.stack([100 * (1 - np.exp(-time / 0.2)), 100 * time]) + noise)
    assert found.bounded[0] > 0.95 and found.bounded[1] < 0.05
    assert found.bound[0] == pytest.approx(100, rel=0.15)


def test_sleep_is_no_time() -> None:
    awake = np.concatenate([np.arange(0, 500, 10.0), np.arange(3600 * 8, 3600 * 8 + 500, 10.0)])
    allocated = np.concatenate([np.arange(50) * 1e6, 50e6 + np.arange(50) * 1e6])
    assert waking(awake, allocated)[-1] == pytest.approx(1000, abs=20)


def test_a_long_gap_in_which_the_program_worked_is_time() -> None:
    """So the budget thins the past."""
    offsets = np.array([0.0, 400, 410, 420, 430, 440])
    assert waking(offsets, offsets * 1e5)[-1] == 440
