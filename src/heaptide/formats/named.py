# SPDX-License-Identifier: Apache-2.0
"""What to call the frames of a location, in formats that hold names alone."""

from __future__ import annotations

import os
from itertools import chain

from heaptide.model.columns import Columns

_COMMANDS = (range(0x20), range(0x7F, 0xA0), range(0xDC80, 0xDCA0))
_TURNS = (range(0x61C, 0x61D), range(0x200E, 0x2010), range(0x2028, 0x202F), range(0x2066, 0x206A))
UNPRINTABLE = dict.fromkeys(chain(*_COMMANDS, *_TURNS), "\ufffd") | dict.fromkeys(map(ord, "\t\n\v\f\r\0"), " ")
"""For `str.translate`, in formats that people look at too: spaces for what separates, a mark for what would command a
terminal (as characters, and as bytes that are no UTF-8) or turn the line round."""


def frame_names(columns: Columns) -> list[tuple[str, ...]]:
    """For each location the names of its frames, innermost inlined call first, never empty."""
    places = columns.locations
    functions = places.function.tolist()
    start = places.line_start.tolist()
    known = [name or system for name, system in zip(columns.functions.name, columns.functions.system_name, strict=True)]
    return [
        tuple(
            (known[function] if function >= 0 else "") or unnamed(columns, row)
            for function in functions[start[row] : start[row + 1]]
        )
        or (unnamed(columns, row),)
        for row in range(len(places))
    ]


def unnamed(columns: Columns, row: int) -> str:
    """What stands for a location without a name: its file and the address there, or why there is neither."""
    places = columns.locations
    address, mapping = int(places.address[row]), int(places.mapping[row])
    if mapping >= 0 and columns.mappings[mapping].file:
        one = columns.mappings[mapping]
        return f"{os.path.basename(one.file)}+{max(address - one.start + one.offset, 0):#x}"
    if address:
        return f"{address:#x}"
    return f"[{places.unresolved.get(row, 'unknown')}]"
