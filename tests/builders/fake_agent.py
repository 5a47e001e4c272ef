# SPDX-License-Identifier: Apache-2.0
"""A recorder that serves, and native/tests/fake_agent.c as the program: books with known contents."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from heaptide.capture import Recording, read
from heaptide.capture.records import SnapshotRecord

MAILBOXES = 64
"""Blocks that the fake agent has in use between operations (fake_agent.c)."""
COLUMNS = ("alloc_bytes", "alloc_objects", "free_bytes", "free_objects")


def build(native_build: ModuleType, folder: Path) -> Path:
    """Compile the fake agent into `folder`."""
    program = folder / "fake_agent"
    files = [native_build.NATIVE / "tests" / "fake_agent.c", native_build.NATIVE / "sys.c"]
    subprocess.run(native_build.test_command(files, program), check=True)
    return program


class Server:
    """`heaptide-record --serve` in `folder`; what it writes is there, what it says at the end comes from `finish`."""

    def __init__(self, recorder: Path, folder: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._control, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [str(recorder), "--serve", f"--control-fd={theirs.fileno()}", *options],
                cwd=folder,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
            )
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            self.address = stdout.readline().decode().split()[1]

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._control.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def start(self, program: Path, *words: str) -> subprocess.Popen[bytes]:
        """The fake agent, registering here."""
        return subprocess.Popen([program, *words], cwd=self.folder, env={"HEAPTIDE_SOCKET": self.address})

    def finish(self, patience_s: float = 10) -> list[dict[str, Any]]:
        """Ask for the summaries and wait for the recorder's end."""
        self._control.shutdown(socket.SHUT_WR)
        text, deadline = b"", time.monotonic() + patience_s
        while select.select([self._control], [], [], max(0.0, deadline - time.monotonic()))[0]:
            part = self._control.recv(65536)
            if not part:
                assert self.process.wait(patience_s) == 0, "the recorder failed"
                return [json.loads(line) for line in text.splitlines()]
            text += part
        raise AssertionError(f"the recorder did not end within {patience_s} s; it said {text!r}")


def load(path: Path) -> Recording:
    """A capture that must be whole."""
    recording = read(path.read_bytes(), path=str(path))
    assert recording.complete, recording.damage
    return recording


def snapshots(recording: Recording) -> list[SnapshotRecord]:
    return [record for record in recording.records if isinstance(record, SnapshotRecord)]


def totals(recording: Recording) -> Iterator[tuple[SnapshotRecord, np.ndarray]]:
    """Each snapshot with the totals of every id so far: an array [id, column of COLUMNS] of uint64."""
    state = np.zeros((4096, len(COLUMNS)), dtype=np.uint64)
    for snapshot in snapshots(recording):
        for index, column in enumerate(COLUMNS):
            state[snapshot.ids, index] = snapshot.columns[column]
        yield snapshot, state.copy()


def truth(path: Path) -> np.ndarray:
    """What the threads counted themselves: an array [thread, column of COLUMNS]."""
    return np.fromfile(path, dtype=np.uint64).reshape(-1, len(COLUMNS))
