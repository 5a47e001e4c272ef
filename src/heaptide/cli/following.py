# SPDX-License-Identifier: Apache-2.0
"""Reads a capture again whenever it has changed, and goes on with the next one when the process executes a program."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from heaptide.cli import recorders

if TYPE_CHECKING:
    from heaptide.build import Names
    from heaptide.model import Series
    from heaptide.tui.seams import State

_Stamp = tuple[int, int, int]


class Following:
    """A `heaptide.tui.seams.Source` of a capture.

    Args:
        path: the capture.
        names: looks addresses up; the same for every reading, so that each place is looked up once.
    """

    def __init__(self, path: str, names: Names) -> None:
        self._path, self._names = path, names
        self._stamp: _Stamp | None = None
        self._going_on, self._words = True, ""
        self._was_live = False

    def newest(self) -> Series | None:
        """See `Source`."""
        stamp = _stamp(self._path)
        if stamp == self._stamp and not self._may_have_ended():
            return None
        from heaptide.build import load

        series = load(self._path, symbolizer=self._names)
        self._stamp = stamp
        if series.live:
            self._was_live = True
        elif not self._follow(series):
            self._going_on, self._words = False, _how_it_ended(self._path)
        return series

    def state(self) -> State:
        """See `Source`."""
        from heaptide.tui.seams import State

        return State(self._going_on, self._words)

    def take_snapshot(self) -> bool:
        """See `Source`."""
        recorder = recorders.recorder_of(self._path)
        return recorder is not None and recorders.take_snapshot(recorder)

    def _may_have_ended(self) -> bool:
        """A recorder that was killed leaves the file as it was, but for its lock."""
        return self._going_on and self._was_live and recorders.recorder_of(self._path) is None

    def _follow(self, series: Series) -> bool:
        """Goes on with the capture of the program that this process executed, if there is one."""
        if not self._was_live or series.pid is None:
            return False
        later = [
            written
            for written in recorders.captures_of(series.pid)
            if written.started_realtime_ns > series.started_realtime_ns
        ]
        if not later:
            return False
        self._path, self._stamp = str(later[-1].path), None
        self._words = "executed another program"
        return True


def _stamp(path: str) -> _Stamp | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _how_it_ended(path: str) -> str:
    """In words."""
    from heaptide.capture import format as fmt
    from heaptide.capture.reader import read
    from heaptide.capture.records import EndRecord

    records = read(Path(path).read_bytes(), path=path).records
    end = next((record for record in reversed(records) if isinstance(record, EndRecord)), None)
    if end is None:
        return "cut short"
    return {
        fmt.END_EXITED: f"exited with status {end.status}",
        fmt.END_KILLED: f"killed by signal {end.status}",
        fmt.END_EXEC: "executed another program",
        fmt.END_RECORDER: "recording was stopped",
        fmt.END_BOOKS: "the agent's books were damaged",
    }.get(end.cause, "ended")
