# SPDX-License-Identifier: Apache-2.0
"""`heaptide demo`: whichever handler leaks, the answer names it, and the line; judged by the server's own account."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SEEDS = 20
SECONDS = "0.8"
ANSWER = re.compile(r"^leaks: (\w+) at ([\w.]+):(\d+), ", re.MULTILINE)


@pytest.mark.slow
def test_the_answer_follows_the_seed(tmp_path: Path, agent: Path, recorder: Path) -> None:
    named = set()
    for seed in range(SEEDS):
        environment = {**os.environ, "TRUTH": str(tmp_path / "truth"), "NO_COLOR": "1"}
        words = [sys.executable, "-m", "heaptide", "demo", "--seed", str(seed), "--seconds", SECONDS]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        truth = json.loads((tmp_path / "truth").read_text())
        answer = ANSWER.search(done.stdout)
        assert answer is not None, done.stdout
        assert (answer[1], answer[2], int(answer[3])) == (truth["function"], "server.c", truth["line"]), f"seed {seed}"
        named.add(answer[1])
    assert len(named) == 5, "each of the five handlers had its turn"
