# SPDX-License-Identifier: Apache-2.0
"""Commands of ours, started as a person starts them, and what they print."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_PROFILERS = ("HEAPTIDE_", "HEAPPROFILE", "HEAP_PROFILE_", "LD_PRELOAD")


def clean_environment() -> dict[str, str]:
    """Ours, without a profiler's variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_PROFILERS)}


def heaptide(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command, to its end."""
    command = [sys.executable, "-m", "heaptide", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=clean_environment(), check=False)


def done(run: subprocess.CompletedProcess[str]) -> str:
    """What a command printed that went well."""
    assert run.returncode == 0, run.stderr
    return run.stdout
