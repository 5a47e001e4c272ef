# SPDX-License-Identifier: Apache-2.0
"""The demo's answer follows what really leaks: over twenty seeds, against the server's own account of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("seed", range(20))
def test_the_answer_follows_the_leak(tmp_path: Path, agent: Path, recorder: Path, seed: int) -> None:
    truth = tmp_path / "truth.json"
    run = subprocess.run(
        [sys.executable, "-m", "heaptide", "demo", "--seed", str(seed), "--seconds", "0.8"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TRUTH": str(truth)},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    leaked = json.loads(truth.read_text())
    answer = re.search(r"^leaks: (\w+) at server\.c:(\d+), ", run.stdout, re.MULTILINE)
    assert answer is not None, run.stdout
    assert (answer[1], int(answer[2])) == (leaked["function"], leaked["line"])


def test_five_seeds_leak_in_five_places() -> None:
    from heaptide.cli.demo import HANDLERS

    assert {seed % HANDLERS for seed in range(20)} == set(range(5))


def test_no_compiler_is_said(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "heaptide", "demo"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PATH": "/nonexistent", "CC": ""},
        check=False,
    )
    assert run.returncode == 4 and "needs a C compiler" in run.stderr and "apt install gcc" in run.stderr
