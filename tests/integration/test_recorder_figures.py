# SPDX-License-Identifier: Apache-2.0
"""Which of the kernel's figures the recorder reads when: none of them may make the program wait."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import ModuleType

import pytest

from heaptide.capture import Recording, read
from heaptide.capture.format import FIGURES
from heaptide.capture.records import MemoryRecord
from tests.builders.fake_agent import Server, build, load, snapshots


@pytest.fixture(scope="module")
def fake(native_build: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(native_build, tmp_path_factory.mktemp("fake"))


def _figures(recording: Recording) -> dict[str, set[str]]:
    """By the kind of the snapshot: the files that were read beside it (the part before the first underscore)."""
    kinds = {snapshot.number: snapshot.kind for snapshot in snapshots(recording)}
    found: dict[str, set[str]] = {}
    for record in recording.records:
        if isinstance(record, MemoryRecord):
            names = {FIGURES[figure.key].split("_")[0] for figure in record.figures}
            found.setdefault(kinds[record.snapshot], set()).update(names)
    return found


def test_rollup_of_a_small_process_is_read(recorder: Path, fake: Path, tmp_path: Path) -> None:
    with Server(recorder, tmp_path, "--output=x.tide") as server:
        assert server.start(fake, "ms=100").wait() == 7
        server.finish()
    figures = _figures(load(tmp_path / "x.tide"))
    assert figures["start"] >= {"statm", "vm", "rollup"} and not figures["exit"] & {"statm", "vm", "rollup"}


def test_the_machines_memory_is_read(recorder: Path, fake: Path, tmp_path: Path) -> None:
    with Server(recorder, tmp_path, "--output=x.tide") as server:
        assert server.start(fake, "ms=100").wait() == 7
        server.finish()
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    total = next(1024 * int(words[1]) for words in lines if words[0] == "MemTotal:")
    records = [record for record in load(tmp_path / "x.tide").records if isinstance(record, MemoryRecord)]
    told = [{FIGURES[figure.key]: figure.value for figure in record.figures} for record in records]
    assert told and all(figures["machine_total"] == total > figures["machine_available"] > 0 for figures in told)


def test_rollup_of_a_large_process_is_read_when_asked_for(recorder: Path, fake: Path, tmp_path: Path) -> None:
    """256 MiB of small pages: a walk of over a millisecond."""
    capture = tmp_path / "x.tide"
    with Server(recorder, tmp_path, "--every=1h", "--output=x.tide") as server:
        program = server.start(fake, "ms=60000", "resident=256", "end=stay")
        _wait_for_kind(capture, "start")
        server.process.send_signal(signal.SIGUSR1)
        _wait_for_kind(capture, "signal")
        program.kill()
        program.wait()
        server.finish()
    figures = _figures(load(capture))
    assert figures["start"] >= {"statm", "vm"} and "rollup" not in figures["start"]
    assert figures["signal"] >= {"statm", "vm", "rollup"}


def _wait_for_kind(capture: Path, kind: str) -> None:
    deadline = time.monotonic() + 30
    while not (capture.exists() and kind in _figures(read(capture.read_bytes(), live=True))):
        assert time.monotonic() < deadline, f"no {kind} snapshot came"
        time.sleep(0.02)
