# SPDX-License-Identifier: Apache-2.0
"""Shapes with known answers: that each family is what it says, and, for some, that the verdict agrees.

A cheap subset, with seeds at which the answer is far from any threshold. What the verdict is worth is measured by
`python -m bench.verdict`; its result stands in docs/design/0007-shapes-and-proofs.md.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench import verdict_runs as runs
from bench.verdict_runs import Case, TrueSite, Truth
from heaptide.analysis.growth import ACTING

SEED = 3


@pytest.fixture(scope="module")
def program() -> Path:
    return runs.build()


def _truth(program: Path, family: str, seed: int) -> Truth:
    """What a shape does, without a recorder."""
    done = subprocess.run([str(program), family, str(seed)], capture_output=True, check=True, timeout=120)
    return runs.read_truth(done.stdout)


@pytest.fixture(scope="module")
def truths(program: Path) -> dict[str, Truth]:
    """Every family, once."""
    return {family: _truth(program, family, SEED) for family in runs.families(program)}


# ---- The shapes are what they say ------------------------------------------------------------------------------------


def _sites(truths: dict[str, Truth], *verdicts: str) -> Iterator[tuple[str, TrueSite]]:
    for family, truth in truths.items():
        yield from ((family, site) for site in truth.sites if site.verdict in verdicts)


def test_there_are_families_enough(program: Path) -> None:
    families = runs.families(program)
    assert sum(families.values()) >= 20 and sum(not leaks for leaks in families.values()) >= 20


def test_a_family_leaks_if_a_site_does(program: Path, truths: dict[str, Truth]) -> None:
    for family, leaks in runs.families(program).items():
        assert leaks == any(site.verdict in ACTING for site in truths[family].sites), family


def test_same_seed_same_run(program: Path) -> None:
    first, again, other = (_truth(program, "leak-steady", seed) for seed in (7, 7, 8))
    assert [site.curve.tolist() for site in first.sites] == [site.curve.tolist() for site in again.sites]
    assert first.duration_s != other.duration_s


def test_what_leaks_grows_at_the_said_rate(truths: dict[str, Truth]) -> None:
    """Over the second half, as far as chance lets it: blocks arrive at random under a load that wavers."""
    known = [(family, site) for family, site in _sites(truths, "leak", "growing") if site.bytes_per_hour]
    assert len(known) > 30
    ratios = []
    for family, site in known:
        half = truths[family].duration_s / 2 / 3600
        ratios.append((site.curve[-1] - site.curve[len(site.curve) // 2]) / half / site.bytes_per_hour)
        assert 0.3 < ratios[-1] < 3, (family, site.function, ratios[-1])
    assert np.mean(ratios) == pytest.approx(1, abs=0.15)


def test_what_does_not_leak_does_not_grow(truths: dict[str, Truth]) -> None:
    """The last third lies no higher than the rest of the run had come."""
    for family, site in _sites(truths, "steady", "filling", "cyclic"):
        if family == "flat-load-doubles" or not site.curve.any():
            continue
        third = len(site.curve) // 3
        highest = site.curve[: 2 * third].max()
        assert np.median(site.curve[-third:]) <= 1.3 * highest, (family, site.function)


def test_steps_stand_in_the_curve(truths: dict[str, Truth]) -> None:
    for family in ("grow-single-step", "grow-overnight-jump", "grow-rare-steps"):
        truth = truths[family]
        assert truth.steps
        (site,) = [one for one in truth.sites if one.function == truth.steps[0].function]
        assert site.curve[-1] == pytest.approx(sum(step.bytes for step in truth.steps), rel=0.01)
        assert site.curve[: len(site.curve) // 4].max() == 0


# ---- The verdict agrees ----------------------------------------------------------------------------------------------

FOUND = ("leak-steady", "leak-fast", "leak-child", "leak-mmap", "leak-spread", "grow-backlog", "grow-overnight-jump")
QUIET = ("flat-nothing", "flat-churn", "flat-mmap", "flat-clock-jumps", "fill-cache", "cycle-sawtooth", "cycle-daily")


@pytest.mark.parametrize("family", FOUND)
def test_found(program: Path, recorder: Path, agent: Path, family: str) -> None:
    """Every site that grows acts, no other does, and steps stand at the right snapshot."""
    judged = runs.run(program, Case(family, SEED, "exact"))
    assert [one.function for one in judged.outcomes if one.acts] == [
        one.function for one in judged.outcomes if one.grows
    ]
    assert all(step.right for step in judged.steps), judged.steps
    assert bool(judged.steps) == bool(judged.truth.steps)


@pytest.mark.parametrize("family", ["leak-fast", "grow-overnight-jump"])
def test_found_by_samples(program: Path, recorder: Path, agent: Path, family: str) -> None:
    judged = runs.run(program, Case(family, SEED, "sampled"))
    assert all(one.acts for one in judged.outcomes if one.grows) and not judged.false_alarms


@pytest.mark.parametrize("family", QUIET)
@pytest.mark.parametrize("mode", runs.MODES)
def test_no_false_alarm(program: Path, recorder: Path, agent: Path, family: str, mode: runs.Mode) -> None:
    judged = runs.run(program, Case(family, SEED, mode))
    assert judged.outcomes or family == "flat-nothing"
    assert not judged.false_alarms
