# SPDX-License-Identifier: Apache-2.0
"""speedscope's JSON (https://www.speedscope.app/file-format-schema.json). Written, not read.

Every sample type becomes a profile of its own over one table of frames. Weights cannot be negative: rows that are, in a
difference, are left out.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from heaptide.formats.named import frame_names
from heaptide.model.columns import Columns

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_UNITS = {
    "bytes": "bytes",
    "nanoseconds": "nanoseconds",
    "microseconds": "microseconds",
    "milliseconds": "milliseconds",
    "seconds": "seconds",
}


def dump(columns: Columns, value: int, name: str) -> bytes:
    """Write every sample type of a profile; number ``value`` is shown first. ``name`` is the title."""
    frames, stacks = _frames(columns)
    document = {
        "$schema": _SCHEMA,
        "shared": {"frames": frames},
        "profiles": [_profile(columns, number, stacks) for number in range(len(columns.sample_types))],
        "name": _text(name),
        "activeProfileIndex": value,
        "exporter": "heaptide",
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True).encode()


def _profile(columns: Columns, number: int, stacks: list[list[int]]) -> dict[str, Any]:
    kind = columns.sample_types[number]
    rows = [(stack, value) for stack, value in zip(stacks, columns.values[number].tolist(), strict=True) if value > 0]
    return {
        "type": "sampled",
        "name": _text(kind.type),
        "unit": _UNITS.get(kind.unit, "none"),
        "startValue": 0,
        "endValue": sum(value for _, value in rows),
        "samples": [stack for stack, _ in rows],
        "weights": [value for _, value in rows],
    }


def _frames(columns: Columns) -> tuple[list[dict[str, Any]], list[list[int]]]:
    """The table of frames, and each row's stack as indices into it, root first."""
    where, functions = columns.locations, columns.functions
    start, function, line = where.line_start.tolist(), where.function.tolist(), where.line.tolist()
    index: dict[tuple[str, str, int], int] = {}
    of_location: list[list[int]] = []
    for row, names in enumerate(frame_names(columns)):
        lines = range(start[row], start[row + 1])
        files = [functions.filename[function[at]] if function[at] >= 0 else "" for at in lines] or [""]
        numbers = [line[at] for at in lines] or [0]
        keys = list(zip(names, files, numbers, strict=True))
        of_location.append([index.setdefault(key, len(index)) for key in reversed(keys)])
    stack = columns.stack.tolist()
    stacks = [
        [frame for location in reversed(stack[first:end]) for frame in of_location[location]]
        for first, end in pairwise(columns.stack_start.tolist())
    ]
    return [_frame(*key) for key in index], stacks


def _frame(name: str, file: str, line: int) -> dict[str, Any]:
    frame: dict[str, Any] = {"name": _text(name)}
    if file:
        frame["file"] = _text(file)
    if line:
        frame["line"] = line
    return frame


def _text(name: str) -> str:
    """JSON holds text, not bytes: what is no UTF-8 is replaced."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
