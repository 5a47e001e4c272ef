# SPDX-License-Identifier: Apache-2.0
"""Columns as a text heap profile of gperftools: stacks of addresses, four numbers each, and the memory map.

The kind is always ``heapprofile``: values are written as they are, and that kind is the one that no reader scales.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from heaptide.formats import gperftools
from heaptide.formats.gperftools import HeapFile, HeapRecord, totals
from heaptide.formats.maps import Mapping
from heaptide.model.columns import Columns, Ints

_NAMES = ("inuse_objects", "inuse_space", "alloc_objects", "alloc_space")
_SHORT = {"objects": "inuse_objects", "space": "inuse_space"}


def dump(columns: Columns) -> bytes:
    """Write the values that the format has; `lacks` says what it has not. Rows without any of them are left out."""
    counts = _counts(columns)
    address = columns.locations.address.tolist()
    stack = columns.stack.tolist()
    bounds = list(pairwise(columns.stack_start.tolist()))
    records = tuple(
        HeapRecord(a, b, c, d, tuple(address[place] for place in stack[first:end]))
        for (a, b, c, d), (first, end) in zip(counts.T.tolist(), bounds, strict=True)
        if a or b or c or d
    )
    return gperftools.dump(HeapFile("heapprofile", 1, totals(records), records, tuple(_mappings(columns))))


def values_of(columns: Columns) -> dict[str, Ints]:
    """The columns that a text heap profile has, by their long names."""
    found: dict[str, Ints] = {}
    for kind, column in zip(columns.sample_types, columns.values, strict=True):
        name = _SHORT.get(kind.type, kind.type)
        if name in _NAMES:
            found.setdefault(name, column)
    return found


def _counts(columns: Columns) -> Ints:
    """Shape (4, rows): in use and allocated, objects and bytes. What the profile has not is what is in use, or 0."""
    found = values_of(columns)
    zero = np.zeros(len(columns), np.int64)
    if "alloc_space" not in found:
        found |= {name.replace("inuse", "alloc"): column for name, column in found.items()}
    return np.array([found.get(name, zero) for name in _NAMES], np.int64)


def _mappings(columns: Columns) -> list[Mapping]:
    return [
        Mapping(one.start, one.limit, "r-xp", one.offset, " ".join(one.file.split()))
        for one in columns.mappings
        if one.file
    ]
