# SPDX-License-Identifier: Apache-2.0
"""Small profiles as `Columns`, written as stacks of names.

    columns = some_columns({"malloc work+ main": (2, 100)}, {"worker": "a"})

Locations are words with the leaf first; ``+`` binds a word to the one behind it as a call inlined into it: both are
lines of one location. A word is FUNCTION[:LINE]; its source file is ``/src/FUNCTION.c``, everything lies in /bin/prog.
Equal locations have equal addresses, counted from ``start``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zlib import crc32

import numpy as np

from heaptide.analysis.rows import bounds
from heaptide.model.columns import Columns, Functions, Labels, Locations, Mapped, ValueType

TYPES = (ValueType("inuse_objects", "count"), ValueType("inuse_space", "bytes"))
Label = str | int | tuple[int, str]
"""Text, a number, or a number and its unit."""


def some_columns(
    stacks: Mapping[str, tuple[int, ...]] | Sequence[tuple[str, tuple[int, ...]]],
    labels: Sequence[Mapping[str, Label | Sequence[Label]]] = (),
    *,
    start: int = 0x1000,
    types: tuple[ValueType, ...] = TYPES,
    file: str = "/bin/prog",
) -> Columns:
    """One sample for each stack with its values; ``labels`` are those of the first samples. ``start``: of the map."""
    rows = list(stacks.items()) if isinstance(stacks, Mapping) else list(stacks)
    places: dict[str, int] = {}
    stack = [[places.setdefault(word, len(places)) for word in _locations(text)] for text, _ in rows]
    names = list(dict.fromkeys(line.partition(":")[0] for place in places for line in place.split("+")))
    lines = [[line.partition(":") for line in place.split("+")] for place in places]
    flat = [line for of_place in lines for line in of_place]
    count = len(places)
    return Columns(
        sample_types=types,
        values=np.ascontiguousarray(np.array([values for _, values in rows], np.int64).reshape(len(rows), -1).T),
        stack_start=bounds(np.array([len(one) for one in stack], np.int64)),
        stack=np.array([place for one in stack for place in one], np.int32),
        locations=Locations(
            address=np.array([start + 16 * (1 + crc32(place.encode()) % 0xFF0) for place in places], np.uint64),
            mapping=np.zeros(count, np.int32),
            folded=np.zeros(count, bool),
            line_start=bounds(np.array([len(of_place) for of_place in lines], np.int64)),
            function=np.array([names.index(name) for name, _, _ in flat], np.int32),
            line=np.array([int(line or 1) for _, _, line in flat], np.int64),
            column=np.zeros(len(flat), np.int64),
        ),
        functions=Functions(names, list(names), [f"/src/{name}.c" for name in names], np.zeros(len(names), np.int64)),
        mappings=(Mapped(start, start + 0x10000, 0, file, "", True, True, True, True),),
        labels=_labels(labels),
        period_type=ValueType("space", "bytes"),
        period=1,
    )


def _locations(text: str) -> list[str]:
    return text.replace("+ ", "+").split()


def _labels(labels: Sequence[Mapping[str, Label | Sequence[Label]]]) -> Labels:
    strings: dict[str, int] = {}
    rows = []
    for row, of_row in enumerate(labels):
        for key, values in of_row.items():
            for value in [values] if isinstance(values, str | int | tuple) else values:
                number, unit = value if isinstance(value, tuple) else (value, "")
                text = strings.setdefault(value, len(strings)) if isinstance(value, str) else -1
                known = strings.setdefault(unit, len(strings)) if unit else -1
                rows.append((row, strings.setdefault(key, len(strings)), text, 0 if text >= 0 else number, known))
    table = np.array(rows, np.int64).reshape(-1, 5)
    indices = [table[:, i].astype(np.int32) for i in (1, 2, 4)]
    return Labels(table[:, 0].copy(), indices[0], indices[1], table[:, 3].copy(), indices[2], list(strings))


def stacks_of(columns: Columns) -> list[tuple[str, tuple[int, ...]]]:
    """The samples as `some_columns` takes them, without source lines."""
    places, names = columns.locations, columns.functions.name
    words = [
        "+".join(names[function] for function in places.function[first:end].tolist())
        for first, end in zip(places.line_start[:-1].tolist(), places.line_start[1:].tolist(), strict=True)
    ]
    start = columns.stack_start.tolist()
    return [
        (" ".join(words[place] for place in columns.stack[start[row] : start[row + 1]].tolist()), tuple(values))
        for row, values in enumerate(columns.values.T.tolist())
    ]
