# SPDX-License-Identifier: Apache-2.0
"""What the server needs of the outside; the command line has it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from heaptide.model import Series

Tell = Callable[[float, str], None]
"""Takes progress, 0 to 1, and what is being done, for a person."""

NAMING = 0.1, 0.6
"""Progress when names begin to be looked up, and when all are known: the opener's to tell."""
ANALYSIS = 0.6, 0.95
"""And of what follows."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a moment can be downloaded as: the name in a request, and in words for a person."""

    name: str
    label: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A moment, or what came between two: snapshot numbers; ``mapped``: of the program's own mappings."""

    at: int | None = None
    """None: the last one, `end`."""
    base: int | None = None
    mapped: bool = False
    value: str = "inuse_space"


@dataclass(frozen=True, slots=True)
class Download:
    """A file to hand out. ``note``: what the format cannot hold, empty when it holds everything."""

    name: str
    data: bytes
    note: str = ""


class Opener(Protocol):
    """Reads what is named on the command line, and nothing else."""

    formats: Sequence[Format]

    def stamp(self, path: str) -> Hashable | None:
        """Changes when the file does; cheap, asked twice a second. None: there is no such file."""
        ...

    def open(self, path: str, tell: Tell) -> Series:
        """The recording. Naming its addresses later tells of its progress too. Raises HeaptideError."""
        ...

    def convert(self, series: Series, form: str, wanted: Wanted) -> Download:
        """A moment in one of `formats`. Raises HeaptideError."""
        ...

    def lines(self, file: str) -> list[str] | str:
        """A source file's lines, or why they are not shown. Only files in the source roots are read."""
        ...
