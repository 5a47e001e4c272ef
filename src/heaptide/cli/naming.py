# SPDX-License-Identifier: Apache-2.0
"""Names that are waited for only so long: what takes longer is looked up in a thread, and is there the next time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from heaptide.build import Names
from heaptide.symbolize import Module, SourceFrame

UNNAMED = (SourceFrame(None, unresolved="its name is still being looked up"),)
_AT_ONCE = 2000
"""So many addresses are looked up between two looks at who waits."""


@dataclass(slots=True)
class _Wanted:
    module: Module
    vaddrs: Sequence[int]
    done: threading.Event = field(default_factory=threading.Event)


class BackgroundNames:
    """A `heaptide.build.Names` that answers in time.

    Args:
        names: looks addresses up, however long that takes.
        patience_s: seconds that one reading waits for names in all.
    """

    def __init__(self, names: Names, patience_s: float) -> None:
        self._names, self._patience_s = names, patience_s
        self._deadline = 0.0
        self._known: dict[Module, dict[int, tuple[SourceFrame, ...]]] = {}
        self._asked: set[tuple[Module, int]] = set()
        self._queue: queue.SimpleQueue[_Wanted] = queue.SimpleQueue()
        self._owing = False
        threading.Thread(target=self._work, name="heaptide-names", daemon=True).start()

    def begin(self) -> None:
        """A reading begins: its patience is counted from here."""
        self._deadline = time.monotonic() + self._patience_s
        self._owing = False

    @property
    def owing(self) -> bool:
        """The reading since `begin` was given answers without a name that are to come."""
        return self._owing

    @property
    def unnamed(self) -> int:
        """How many addresses are still being looked up."""
        return len(self._asked)

    def resolve(self, module: Module, vaddrs: Sequence[int]) -> list[tuple[SourceFrame, ...]]:
        """See `Names`; `UNNAMED` for what is not known in time."""
        known = self._known.setdefault(module, {})
        new = [vaddr for vaddr in vaddrs if vaddr not in known and (module, vaddr) not in self._asked]
        wanted = _Wanted(module, new)
        self._asked.update((module, vaddr) for vaddr in new)
        self._queue.put(wanted)
        if not wanted.done.wait(max(self._deadline - time.monotonic(), 0)):
            self._owing = True
        return [known.get(vaddr, UNNAMED) for vaddr in vaddrs]

    def _work(self) -> None:
        while True:
            wanted = self._queue.get()
            known = self._known[wanted.module]
            for start in range(0, len(wanted.vaddrs), _AT_ONCE):
                some = wanted.vaddrs[start : start + _AT_ONCE]
                known.update(zip(some, self._names.resolve(wanted.module, some), strict=True))
                self._asked.difference_update((wanted.module, vaddr) for vaddr in some)
            wanted.done.set()
