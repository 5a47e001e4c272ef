# SPDX-License-Identifier: Apache-2.0
"""The recorder's injected clock: what it schedules and stamps follows the driver, and it ends without one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.injected import Injected
from heaptide import build
from heaptide.model import Series
from tests.integration.realworld import wait_until

HOUR = 3600.0
SLACK_S = 60.0
"""The clock goes on in real time between two requests: as much as a loaded machine may take for a whole test."""


def _recorded(folder: Path, steps: int, *, jump_s: float = 0.0) -> Series:
    """A program that waits, with a snapshot for each of `steps` hours; the wall clock is set before the last."""
    with Injected(folder) as recorder:
        recorder.start(["cat"], stdin=subprocess.PIPE)
        recorder.await_program()
        answers = [recorder.forward(HOUR) for _ in range(steps - 1)]
        answers.append(recorder.forward(HOUR, wall_jump_s=jump_s))
        captures, _ = recorder.finish()
    counts = [answer.snapshots for answer in answers]
    assert counts == sorted(counts) and counts[-1] >= steps
    assert captures[0]["cause"] == "exited"
    return build.load(captures[0]["path"])


def test_a_day_in_a_second(tmp_path: Path, recorder: Path, agent: Path) -> None:
    """START stands at the beginning, a snapshot follows each step, and the agent's own stamps lie where they belong."""
    series = _recorded(tmp_path, 24)
    offsets = [snapshot.offset_s for snapshot in series.snapshots]
    kinds = [snapshot.kind for snapshot in series.snapshots]
    assert offsets[0] == pytest.approx(0, abs=SLACK_S) and kinds[0] == "start"
    for hour in range(1, 25):
        assert any(abs(offset - hour * HOUR) < SLACK_S for offset in offsets), hour
    assert kinds[-2:] == ["shutdown", "exit"]
    assert offsets == sorted(offsets) and offsets[-1] == pytest.approx(24 * HOUR, abs=SLACK_S)


@pytest.mark.parametrize("jump_s", [-5 * HOUR, 7 * HOUR])
def test_the_wall_clock_is_set(tmp_path: Path, recorder: Path, agent: Path, jump_s: float) -> None:
    series = _recorded(tmp_path, 3, jump_s=jump_s)
    first, last = series.snapshots[0], series.snapshots[-1]
    assert last.offset_s == pytest.approx(3 * HOUR, abs=SLACK_S)
    assert (last.realtime_ns - first.realtime_ns) / 1e9 == pytest.approx(3 * HOUR + jump_s, abs=SLACK_S)


def test_a_driver_that_goes(tmp_path: Path, recorder: Path, agent: Path) -> None:
    """The clock goes on in real time, from where it was left."""
    with Injected(tmp_path, "--every=10ms") as injected:
        injected.start(["cat"], stdin=subprocess.PIPE)
        injected.await_program()
        injected.forward(HOUR)
        injected.close_clock()
        wait_until(lambda: any(tmp_path.glob("*.tide")), "capture: a quarter of a second has passed by its clock")
        captures, _ = injected.finish()
    offsets = [snapshot.offset_s for snapshot in build.load(captures[0]["path"]).snapshots]
    assert HOUR <= offsets[-1] < HOUR + SLACK_S
    assert captures[0]["snapshots"] > 2
