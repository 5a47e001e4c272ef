# SPDX-License-Identifier: Apache-2.0
"""callgrind's profile format (version 1), for kcachegrind and callgrind_annotate. Written, not read.

Every sample type is an event. A function's own line carries the values of the stacks that end there; a call carries
those of the stacks that go through it, each stack once, however often the call recurs in it. How often a call was made
is not known: it stands as 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from heaptide.formats.named import UNPRINTABLE, frame_names
from heaptide.model.columns import Columns, Flags, Ints
from heaptide.model.convert import expanded

_Place = tuple[str, str, str, int]
"""Object, file, function, line; the line is 0 where it is not known."""


def dump(columns: Columns) -> bytes:
    """Write every sample type of a profile. Rows without any value are left out."""
    total = columns.values.sum(axis=1)
    lines = ["# callgrind format", "version: 1", "creator: heaptide", *_about(columns), "positions: line"]
    events = [_event(kind.type, number) for number, kind in enumerate(columns.sample_types)]
    for event, kind in zip(events, columns.sample_types, strict=True):
        lines.append(f"event: {event} : {_one_line(kind.type)} ({_one_line(kind.unit)})")
    lines += [f"events: {' '.join(events)}", f"summary: {_numbers(total)}", ""]
    costs = _Costs(columns)
    names = _Names()
    for function in costs.functions():
        lines += [f"{kind}={names.of(kind, name)}" for kind, name in zip(("ob", "fl", "fn"), function[:3], strict=True)]
        lines += [f"{line} {_numbers(values)}" for line, values in costs.own.get(function, ())]
        for line, target, values in costs.calls.get(function, ()):
            called = zip(("ob", "fl", "fn"), target[:3], strict=True)
            lines += [f"c{kind}={names.of(kind, name)}" for kind, name in called]
            lines += [f"calls=1 {target[3]}", f"{line} {_numbers(values)}"]
        lines.append("")
    lines.append(f"totals: {_numbers(total)}")
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


class _Costs:
    """Values of each function's own lines, and of each call from a line of it to a place (a function and its line).

    Functions are places without their line.
    """

    def __init__(self, columns: Columns) -> None:
        self.own: dict[tuple[str, str, str], list[tuple[int, Ints]]] = {}
        self.calls: dict[tuple[str, str, str], list[tuple[int, _Place, Ints]]] = {}
        places, of_location, bounds = _places(columns)
        flat, start = expanded(columns, of_location, bounds)
        row = np.repeat(np.arange(len(columns)), np.diff(start))
        counts: Flags = (columns.values != 0).any(axis=0)
        some = np.flatnonzero((np.diff(start) > 0) & counts)
        leaves, values = _sums(flat[start[some]], columns.values[:, some])
        for leaf, value in zip(leaves.tolist(), values.T, strict=True):
            place = places[leaf]
            self.own.setdefault(place[:3], []).append((place[3], value))
        within = np.flatnonzero((row[1:] == row[:-1]) & counts[row[1:]])
        edge = flat[within + 1] * len(places) + flat[within]  # caller, callee
        once = np.unique(row[within] * len(places) ** 2 + edge)  # a stack counts once, however often it makes the call
        edges, values = _sums(once % len(places) ** 2, columns.values[:, once // len(places) ** 2])
        for (caller, callee), value in zip(
            (divmod(edge, len(places)) for edge in edges.tolist()), values.T, strict=True
        ):
            place = places[caller]
            self.calls.setdefault(place[:3], []).append((place[3], places[callee], value))

    def functions(self) -> Sequence[tuple[str, str, str]]:
        """Every function that has values."""
        return list(dict.fromkeys([*self.own, *self.calls]))


def _sums(keys: Ints, values: Ints) -> tuple[Ints, Ints]:
    """The distinct keys, ascending, and for each the sum of the columns of ``values`` that have it."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
    if not len(first):
        return ordered, values[:, :0]
    return ordered[first], np.add.reduceat(values[:, order], first, axis=1)


def _places(columns: Columns) -> tuple[list[_Place], Ints, Ints]:
    """The distinct places, and those of each location (indices, innermost inlined call first; bounds)."""
    where, functions = columns.locations, columns.functions
    start, function, line = where.line_start.tolist(), where.function.tolist(), where.line.tolist()
    index: dict[_Place, int] = {}
    of_location: list[int] = []
    bounds = [0]
    for row, names in enumerate(frame_names(columns)):
        mapping = int(where.mapping[row])
        module = columns.mappings[mapping].file if mapping >= 0 else ""
        lines = range(start[row], start[row + 1])
        files = [functions.filename[function[at]] if function[at] >= 0 else "" for at in lines] or [""]
        numbers = [line[at] for at in lines] or [0]
        for place in zip([module] * len(names), files, names, numbers, strict=True):
            of_location.append(index.setdefault(place, len(index)))
        bounds.append(len(of_location))
    return list(index), np.array(of_location, np.int64), np.array(bounds, np.int64)


def _about(columns: Columns) -> list[str]:
    main = [f"cmd: {_one_line(columns.mappings[0].file)}"] if columns.mappings and columns.mappings[0].file else []
    return [*main, *(f"desc: Comment: {_one_line(text)}" for text in columns.comments)]


class _Names:
    """Names are written once, as ``(7) name``, and from then on as ``(7)``."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}

    def of(self, kind: str, name: str) -> str:
        clean = _one_line(name) or "???"
        number = self._known.get((kind, clean))
        if number is not None:
            return f"({number})"
        self._known[kind, clean] = number = len(self._known) + 1
        return f"({number}) {clean}"


def _event(name: str, number: int) -> str:
    """A name that the format allows: one word of letters and digits."""
    return re.sub(r"\W", "_", name, flags=re.ASCII) or f"event{number}"


def _one_line(text: str) -> str:
    return " ".join(text.translate(UNPRINTABLE).split())


def _numbers(values: Sequence[int] | Ints) -> str:
    return " ".join(str(int(value)) for value in values)
