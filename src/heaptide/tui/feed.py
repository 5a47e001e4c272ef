# SPDX-License-Identifier: Apache-2.0
"""The thread that reads the recording again and again, and what it tells the view.

Reading costs time that the machine may need for the program: after a reading that took c seconds of processor time the
thread rests for at least `REST` times c, so it takes no more than one part in ten of one processor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from textual.message import Message

from heaptide._errors import HeaptideError
from heaptide.analysis.watch import Watch, judged, look
from heaptide.model import Series
from heaptide.tui.seams import Source, State

PERIOD_S = 1.0
REST = 9.0
_HURRY_S = 0.05
_HURRY_FOR_S = 2.0


class News(Message):
    """What is known now. `watch` is None while names are still being looked up."""

    def __init__(self, series: Series, watch: Watch | None, state: State) -> None:
        super().__init__()
        self.series, self.watch, self.state = series, watch, state


class Trouble(Message):
    """The recording could not be read this time."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words


class Standing(Message):
    """Nothing new was written; how the recording stands."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = state


class Feed:
    """Reads in a thread of its own, which does not keep the process from ending."""

    def __init__(self, source: Source, tell: Callable[[Message], object]) -> None:
        self._source, self._tell = source, tell
        self._wake = threading.Event()
        self._hurry_until = 0.0
        self._paused = False
        self._done = False
        self._thread = threading.Thread(target=self._run, name="heaptide-feed", daemon=True)

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def stop(self) -> None:
        """No more is told."""
        self._done = True
        self._wake.set()

    def pause(self, paused: bool) -> None:
        """Stops reading, or goes on at once."""
        self._paused = paused
        self._wake.set()

    def hurry(self) -> None:
        """Something is about to be written: looks often for a while."""
        self._hurry_until = time.monotonic() + _HURRY_FOR_S
        self._wake.set()

    def _run(self) -> None:
        first = True
        while not self._done:
            began = time.thread_time()
            if not self._paused:
                first = not self._read(first) and first
            self._wake.wait(self._rest(time.thread_time() - began))
            self._wake.clear()

    def _rest(self, cost_s: float) -> float:
        """Seconds until the next look."""
        if time.monotonic() < self._hurry_until:
            return _HURRY_S
        return max(PERIOD_S, REST * cost_s)

    def _read(self, in_steps: bool) -> bool:
        """One look at the recording; true when all was told. In steps: what is known early is told early."""
        try:
            series = self._source.newest()
            if series is None:
                self._tell(Standing(self._source.state()))
                return False
            if in_steps or not series.snapshots:
                self._tell(News(series, None, self._source.state()))
            if not series.snapshots:
                return False
            watch = look(series)
            if in_steps:
                self._tell(News(series, watch, self._source.state()))
            self._tell(News(series, judged(watch), self._source.state()))
            return True
        except HeaptideError as error:
            self._tell(Trouble(error.message))
            return False
