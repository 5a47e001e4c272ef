# SPDX-License-Identifier: Apache-2.0
"""What goes into the symboliser and what comes out. Plain frozen values: no file is open behind any of them."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phdr:
    """One ELF program header. Addresses and sizes in bytes, as the file numbers them."""

    type: int
    flags: int
    offset: int
    vaddr: int
    filesz: int
    memsz: int
    align: int = 0


@dataclass(frozen=True, slots=True)
class Module:
    """One loaded object as it was recorded.

    Args:
        path: its name in the recorded process; `[vdso]` and `/memfd:...` are names of no file.
        build_id: the bytes of its GNU build id; empty when it has none or none was recorded.
        phdrs: its program headers; empty when they were not recorded.
    """

    path: str
    build_id: bytes = b""
    phdrs: tuple[Phdr, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2] or self.path


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """One frame of source code. What is unknown is None; a frame without a function says why in `unresolved`.

    A function from a symbol table has no file and no line. `inlined` frames were compiled into the next one.
    """

    function: str | None
    file: str | None = None
    line: int | None = None
    inlined: bool = False
    unresolved: str | None = None


class Outcome(enum.Enum):
    """What came of looking at one file. The value is how a report words it."""

    USED = "used"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    NOT_A_FILE = "not a regular file"
    DAMAGED = "damaged or not ELF"
    OTHER_BUILD = "of another build"
    STRIPPED = "no debug info in it"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One file that was looked at: where, what came of it, and the detail (both build ids, for instance)."""

    path: str
    outcome: Outcome
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.outcome.value}" + (f" ({self.detail})" if self.detail else "")


class Level(enum.IntEnum):
    """How much can be said of a module's addresses at best."""

    NOTHING = 0
    SYMBOLS = 1
    LINES = 2


@dataclass(frozen=True, slots=True)
class ModuleReport:
    """Where a module's names come from, for `doctor` and for whoever wonders about an unresolved frame.

    Args:
        module: the module asked about.
        level: what can be said at best: nothing, function names, or functions with lines and inlined calls.
        binary: the file that was taken for the module itself, if any.
        debug_file: the file its lines come from, if any.
        attempts: every file that was looked at, in order.
        problems: what limits the answers, one sentence each, worst first.
        hint: what to do about it, or None.
    """

    module: Module
    level: Level
    binary: str | None
    debug_file: str | None
    attempts: tuple[Attempt, ...]
    problems: tuple[str, ...]
    hint: str | None
