# SPDX-License-Identifier: Apache-2.0
"""The recorder dies and the program goes on: it is not recorded any more, and the memory of the books goes back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.builders import torture
from tests.builders.fake_agent import Server

MODES = {"sampled": {"HEAPTIDE_SAMPLE": "1KiB"}, "exact": {"HEAPTIDE_EXACT": "1"}}


@pytest.fixture(scope="session")
def orphan() -> Path:
    return torture.build() / "orphan"


def _round(program: subprocess.Popen[str]) -> dict[str, int]:
    """What the program says at the end of its next round: sizes in KiB."""
    assert program.stdout is not None
    lines = []
    while (line := program.stdout.readline()) not in ("\n", ""):
        lines.append(line)
    return {name: int(rest.split()[0]) for name, rest in (line.split(":", 1) for line in lines)}


def _go_on(program: subprocess.Popen[str]) -> None:
    assert program.stdin is not None
    program.stdin.write("\n")
    program.stdin.flush()


@pytest.mark.parametrize("mode", MODES)
def test_killed_recorder(mode: str, agent: Path, recorder: Path, orphan: Path, tmp_path: Path) -> None:
    with Server(recorder, tmp_path) as server:
        environment = {"LD_PRELOAD": str(agent), "HEAPTIDE_SOCKET": server.address, **MODES[mode]}
        command = [str(orphan), "3"]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as program:
            recorded = _round(program)
            server.process.kill()
            server.process.wait()
            _go_on(program)
            alone = _round(program)
            _go_on(program)
            later = _round(program)
            _go_on(program)
    assert program.returncode == 0
    assert alone["RssShmem"] < 400 < recorded["RssShmem"], (recorded, alone)
    assert later["RssShmem"] <= alone["RssShmem"], "books that nobody reads grow"


def test_stopped_recorder(agent: Path, recorder: Path, orphan: Path, tmp_path: Path) -> None:
    """One that is stopped is not dead: the books stay as they are."""
    with Server(recorder, tmp_path) as server:
        environment = {"LD_PRELOAD": str(agent), "HEAPTIDE_SOCKET": server.address, **MODES["exact"]}
        with subprocess.Popen(
            [str(orphan), "2"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as program:
            recorded = _round(program)
            server.process.send_signal(19)  # SIGSTOP
            _go_on(program)
            after = _round(program)
            server.process.send_signal(18)  # SIGCONT
            _go_on(program)
        assert program.returncode == 0
        assert after["RssShmem"] >= recorded["RssShmem"]
        [summary] = server.finish(30)
    assert summary["in_use_bytes"] >= 2 * 16384 * 500
