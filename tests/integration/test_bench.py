# SPDX-License-Identifier: Apache-2.0
"""Is the bench in order? Tiny sizes, one round: the table has every row, every cell that can be had, nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import all_rows
from bench.figures import added, ratio_bound
from bench.programs import PROGRAMS

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ["what", "unit", "plain", "forwarding", "dormant", "sampled", "exact", "heaptrack", "gperftools", "jemalloc"]
NUMBER = r"[+-]?[0-9.]+"
CELL = re.compile(rf"-|{NUMBER}|{NUMBER} \({NUMBER}\)|x[0-9.]+ \(<= x[0-9.]+\)")


def table(*arguments: str) -> list[list[str]]:
    """The cells of `python -m bench --quick ARGUMENTS...`."""
    command = [sys.executable, "-m", "bench", "--quick", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "a progress bar is for terminals"
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    return [line.strip("| ").split(" | ") for line in lines if not line.startswith("|---")]


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT.parent / "shared" / "bench").exists(), reason="the shared workloads are not there")
@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++")
def test_every_row_has_its_cells() -> None:
    first, *lines = table()
    assert first == COLUMNS
    assert all(len(line) == len(COLUMNS) for line in lines)
    assert [cell for line in lines for cell in line[2:] if not CELL.fullmatch(cell)] == []
    text = "\n".join(line[0] for line in lines)
    for what in (
        "hot",
        "depth 5, 10k live",
        "depth 60, 1M live",
        "burst 64",
        "start and exit",
        "stall",
        "recorder's CPU",
    ):
        assert what in text
    for program in PROGRAMS:
        assert (f"{program.name}, user+sys" in text) == (program.missing() is None)
    ours = [line for line in lines if "user+sys" in line[0] or line[1] == "ns/pair"]
    assert all(cell != "-" for line in ours for cell in (line[2], line[5], line[6]))


def test_unknown_rows_are_named_with_the_known_ones() -> None:
    done = subprocess.run([sys.executable, "-m", "bench", "nonsense"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert all(row.name in done.stderr for row in all_rows())


def test_ratios_are_of_pairs() -> None:
    drifting = [1.0, 2.0, 4.0, 8.0]
    mean, bound = ratio_bound(drifting, [1.1 * value for value in drifting])
    assert mean == pytest.approx(1.1) and bound == pytest.approx(1.1)
    mean, bound = ratio_bound([1.0] * 8, [1.0, 1.2] * 4)
    assert 1.0 < mean < bound <= 1.2


def test_added_is_of_minima_and_medians() -> None:
    assert added({"plain": [10, 12, 11], "exact": [15, 19, 18]}) == {"plain": "10.0 (11.0)", "exact": "+5.0 (+7.0)"}
