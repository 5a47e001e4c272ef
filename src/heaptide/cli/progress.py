# SPDX-License-Identifier: Apache-2.0
"""How far a long piece of work is, on stderr, on a terminal only, and only after a second."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

_PATIENCE = 1.0
_EVERY = 0.5
_WIDTH = 30
_CLEAR = "\r\x1b[K"


class Progress:
    """Used as `with Progress() as told: told("reading", 0.3)`: what is being done, and how much of all is done.

    A thread draws, since what is told of may take long without telling anything.
    """

    def __init__(self, stream: TextIO | None = None, patience: float = _PATIENCE) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._patience = patience
        self._now = ("", 0.0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._draw, daemon=True)

    def __call__(self, what: str, part: float) -> None:
        self._now = (what, part)

    def __enter__(self) -> Self:
        if self._stream is not None and self._stream.isatty():
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _draw(self) -> None:
        begun = time.monotonic()
        if self._over.wait(self._patience):
            return
        while not self._over.wait(_EVERY):
            what, part = self._now
            done = round(part * _WIDTH)
            line = f"[{'#' * done}{' ' * (_WIDTH - done)}] {part:4.0%} {what}, {time.monotonic() - begun:.0f} s"
            if not self._written(_CLEAR + line):
                return
        self._written(_CLEAR)

    def _written(self, text: str) -> bool:
        """False where the terminal has gone: what is worked at goes on."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            return False
        return True
