# SPDX-License-Identifier: Apache-2.0
"""Leaks of released software, judged: found at the right place where they are, no alarm where they are not.

A short form of `python -m bench.verdict_real`, which runs the same triggers for 20 s each, as they are meant to be run.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench import verdict_real
from heaptide.analysis.growth import Growth

SECONDS = 5.0
JOBS = 5  # they sleep most of their time
TRIALS = {trial.name: trial for trial in verdict_real.trials(SECONDS)}


@pytest.fixture(scope="module")
def answers(
    shared: Path, recorder: Path, agent: Path, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Growth | str]:
    """What was told of each trial, or why it could not be run."""
    packages = tmp_path_factory.mktemp("packages")

    def why_not(trial: verdict_real.Trial) -> str:
        if not trial.leak.python:
            return "" if shutil.which("jq") else "jq is not installed (tests/system-packages.txt)"
        try:
            verdict_real.install(trial.leak.name, trial.version, packages)
        except RuntimeError as error:
            return str(error)
        return ""

    missing = {name: why_not(trial) for name, trial in TRIALS.items()}

    def answer(name: str) -> Growth | str:
        return missing[name] or verdict_real.record(TRIALS[name], packages, tmp_path_factory.mktemp("trial"))

    with ThreadPoolExecutor(JOBS) as pool:
        return dict(zip(TRIALS, pool.map(answer, TRIALS), strict=True))


@pytest.mark.parametrize("name", TRIALS)
def test_known_leak(answers: Mapping[str, Growth | str], name: str) -> None:
    growth = answers[name]
    if isinstance(growth, str):
        pytest.skip(growth)
    assert verdict_real.is_right(TRIALS[name], growth), verdict_real.describe(TRIALS[name], growth)
