# SPDX-License-Identifier: Apache-2.0
"""Wakes those who wait for news. Any thread may ring; those who wait live in the event loop."""

from __future__ import annotations

import asyncio
import contextlib


class Bell:
    """Counts rings. A ring is never lost: who says which count it has seen waits only for a higher one."""

    def __init__(self) -> None:
        self.count = 0
        self.closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.Event] = set()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Before that, rings are not heard (nobody can wait yet)."""
        self._loop = loop

    def ring(self) -> None:
        """From any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._ring)

    def close(self) -> None:
        """In the loop: all who wait, now or later, return at once."""
        self.closed = True
        self._ring()

    def _ring(self) -> None:
        self.count += 1
        for event in self._waiting:
            event.set()

    async def heard(self, seen: int, patience_s: float) -> bool:
        """Waits until the count is above ``seen`` or the bell is closed; False when that took too long."""
        if self.count > seen or self.closed:
            return True
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            await asyncio.wait_for(event.wait(), patience_s)
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(event)
        return True
