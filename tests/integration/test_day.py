# SPDX-License-Identifier: Apache-2.0
"""A long day in short: threads and libraries that come and go, new stacks throughout; see bench/day.py.

At full length: python -m bench.day (docs/design/0005-evidence-issue3.md has its result).
"""

from __future__ import annotations

from pathlib import Path

import pytest

import heaptide
from bench import day

ROUNDS, PAIRS = 200, 10_000
STACKS = ROUNDS * day.NEW_STACKS
OTHERS = 50
"""At most, of the loader, of threads' starts and of the libraries."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, agent: Path, recorder: Path) -> list[str]:
    return day.build(tmp_path_factory.mktemp("day"))


def test_exact_totals_and_no_stack_twice(built: list[str], tmp_path: Path) -> None:
    ran = day.run(built, "exact", ROUNDS, PAIRS, tmp_path)
    assert ran.path is not None and ran.allocations > ROUNDS * PAIRS
    spent = day.upkeep(ran.path)
    assert day.differences(ran, heaptide.open(ran.path)) == dict.fromkeys(ran.truth, (0, 0, 0, 0))
    assert STACKS <= spent.stacks <= STACKS + OTHERS, "libraries that take turns make no new stacks of old ones"
    assert not day.lost(spent)


def test_sampled_within_its_error(built: list[str], tmp_path: Path) -> None:
    ran = day.run(built, "sampled", ROUNDS, PAIRS, tmp_path)
    assert ran.path is not None
    series = heaptide.open(ran.path)
    off = day.differences(ran, series)["takes"][0]
    assert abs(off) <= 2.5 * series.at(series.snapshots[-1]).error("alloc_space"), "five standard errors"
    assert not day.lost(day.upkeep(ran.path))
