# SPDX-License-Identifier: Apache-2.0
"""Recording is armed and disarmed from outside while the program runs (`heaptide-record --arm PID`, `--disarm PID`)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

import heaptide
from tests.integration.realworld import is_finished, wait_until

PHASE_BYTES = 1_000_000
LAG_BYTES = 64 << 10
"""A disarmed thread looks again after so many bytes (HT_DORMANT_BYTES)."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    output = tmp_path_factory.mktemp("switch") / "phases"
    source = repository / "tests" / "torture" / "phases.c"
    subprocess.run(["cc", "-O1", "-g", str(source), "-o", str(output)], check=True)
    return output


def allocated(recorder: Path, program: Path, capture: Path, mode: Sequence[str], orders: Sequence[str]) -> float:
    """Bytes that `phase` allocated by the capture; an order is given after each of the first two phases."""
    armed = "0" if orders[0] == "--arm" else "1"
    with subprocess.Popen(
        [recorder, *mode, "-o", str(capture), "--", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HEAPTIDE_ARMED": armed},
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for order in orders:
            process.stdout.readline()
            subprocess.run([recorder, order, str(process.pid)], check=True)
            process.stdin.write("\n")
            process.stdin.flush()
        process.stdout.readline()
    wait_until(lambda: is_finished(capture), "the capture's end")
    profile = heaptide.open(capture).at("exit")
    return float(profile.total("alloc_space"))


@pytest.mark.parametrize("mode", [("--exact",), ("--sample", "1KiB")], ids=["exact", "sampled"])
@pytest.mark.parametrize(("orders", "phases"), [(("--disarm", "--arm"), 2), (("--arm", "--disarm"), 1)])
def test_phases_that_were_armed_are_recorded(
    recorder: Path, agent: Path, program: Path, tmp_path: Path, mode: Sequence[str], orders: Sequence[str], phases: int
) -> None:
    found = allocated(recorder, program, tmp_path / "x.tide", mode, orders)
    error = 0 if mode == ("--exact",) else 0.1 * PHASE_BYTES  # about 3 standard deviations at 1 KiB
    assert phases * PHASE_BYTES - LAG_BYTES - error <= found <= phases * PHASE_BYTES + LAG_BYTES + error


def test_a_process_that_nobody_records(recorder: Path) -> None:
    done = subprocess.run([recorder, "--arm", str(os.getpid())], capture_output=True, text=True)
    assert done.returncode == 1 and "is not recorded" in done.stderr
