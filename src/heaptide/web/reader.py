# SPDX-License-Identifier: Apache-2.0
"""The thread that reads captures: each at once, and again whenever its file changed.

One thread for all, so that what reading costs has a bound: it rests `REST` times as long as the last reading took. What
goes wrong with a file is told beside the capture; what was read before stays on the page.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from heaptide._errors import HeaptideError
from heaptide.model import Series
from heaptide.render.page.texts import clean
from heaptide.web.opener import Opener, Tell
from heaptide.web.shelf import Capture, Shelf, Shown

LOOK_S = 0.5
"""Seconds between two looks at the files."""
PAUSE_S = 1.0
"""Seconds at least between two readings of a file."""
REST = 4.0
"""Times the cost of a reading: it takes a fifth of one processor at most."""

Draw = Callable[[Series, Tell], bytes]
"""Makes the document of a series."""

_log = logging.getLogger("heaptide.web")


@dataclass(slots=True)
class _Watched:
    """What is remembered of a file from one look to the next."""

    stamp: Hashable | None = None
    gone: bool = False
    due: float = 0.0
    """When it may be read again, by the monotonic clock."""
    recording: tuple[int, int | None] | None = None
    """Which recording it held: when it began, and the process."""
    replaced: str = ""
    """Since when another recording stands in its place, in words."""


class Reader(threading.Thread):
    """Keeps a shelf up to date until `stop`. ``clock`` tells seconds from any beginning on."""

    def __init__(
        self, shelf: Shelf, opener: Opener, draw: Draw, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(name="heaptide-reader", daemon=True)  # Ctrl-C does not wait for what it is reading
        self._opener, self._draw, self._clock = opener, draw, clock
        self._watched = [(capture, _Watched()) for capture in shelf.captures]
        self._ended = threading.Event()

    def run(self) -> None:
        """Looks, reads, rests."""
        while not self._ended.is_set():
            self.look()
            self._ended.wait(LOOK_S)

    def look(self) -> None:
        """Reads the files that changed since the last look and have rested."""
        for capture, watched in self._watched:
            if self._clock() < watched.due or self._ended.is_set():
                continue
            try:
                self._look_at(capture, watched)
            except Exception:  # the thread goes on, else nothing would ever be read again
                _log.exception("%s cannot be shown", capture.path)
                capture.failed("it cannot be shown: an error of heaptide's own, which the terminal tells")

    def stop(self) -> None:
        """Ends the thread after what it is doing."""
        self._ended.set()

    def _look_at(self, capture: Capture, watched: _Watched) -> None:
        stamp = self._opener.stamp(capture.path)
        if stamp is None:
            self._missing(capture, watched)
            return
        if stamp == watched.stamp:
            return
        began = self._clock()
        watched.stamp, watched.gone = stamp, False
        try:
            self._read(capture, watched)
        finally:
            ended = self._clock()
            watched.due = ended + max(PAUSE_S, REST * (ended - began))

    def _missing(self, capture: Capture, watched: _Watched) -> None:
        if watched.gone:
            return
        watched.gone, watched.stamp = True, None
        kept = "; shown is what was read last" if capture.shown else ""
        capture.failed(f"the file is not there (since {_now()}){kept}")

    def _read(self, capture: Capture, watched: _Watched) -> None:
        capture.told(0.0, "reading the capture")
        try:
            series = self._opener.open(capture.path, capture.told)
            if not series.snapshots:
                capture.failed("; ".join(["it holds no snapshot yet", *map(clean, series.warnings)]))
                return
            document = self._draw(series, capture.told)
        except HeaptideError as error:
            kept = "; shown is what was read before" if capture.shown else ""
            capture.failed(clean(error.message.removeprefix(f"{capture.path}: ")) + kept)
        else:
            capture.read(Shown(series, document), _title(series), _replaced(series, watched))


def _replaced(series: Series, watched: _Watched) -> str:
    """Says that the file holds another recording than the one that was shown first; empty if it does not."""
    recording = series.started_realtime_ns, series.pid
    if watched.recording not in (None, recording):
        watched.replaced = f"another recording took the file's place (seen at {_now()})"
    watched.recording = recording
    return watched.replaced


def _title(series: Series) -> str:
    path = series.command[0] if series.command else series.path
    return clean(os.path.basename(path) or path)


def _now() -> str:
    return time.strftime("%H:%M:%S")
