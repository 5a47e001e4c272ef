# SPDX-License-Identifier: Apache-2.0
"""The verdict on simulated sites (`bench.growth_shapes`), a few of each family: none quiet accused, the loud found.

The proof with real programs is `bench.verdict`; this is what can be had in seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench import growth_shapes as gs
from heaptide.analysis.growth.decide import Setting, decide
from heaptide.analysis.growth.result import ACTING, Judgement

Shape = Callable[[gs.Rng, float], gs.Site]
SEEDS = range(3)
FOUND = {
    gs.plain_leak,
    gs.regular_leak,
    gs.leak_in_waves,
    gs.doubling,
}
"""Families that are found at every seed; the others hold runs in which nothing could be."""


def judged(shape: Shape, seed: int, sampled: bool) -> tuple[gs.Site, Judgement, np.ndarray]:
    rng = np.random.default_rng([seed, 77])
    length = gs.log_uniform(rng, 60, 10000)
    site, times = shape(rng, length), gs.snapshot_times(rng, length)
    kept = site.blocks.size[np.isinf(site.blocks.died)].sum()
    interval = max(kept, site.blocks.size.sum() / 200) / 100 if sampled else None
    history = gs.histories([site], times, rng, interval)
    floor = 0.05 * float(history.in_use_bytes.max()) / length
    return site, decide(history, times, Setting(sampled, floor))[0], times


@pytest.mark.parametrize("sampled", [False, True], ids=["exact", "sampled"])
@pytest.mark.parametrize("shape", gs.QUIET, ids=lambda shape: shape.__name__)
def test_no_quiet_shape_is_accused(shape: Shape, sampled: bool) -> None:
    for seed in SEEDS:
        _, told, _ = judged(shape, seed, sampled)
        assert told.verdict not in ACTING, (seed, told)
        assert told.confidence < 0.5


@pytest.mark.parametrize("sampled", [False, True], ids=["exact", "sampled"])
@pytest.mark.parametrize("shape", sorted(FOUND, key=lambda shape: shape.__name__), ids=lambda shape: shape.__name__)
def test_what_grows_is_found(shape: Shape, sampled: bool) -> None:
    for seed in SEEDS:
        site, told, _ = judged(shape, seed, sampled)
        assert told.verdict in ACTING and told.confidence > 0.9, (seed, told)
        assert site.truth == "growing" or told.rate == pytest.approx(site.rate, rel=0.7)


def jump(at: float, length: float = 14400.0) -> tuple[gs.Blocks, np.ndarray]:
    """Churn of 100 KB, and 15 MB at once that stay."""
    rng = np.random.default_rng(5)
    born = gs.arrivals(rng, 20000, length)
    churn = gs.Blocks(born, born + rng.exponential(length * 1e-3, len(born)), np.full(len(born), 5000.0))
    kept = gs.Blocks(np.full(150, at), np.full(150, np.inf), np.full(150, 1e5))
    return churn + kept, gs.snapshot_times(rng, length)


@pytest.mark.parametrize("interval", [None, 512 * 1024.0], ids=["exact", "sampled"])
def test_one_jump_after_hours_of_flat(interval: float | None) -> None:
    blocks, times = jump(9876.0)
    history = gs.histories([gs.Site(blocks, "growing")], times, np.random.default_rng(6), interval)
    (told,) = decide(history, times, Setting(interval is not None, 1.0))
    assert told.verdict == "growing" and len(told.steps) == 1
    assert times[told.steps[0] - 1] < 9876 <= times[told.steps[0]]
    assert told.step_bytes[0] == pytest.approx(15e6, rel=0.5 if interval else 0.05)


def test_a_jump_at_the_start_is_the_start() -> None:
    blocks, times = jump(700.0)
    (told,) = decide(
        gs.histories([gs.Site(blocks, "steady")], times, np.random.default_rng(6)), times, Setting(False, 1)
    )
    assert told.verdict not in ACTING


def test_a_load_that_begins_late_is_no_jump() -> None:
    """From nothing to a level at once, and every block of it is replaced again and again."""
    rng, length = np.random.default_rng(7), 10000.0
    born = np.sort(rng.uniform(6000, length, 40000))
    blocks = gs.Blocks(born, born + rng.exponential(20, len(born)), np.full(len(born), 1000.0))
    times = gs.snapshot_times(rng, length)
    (told,) = decide(gs.histories([gs.Site(blocks, "steady")], times, rng), times, Setting(False, 1.0))
    assert told.verdict not in ACTING


def test_rates_below_the_wanted_one_are_not_accused() -> None:
    rng, length = np.random.default_rng(8), 10000.0
    site, times = gs.regular_leak(rng, length), gs.snapshot_times(rng, length)
    history = gs.histories([site], times, rng)
    assert decide(history, times, Setting(False, 1.0))[0].verdict == "leak"
    assert decide(history, times, Setting(False, 1.0, min_rate=10 * site.rate))[0].verdict not in ACTING


def test_what_would_have_shown_does_show() -> None:
    """A leak of the rate that a quiet site names is found at that site in nearly every run."""
    found = 0
    for seed in range(12):
        rng, length = np.random.default_rng([seed, 9]), 3000.0
        born = gs.arrivals(rng, 30000, length)
        churn = gs.Blocks(born, born + rng.exponential(30, len(born)), np.full(len(born), 100.0))
        times = gs.snapshot_times(rng, length)
        (quiet,) = decide(gs.histories([gs.Site(churn, "steady")], times, rng), times, Setting(False, 1.0))
        leak = gs.kept(rng, length, quiet.detectable * length / 100, 99.5)
        (told,) = decide(gs.histories([gs.Site(churn + leak, "leak")], times, rng), times, Setting(False, 1.0))
        found += told.verdict in ACTING
    assert found >= 10
