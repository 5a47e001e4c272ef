# SPDX-License-Identifier: Apache-2.0
"""The captures that are shown. The reader's thread writes here, requests read; each capture has one lock for both."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from heaptide.analysis.graph import CallGraph
from heaptide.model import Series
from heaptide.render.page.texts import clean

_KEPT_GRAPHS = 3

State = Literal["loading", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the list of captures tells of one."""

    id: str
    name: str
    """The file's own name; with its folder where another has the same."""
    title: str
    """The program, or the file's name where that is not known."""
    live: bool = False
    version: int = 0
    """Rises with every new document; 0 while there is none."""
    state: State = "loading"
    progress: float = 0.0
    message: str = "waiting to be read"
    """What is being done, or what is wrong; empty when all is well."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What was read last."""

    series: Series
    document: bytes


class Capture:
    """One file: what is told of it and what was read last."""

    def __init__(self, number: int, path: str, name: str, changed: Callable[[], None]) -> None:
        self.path = path
        self.busy = threading.Lock()
        """Held while a series is asked for profiles: it keeps the last few, and is no thing for two threads."""
        self._changed = changed
        self._entry = Entry(str(number), name, name)
        self._shown: Shown | None = None
        self._files: dict[str, int] = {}
        self._graphs: dict[Hashable, CallGraph] = {}

    @property
    def entry(self) -> Entry:
        """As it is now."""
        return self._entry

    @property
    def shown(self) -> Shown | None:
        """What was read last; None before the first time."""
        return self._shown

    def told(self, progress: float, message: str) -> None:
        """How far reading has come. What is shown already stays, and is not called loading again."""
        if self._shown is None:
            self._set(replace(self._entry, state="loading", progress=progress, message=message))

    def read(self, shown: Shown, title: str, message: str) -> None:
        """Puts a new document in the place of the old one."""
        self._shown, self._graphs = shown, {}
        live, version = shown.series.live, self._entry.version + 1
        self._set(
            replace(self._entry, title=title, live=live, version=version, state="ready", progress=1.0, message=message)
        )

    def failed(self, message: str) -> None:
        """Nothing could be read. What was read before stays, and ``message`` stands above it."""
        state: State = "failed" if self._shown is None else "ready"
        self._set(replace(self._entry, live=False, state=state, message=message))

    def graph(self, key: Hashable, make: Callable[[], CallGraph]) -> CallGraph:
        """A graph that was made lately is not made again. `busy` is held."""
        found = self._graphs.pop(key, None) or make()
        self._graphs[key] = found
        while len(self._graphs) > _KEPT_GRAPHS:
            del self._graphs[next(iter(self._graphs))]
        return found

    def number_of(self, files: Sequence[str]) -> list[int]:
        """For names of source files the numbers by which they are asked for; a name keeps its number."""
        return [self._files.setdefault(file, len(self._files)) for file in files]

    def file(self, number: int) -> str | None:
        """The name of a source file that `number_of` has numbered; None for any other number."""
        names = list(self._files)
        return names[number] if 0 <= number < len(names) else None

    def _set(self, entry: Entry) -> None:
        if entry != self._entry:
            self._entry = entry
            self._changed()


class Shelf:
    """All captures, in the order of the command line."""

    def __init__(self, paths: Sequence[str], changed: Callable[[], None]) -> None:
        names = _names(paths)
        self.captures = [Capture(number, path, names[number - 1], changed) for number, path in enumerate(paths, 1)]
        self._by_id = {capture.entry.id: capture for capture in self.captures}

    def __getitem__(self, identity: str) -> Capture:
        """By id. KeyError for an unknown one."""
        return self._by_id[identity]

    def entries(self) -> list[dict[str, object]]:
        """The list of captures, as JSON wants it."""
        return [asdict(capture.entry) for capture in self.captures]


def _names(paths: Sequence[str]) -> list[str]:
    """What to call the files: as short as tells them apart, fit to be shown."""
    short = [os.path.basename(path) or path for path in paths]
    return [clean(name if short.count(name) == 1 else path) for name, path in zip(short, paths, strict=True)]
