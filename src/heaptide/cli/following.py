# SPDX-License-Identifier: Apache-2.0
"""Reads a capture again whenever it has changed, and goes on with the next one when the process executes a program."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING

from heaptide.capture import format as fmt
from heaptide.capture.reader import read
from heaptide.capture.records import EndRecord
from heaptide.cli import recorders

if TYPE_CHECKING:
    from heaptide.cli.naming import BackgroundNames
    from heaptide.model import Series
    from heaptide.tui.seams import State


class Following:
    """A `heaptide.tui.seams.Source` of a capture.

    Args:
        path: the capture.
        names: looks addresses up; the same for every reading, so that each place is looked up once.
    """

    def __init__(self, path: str, names: BackgroundNames) -> None:
        self._path, self._names = path, names
        self._stamp: Hashable | None = None
        self._before: Series | None = None
        self._was_live = False
        self._executed = False
        self._ended: str | None = None
        self._remark = self._advice = ""

    def newest(self) -> Series | None:
        """See `Source`."""
        from heaptide.build import load

        if self._executed:
            self._look_for_next_program()
        stamp = _stamp(self._path)
        named_since = self._names.owing and not self._names.unnamed
        if stamp == self._stamp and not named_since:
            return None
        self._names.begin()
        series = load(self._path, symbolizer=self._names, before=None if named_since else self._before)
        self._stamp, self._before = stamp, series
        self._advice = _advice(series)
        if series.live:
            self._was_live = True
        elif not self._executed:
            self._end()
        return series

    def state(self) -> State:
        """See `Source`."""
        from heaptide.tui.seams import State

        words = self._remark if self._ended is None else self._ended
        return State(self._ended is None, words, self._names.unnamed if self._names.owing else 0, self._advice)

    def take_snapshot(self) -> bool:
        """See `Source`."""
        recorder = recorders.recorder_of(self._path)
        return recorder is not None and recorders.take_snapshot(recorder)

    def _end(self) -> None:
        """The recording has ended. The process may be there still, with another program."""
        end = _last_word(self._path)
        if self._was_live and end is not None and end.cause == fmt.END_EXEC:
            self._executed, self._remark = True, "executes another program"
        else:
            self._ended = _in_words(end)

    def _look_for_next_program(self) -> None:
        """Goes on with the next recording of the process, which has a file when it is a second old."""
        before = self._before
        if before is None or before.pid is None:
            return
        found = recorders.captures_of(before.pid)
        later = [written for written in found if written.started_realtime_ns > before.started_realtime_ns]
        if later:
            self._path, self._stamp, self._before = str(later[-1].path), None, None
            self._executed, self._was_live, self._remark = False, False, "after exec"
        elif not os.path.exists(f"/proc/{before.pid}"):
            self._executed, self._ended = False, "executed another program, which is not recorded"


def _advice(series: Series) -> str:
    """How to switch an agent on that was started switched off and has recorded nothing yet."""
    pid = series.pid
    if not series.live or pid is None or any(one.allocated_bytes for one in series.snapshots[-1:]):
        return ""
    if recorders.environment_of(pid).get("HEAPTIDE_ARMED") != "0":
        return ""
    return f"recording is switched off (HEAPTIDE_ARMED=0); on: heaptide-record --arm {pid}"


def _stamp(path: str) -> Hashable | None:
    """Changes when the file does, and when nobody writes it any more."""
    from heaptide.build import being_written

    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, being_written(path)


def _last_word(path: str) -> EndRecord | None:
    """The record that ends a recording; None where it was cut short."""
    records = read(Path(path).read_bytes(), path=path).records
    return next((record for record in reversed(records) if isinstance(record, EndRecord)), None)


def _in_words(end: EndRecord | None) -> str:
    if end is None:
        return "cut short"
    return {
        fmt.END_EXITED: f"exited with status {end.status}",
        fmt.END_KILLED: f"killed by signal {end.status}",
        fmt.END_EXEC: "executed another program",
        fmt.END_RECORDER: "recording was stopped",
        fmt.END_BOOKS: "the agent's books were damaged",
    }.get(end.cause, "ended")
