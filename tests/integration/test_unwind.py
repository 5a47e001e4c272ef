# SPDX-License-Identifier: Apache-2.0
"""Every capture of the agent against libgcc's unwinder, pc by pc, in real programs and in a torture test.

The checking library is the agent's own sources with two functions wrapped (native/tests/unwind_check.c); it stands in
the agent's place and appends its verdict to a file when a process ends.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

VERDICT = re.compile(r"^captures (\d+) mismatches (\d+) guessed (\d+)$", re.MULTILINE)


@pytest.fixture(scope="session")
def checker(native_build: ModuleType, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("unwind") / "libunwindcheck.so"
    part = native_build.AGENT
    sources = [*native_build.sources(part), repository / "native" / "tests" / "unwind_check.c"]
    wraps = [f"-Wl,--wrap={name}" for name in ("ht_unwind", "ht_memo_capture")]
    flags = [*native_build.COMMON, *part.compile_flags, "-I", str(repository / "native")]
    command = ["cc", *flags, *wraps, *map(str, sources), "-o", str(output), *part.link_flags, "-lgcc_s"]
    subprocess.run(command, check=True)
    return output


def captures(checker: Path, folder: Path, command: Sequence[str]) -> int:
    """Runs `command` under the checker; fails on any mismatch. The number of captures compared."""
    verdicts = folder / "verdicts"
    environment = {
        "LD_PRELOAD": str(checker),
        "HEAPPROFILE": str(folder / "profile"),
        "UNWIND_CHECK": str(verdicts),
        "PYTHONMALLOC": "malloc",
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = verdicts.read_text()
    rows = [[int(n) for n in row] for row in VERDICT.findall(text)]
    assert sum(row[1] for row in rows) == 0, text[:4000]
    return sum(row[0] for row in rows)


def test_torture(checker: Path, tmp_path: Path, repository: Path) -> None:
    program = tmp_path / "unwind_edges"
    source = repository / "tests" / "torture" / "unwind_edges.cpp"
    subprocess.run(["c++", "-O2", "-g", "-pthread", str(source), "-o", str(program)], check=True)
    assert captures(checker, tmp_path, [str(program)]) > 100_000


def test_python(checker: Path, tmp_path: Path) -> None:
    code = "import json, re, decimal; json.loads(json.dumps(list(range(3000)))); decimal.Decimal(2).sqrt()"
    assert captures(checker, tmp_path, [sys.executable, "-c", code]) > 10_000


def test_jq(checker: Path, tmp_path: Path, need: object) -> None:
    need("jq")  # type: ignore[operator]
    assert captures(checker, tmp_path, ["jq", "-n", "[range(20000)|tostring]|length"]) > 10_000


def test_compiler(checker: Path, tmp_path: Path, repository: Path) -> None:
    source = repository / "tests" / "torture" / "unwind_edges.cpp"
    assert captures(checker, tmp_path, ["g++", "-O1", "-c", str(source), "-o", str(tmp_path / "x.o")]) > 10_000
