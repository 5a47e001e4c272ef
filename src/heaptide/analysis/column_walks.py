# SPDX-License-Identifier: Apache-2.0
"""`Columns` as walks over places, and how finely places are told apart."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from heaptide.analysis.places import Flags, Ints, Place, Walks
from heaptide.model.columns import Columns

Detail = Literal["functions", "filefunctions", "files", "lines", "addresses"]
"""pprof's granularities: by name alone, by name and file, by file, by line, by address and line."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What of a frame tells places apart."""

    function: bool = True
    file: bool = True
    line: bool = True
    column: bool = True
    address: bool = True

    @classmethod
    def of(cls, detail: Detail, *, inlines: bool = True, columns: bool = False) -> Kept:
        """What a granularity keeps. Addresses keep everything, columns too, unless inlined calls are left out."""
        if detail == "addresses":
            return cls(column=inlines or columns)
        return cls(
            function=detail != "files",
            file=detail != "functions",
            line=detail == "lines",
            column=detail == "lines" and columns,
            address=False,
        )


def without_inlines(columns: Columns) -> Columns:
    """Each location reduced to its outermost line: inlined calls are charged to the function that they stand in."""
    locations = columns.locations
    ends = locations.line_start[1:]
    some = ends > locations.line_start[:-1]
    last = ends[some] - 1
    return replace(
        columns,
        locations=replace(
            locations,
            line_start=np.concatenate(([0], np.cumsum(some))),
            function=locations.function[last],
            line=locations.line[last],
            column=locations.column[last],
        ),
    )


def column_walks(columns: Columns, rows: Flags, kept: Kept, *, with_modules: bool = False) -> Walks:
    """Walks over the chosen samples (a mask). Samples without any location are left out.

    ``with_modules``: places of functions are told apart by the module and the line where the function begins as well.
    """
    places, of_node, node_start, inlined = _nodes(columns, kept, with_modules)
    row, location = _steps(columns, rows)
    count = np.diff(node_start)[location]
    if (count == 1).all():
        node = node_start[location]
    else:
        row = np.repeat(row, count)
        # The nodes of a location stand innermost first; here everything runs from the root, so each run is reversed.
        offset = np.repeat(np.cumsum(count), count) - 1 - np.arange(len(row))
        node = np.repeat(node_start[location], count) + offset
    leaf = np.flatnonzero(np.append(row[1:] != row[:-1], True)) if len(row) else np.zeros(0, np.int64)
    return Walks(places, of_node[node], row, inlined[node], node, leaf, row[leaf])


def _steps(columns: Columns, rows: Flags) -> tuple[Ints, Ints]:
    """Row and location of every step of the chosen rows, from the root to the leaf, one stack after the other."""
    lengths = np.diff(columns.stack_start)
    row = np.repeat(np.arange(len(columns), dtype=np.int64), lengths)
    location = columns.stack
    if not rows.all():
        wanted = rows[row]
        row, location, lengths = row[wanted], location[wanted], lengths[rows]
    # Stacks stand leaf first; read backwards, all of them stand root first.
    return row[::-1], location[::-1].astype(np.int64)


def _nodes(columns: Columns, kept: Kept, with_modules: bool) -> tuple[list[Place], Ints, Ints, Flags]:
    """The distinct places; the place of each line (one for a location without lines), where each location's begin,
    and whether a line is inlined into the next one of its location."""
    locations = columns.locations
    lines = np.diff(locations.line_start)
    count = np.maximum(lines, 1)
    start = np.concatenate(([0], np.cumsum(count)))
    location = np.repeat(np.arange(len(locations)), count)
    line = np.full(len(location), -1)  # -1 where there is none
    line[lines[location] > 0] = np.arange(len(locations.function))
    inlined = np.ones(len(location), bool)
    inlined[start[1:] - 1] = False
    namer = _Namer(columns, kept, with_modules)
    keys, inverse = _distinct_rows(namer.keys(location, line))
    index: dict[Place, int] = {}
    of_key = np.array([index.setdefault(namer.place(key), len(index)) for key in keys.tolist()], np.int64)
    return list(index), of_key[inverse], start, inlined


def _distinct_rows(table: Ints) -> tuple[Ints, Ints]:
    """The distinct rows, and for each row the number of its equal among them."""
    order = np.lexsort(table.T[::-1])
    ordered = table[order]
    first = np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1)) if len(table) else np.zeros(0, bool)
    inverse = np.empty(len(table), np.int64)
    inverse[order] = np.cumsum(first) - 1
    return ordered[first], inverse


class _Namer:
    """From lines of locations to places. What the granularity forgets is zero before places are told apart."""

    def __init__(self, columns: Columns, kept: Kept, with_modules: bool) -> None:
        self.columns, self.kept, self.with_modules = columns, kept, with_modules
        self.files = {name: posixpath.normpath(name) if name else None for name in set(columns.functions.filename)}

    def keys(self, location: Ints, line: Ints) -> Ints:
        """For each line (-1: a location without one): function, mapping, line, column, address (its bits as int64)."""
        locations = self.columns.locations
        named = line >= 0
        at = line[named]
        keys = np.zeros((len(line), 5), np.int64)
        keys[:, 0] = -1
        keys[named, 0] = locations.function[at]
        keys[:, 1] = locations.mapping[location]
        if self.kept.line:
            keys[named, 2] = locations.line[at]
        if self.kept.column:
            keys[named, 3] = locations.column[at]
        if self.kept.address:
            keys[:, 4] = locations.address[location].view(np.int64)
        return keys

    def place(self, key: list[int]) -> Place:
        """The place that a row of `keys` stands for."""
        function, mapping, line, column, address = key
        module = (self.columns.mappings[mapping].file or None) if mapping >= 0 else None
        where = address % 2**64 or None
        if function < 0:
            return Place(address=where, module=module)
        functions = self.columns.functions
        name = functions.name[function] or None if self.kept.function else None
        told_apart = self.with_modules or name is None
        return Place(
            function=name,
            file=self.files[functions.filename[function]] if self.kept.file else None,
            line=line or None,
            column=column or None,
            address=where,
            module=module if told_apart else None,
            start_line=(int(functions.start_line[function]) or None) if told_apart else None,
        )
