# SPDX-License-Identifier: Apache-2.0
"""Every golden output of Google's pprof, byte for byte: its inputs, its options, our `heaptide pprof`.

The table of cases is read from the goldens' own folder; nothing here or in the product knows one by name.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from heaptide.cli import pprof_inputs, pprof_outputs
from heaptide.cli.pprof_flags import parse

GOLDENS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "pprof-goldens"
DRIVER, LEGACY = GOLDENS / "driver", GOLDENS / "legacy"
DEFAULTS = "-compact_labels -nodecount=20 -nodefraction=0.05 -edgefraction=0.01 -unit=minimum -symbolize=none"
BY_PROCESS = 3
"""Every so many cases go through a process of their own as well."""


def cases() -> list[tuple[Path, list[str]]]:
    """(golden, arguments), in the table's order."""
    if not GOLDENS.is_dir():
        return []
    rows = [line.split("\t") for line in (DRIVER / "cases.tsv").read_text().splitlines()]
    found = [
        (DRIVER / name, [*DEFAULTS.split(), *options.split(" "), str(DRIVER / "inputs" / f"{profile}.pb.gz")])
        for name, profile, options in rows
    ]
    texts = sorted(LEGACY.glob("*.string"))
    return found + [(text, ["-symbolize=none", "-raw", str(text.with_suffix(""))]) for text in texts]


CASES = cases()


def test_the_table_was_found(shared: Path) -> None:
    assert shared.is_dir() and len(CASES) >= 26


@pytest.mark.parametrize(("golden", "arguments"), CASES, ids=[golden.name for golden, _ in CASES])
def test_golden(golden: Path, arguments: list[str]) -> None:
    request = parse(arguments)
    assert pprof_outputs.render(request, pprof_inputs.gather(request)).decode() == golden.read_text()


@pytest.mark.parametrize(
    ("golden", "arguments"), CASES[::BY_PROCESS], ids=[golden.name for golden, _ in CASES[::BY_PROCESS]]
)
def test_golden_by_the_command(golden: Path, arguments: list[str]) -> None:
    run = subprocess.run([sys.executable, "-m", "heaptide", "pprof", *arguments], capture_output=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == golden.read_bytes()
