# SPDX-License-Identifier: Apache-2.0
"""Collapsed (folded) stacks, as flame graph tools take them: one stack a line, root first, and one number.

    main;parse;malloc 4096

Nothing says what the number counts. A line is split at its last blank: names may hold blanks, but no semicolon.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from heaptide._errors import InputError
from heaptide.formats.named import UNPRINTABLE, frame_names
from heaptide.model.columns import Columns, Functions, Locations, ValueType

_LINE = re.compile(rb"(.*?)[ \t]+(-?\d{1,18})\s*$", re.DOTALL)
SAMPLES = ValueType("samples", "count")


def looks_like(head: bytes) -> bool:
    """Whether the first line with anything on it is a stack and a number, in text."""
    lines = [line for line in head.splitlines()[:100] if line.strip() and not line.startswith(b"#")]
    if not lines or b"\0" in head:
        return False
    match = _LINE.match(lines[0])
    return match is not None and bool(match[1].strip()) and (b";" in match[1] or len(lines) > 1 or b" " not in match[1])


def parse(data: bytes, path: str = "<profile>") -> Columns:
    """Read collapsed stacks as a profile of ``samples``. ``path`` is only named in errors.

    Empty lines and lines that begin with ``#`` are passed over; any other that is no stack and number is an
    InputError. Equal stacks are not joined.
    """
    index: dict[bytes, int] = {}
    flat: list[int] = []
    depths: list[int] = []
    values: list[int] = []
    byte = 0
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip() and not line.startswith(b"#"):
            match = _LINE.match(line)
            if match is None:
                found = repr(line[-60:].decode("utf-8", "replace"))
                raise InputError(path, byte, f"a stack and a number in line {number}", found=found)
            stack = match[1].split(b";") if match[1] else []
            flat += [index.setdefault(name, len(index)) for name in reversed(stack)]
            depths.append(len(stack))
            values.append(int(match[2]))
        byte += len(line) + 1
    names = [name.decode("utf-8", "surrogateescape") for name in index]
    return columns_of_names(names, flat, depths, [values], (SAMPLES,))


def columns_of_names(
    names: Sequence[str],
    flat: Sequence[int],
    depths: Sequence[int],
    values: Sequence[Sequence[int]],
    sample_types: tuple[ValueType, ...],
) -> Columns:
    """Columns of stacks that are nothing but names: one location for each name.

    Args:
        names: of the functions.
        flat: the stacks as indices into ``names``, leaf first, one after the other.
        depths: the length of each stack.
        values: one row for each sample type, one value for each stack.
    """
    count = len(names)
    zeros = np.zeros(count, np.int64)
    return Columns(
        sample_types=sample_types,
        values=np.array(values, np.int64).reshape(len(sample_types), len(depths)),
        stack_start=np.concatenate((zeros[:0], [0], np.cumsum(depths))).astype(np.int64),
        stack=np.array(flat, np.int32),
        locations=Locations(
            address=zeros.astype(np.uint64),
            mapping=np.full(count, -1, np.int32),
            folded=zeros.astype(np.bool_),
            line_start=np.arange(count + 1, dtype=np.int64),
            function=np.arange(count, dtype=np.int32),
            line=zeros,
            column=zeros,
        ),
        functions=Functions(names, [""] * count, [""] * count, zeros),
    )


def dump(columns: Columns, value: int) -> bytes:
    """Write sample type number ``value``. Equal stacks are joined, those of value zero left out; sorted."""
    names = [";".join(_safe(name) for name in reversed(one)) for one in frame_names(columns)]
    start = columns.stack_start.tolist()
    stack = columns.stack.tolist()
    total: dict[str, int] = {}
    for row, number in enumerate(columns.values[value].tolist()):
        line = ";".join([names[place] for place in reversed(stack[start[row] : start[row + 1]])])
        total[line] = total.get(line, 0) + number
    lines = [f"{line} {number}\n" for line, number in sorted(total.items()) if number]
    return "".join(lines).encode("utf-8", "surrogateescape")


def _safe(name: str) -> str:
    """A name that the format can hold."""
    return name.translate(_SAFE).strip() or "?"


_SAFE = UNPRINTABLE | {ord(";"): ":"}
