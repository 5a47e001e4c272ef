# SPDX-License-Identifier: Apache-2.0
"""The printed error of sampled totals, over many seeds of one program with known totals (bench/error_bars.py).

The full table is `python -m bench.error_bars --seeds 1000 --sample 64KiB --adaptive`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import error_bars

SEEDS = range(1, 1001)  # coverage of a true 95 % then spreads by 0.7 %
FEWER_SEEDS = range(1, 201)
WIDEST = 1.1  # of the Poisson half-width


def _check_bias_and_width(answers: Sequence[error_bars.Estimate], truth: int) -> error_bars.Summary:
    summary = error_bars.summarise(answers, truth)
    assert abs(summary.bias_in_standard_errors) < 3.5, summary
    assert summary.worst_width <= WIDEST, summary
    return summary


def test_fixed_interval(agent: Path, recorder: Path) -> None:
    """The 95 % interval covers the truth in 93 to 97 % of 1,000 seeds, with 50 to 300 samples live."""
    answers = error_bars.estimates(SEEDS, "64KiB")
    summaries = {value: _check_bias_and_width(answers[value], error_bars.TRUTH[value]) for value in error_bars.VALUES}
    assert 50 <= summaries["inuse_space"].mean_samples <= 300
    for summary in summaries.values():
        assert 0.93 <= summary.coverage <= 0.97, summary


def test_adaptive_interval(agent: Path, recorder: Path) -> None:
    """An interval that doubles on the way biases nothing. Of 200 seeds, at 95 %, fewer than 181 or more than 198 are
    covered by chance in one draw of a thousand; these are always the same draws."""
    answers = error_bars.estimates(FEWER_SEEDS, None)
    for value in error_bars.VALUES:
        summary = _check_bias_and_width(answers[value], error_bars.TRUTH[value])
        assert 181 <= summary.covered <= 198, summary


@pytest.mark.parametrize("sample", ["16KiB", "256KiB"])
def test_every_interval_is_unbiased(sample: str, agent: Path, recorder: Path) -> None:
    answers = error_bars.estimates(range(1, 61), sample)
    for value in error_bars.VALUES:
        _check_bias_and_width(answers[value], error_bars.TRUTH[value])
