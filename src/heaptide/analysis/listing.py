# SPDX-License-Identifier: Apache-2.0
"""What each line of the functions' source, or each instruction of their code, holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from heaptide.analysis.graph import CallGraph, Node
from heaptide.analysis.patterns import Matcher

MARGIN = 5
"""Lines shown before the first and after the last one that holds anything."""


@dataclass(frozen=True, slots=True)
class Amount:
    """The flat and cumulative value of a line or an instruction."""

    flat: float = 0
    cum: float = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.flat + other.flat, self.cum + other.cum)


NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class Routine:
    """One function's part of one source file."""

    function: str
    file: str | None
    """None: no source file is known for it."""
    lines: dict[int, Amount]
    """By line number; 0 holds what has no line."""
    begins: int | None
    """The line where the function begins, where that is known."""

    @property
    def total(self) -> Amount:
        """The sum over its lines. A stack through two of them counts twice in ``cum``, as in pprof."""
        return sum(self.lines.values(), NOTHING)

    @property
    def span(self) -> tuple[int, int]:
        """The first and last line to show."""
        numbers = [number for number in self.lines if number]
        first = self.begins or min(numbers, default=1) - MARGIN
        return max(1, min([first, *numbers])), max(numbers, default=1) + MARGIN


def routines(graph: CallGraph, wanted: Matcher) -> list[Routine]:
    """The functions whose names match, by name and file. ``graph`` tells lines apart and is not trimmed."""
    found: dict[tuple[str, str], list[Node]] = defaultdict(list)
    for node in graph.nodes:
        if node.place.function and wanted.search(node.place.function):
            found[node.place.function, node.place.file or ""].append(node)
    return [_routine(function, file, nodes) for (function, file), nodes in sorted(found.items())]


def file_amounts(graph: CallGraph, file: str) -> dict[int, Amount]:
    """What each line of one source file holds, by line number; 0 holds what has no line. ``graph`` as for `routines`.

    A stack through two functions on one line (one inlined into the other) counts twice in that line's ``cum``.
    """
    lines: dict[int, Amount] = defaultdict(Amount)
    for node in graph.nodes:
        if node.place.file == file:
            lines[node.place.line or 0] += Amount(node.flat, node.cum)
    return dict(lines)


def _routine(function: str, file: str, nodes: Iterable[Node]) -> Routine:
    lines: dict[int, Amount] = defaultdict(Amount)
    begins = []
    for node in nodes:
        lines[node.place.line or 0] += Amount(node.flat, node.cum)
        if node.place.start_line:
            begins.append(node.place.start_line)
    return Routine(function, file or None, dict(lines), min(begins, default=None))
