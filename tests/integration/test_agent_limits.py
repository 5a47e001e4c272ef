# SPDX-License-Identifier: Apache-2.0
"""Where exact mode's books end: at their own limit, and short of the control group's."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from heaptide.capture import read
from heaptide.capture.records import NoteRecord
from tests.builders import torture
from tests.builders.fake_agent import Server
from tests.integration.test_torture import small_cgroup

__all__ = ["small_cgroup"]
EXACT = {"HEAPTIDE_EXACT": "1", "HEAPTIDE_MMAP": "0"}
PATIENCE_S = 60


@pytest.mark.parametrize("limit", ["", "8MiB"])
def test_map_limit(limit: str, agent: Path, recorder: Path, tmp_path: Path) -> None:
    """Blocks beyond are counted as allocated, to the byte; their frees are of blocks that nobody knows."""
    program = torture.build() / "limits"
    with Server(recorder, tmp_path) as server:
        environment = {"LD_PRELOAD": str(agent), "HEAPTIDE_SOCKET": server.address, **EXACT}
        done = subprocess.run([program, "needs_its_half"], env={**environment, "HEAPTIDE_MAP_LIMIT": limit or "1TiB"})
        assert done.returncode == 30
        [summary] = server.finish(PATIENCE_S)
    losses = summary.get("losses", {})
    assert (losses.get("live_full", 0) >= 60) == bool(limit), summary
    assert losses.get("unknown_free", 0) >= losses.get("live_full", 0)
    assert losses.get("unknown_free_bytes", 0) >= losses.get("live_full", 0) << 20
    assert summary["in_use_bytes"] >= losses.get("live_full", 0) << 20


def _wait_for_note(folder: Path, words: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for path in folder.glob("*.tide"):
            records = read(path.read_bytes(), live=True).records
            if any(isinstance(record, NoteRecord) and words in record.text for record in records):
                return
        time.sleep(0.05)
    pytest.fail(f"no note with {words!r} after {PATIENCE_S} s")


def test_short_of_the_cgroup(small_cgroup: Path, agent: Path, recorder: Path, tmp_path: Path) -> None:
    """Recording stops before the books fill the rest of the group; the program goes on."""
    (small_cgroup.parent / _limit_file(small_cgroup)).write_text(str(64 << 20))
    words = ["sh", "-c", f'echo $$ > {small_cgroup}; LD_PRELOAD={agent} exec "$@"', "sh"]
    program = [*words, str(torture.build() / "hungry"), "50"]
    with Server(recorder, tmp_path, "--every=100ms") as server:
        environment = {**os.environ, "HEAPTIDE_SOCKET": server.address, **EXACT}
        with subprocess.Popen(
            program, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as running:
            assert running.stdout is not None and running.stdin is not None
            assert running.stdout.readline() == "full\n"
            (small_cgroup.parent / _limit_file(small_cgroup)).write_text(str(_used(small_cgroup) + (1 << 20)))
            _wait_for_note(tmp_path, "nearly used up")
            running.stdin.write("\n")
            running.stdin.flush()
            assert running.wait(PATIENCE_S) == 0
        [summary] = server.finish(PATIENCE_S)
    assert 50 << 20 <= summary["allocated_bytes"] < (50 << 20) + 100_000, summary


def _limit_file(group: Path) -> str:
    names = ("memory.limit_in_bytes", "memory.max")
    return next(name for name in names if (group.parent / name).exists())


def _used(group: Path) -> int:
    names = ("memory.usage_in_bytes", "memory.current")
    return int(next((group.parent / name).read_text() for name in names if (group.parent / name).exists()))
