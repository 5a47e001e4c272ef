# SPDX-License-Identifier: Apache-2.0
"""Between the two forms of a profile: columns (what files hold) and stacks of frames (what reports are made of)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from heaptide._types import Address, FileOffset
from heaptide.model.columns import Addresses, Columns, Ints
from heaptide.model.roles import role_of
from heaptide.model.tables import Frame, StackTable

_NAMELESS = "the profile has no name for it"


def stack_table(columns: Columns, vaddr: Addresses, files: Sequence[str]) -> StackTable:
    """The stacks of columns as frames, one stack for each row.

    Args:
        columns: named as far as can be.
        vaddr: for each location its address as its file numbers it.
        files: for each mapping its file.
    """
    index: dict[Frame, int] = {}
    of_location: list[int] = []
    bounds = [0]
    for row, frames in enumerate(_frames(columns, vaddr.tolist(), files)):
        of_location += [index.setdefault(frame, len(index)) for frame in frames]
        bounds.append(bounds[-1] + len(frames))
        assert len(bounds) == row + 2
    flat, start = expanded(columns, np.array(of_location, np.int64), np.array(bounds, np.int64))
    every = flat.tolist()
    return StackTable(list(index), [tuple(every[first:end]) for first, end in pairwise(start.tolist())])


def expanded(columns: Columns, of_location: Ints, bounds: Ints) -> tuple[Ints, Ints]:
    """Stacks of locations as stacks of what these hold: the flat array, and where each stack begins in it."""
    length = np.diff(bounds)[columns.stack]
    ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(length)))
    within = np.arange(ends[-1]) - np.repeat(ends[:-1], length)
    return of_location[np.repeat(bounds[columns.stack], length) + within], ends[columns.stack_start]


def _frames(columns: Columns, vaddrs: Sequence[int], files: Sequence[str]) -> list[tuple[Frame, ...]]:
    """For each location its frames, innermost inlined call first, never empty."""
    places, functions = columns.locations, columns.functions
    start, function, line = places.line_start.tolist(), places.function.tolist(), places.line.tolist()
    out: list[tuple[Frame, ...]] = []
    for row, (mapping, vaddr) in enumerate(zip(places.mapping.tolist(), vaddrs, strict=True)):
        module = (files[mapping] or None) if mapping >= 0 else None
        address = (FileOffset(vaddr) if module else Address(vaddr)) if places.address[row] else None
        if start[row] == start[row + 1]:
            why = places.unresolved.get(row, _NAMELESS)
            role = role_of(module, None)
            out.append((Frame(None, None, None, module, address, unresolved=why, role=role),))
            continue
        frames = []
        for at in range(start[row], start[row + 1]):
            known = function[at] >= 0
            name = (functions.name[function[at]] or functions.system_name[function[at]]) if known else ""
            file = functions.filename[function[at]] if known else ""
            frames.append(
                Frame(
                    name or None,
                    file or None,
                    line[at] or None,
                    module,
                    address,
                    inlined=at + 1 < start[row + 1],
                    unresolved=None if name else _NAMELESS,
                    role=role_of(module, name or None),
                )
            )
        out.append(tuple(frames))
    return out
