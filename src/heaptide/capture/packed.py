# SPDX-License-Identifier: Apache-2.0
"""Decodes the columns of a PACKED record: numbers by their low bytes, with the few that do not fit set apart.

All of a column at once, in whole-array steps. What a record claims is held against its bytes before memory is taken.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from heaptide.capture import format as fmt
from heaptide.capture.stacks import Malformed

Column = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_MAX_COUNTER = 2**63 - 1
_UNSIGNED: Mapping[int, np.dtype[Any]] = {width: np.dtype(f"<u{width}") for width in (1, 2, 4, 8)}
_FLOAT: Mapping[int, np.dtype[Any]] = {width: np.dtype(f"<f{width}") for width in (4, 8)}


def decode_columns(body: memoryview, count: int, names: Sequence[str]) -> tuple[Ints, dict[str, Column], bool]:
    """The ids, the columns by name (counters unsigned, variances float64), and whether a row freed more than it took.

    On disk each pair is what was allocated and what of it is in use; here it is what was allocated and what was freed.
    Raises Malformed.
    """
    if count > len(body):  # ids are distinct: their distances are not zero, and take a byte each
        raise Malformed(f"at most {len(body)} rows in {len(body)} bytes", f"{count} rows")
    place, ids = _ids(body, count)
    columns: dict[str, Column] = {}
    overdrawn = False
    for pair in ("bytes", "objects", "variance", "samples"):
        allocated, freed = f"alloc_{pair}", f"free_{pair}"
        if allocated not in names:
            continue
        double = allocated in fmt.FLOAT_COLUMNS
        place, columns[allocated] = _column(allocated, body, place, count, double)
        place, in_use = _column(f"{pair} in use", body, place, count, double)
        overdrawn |= not double and in_use.dtype.itemsize == 8 and bool((in_use > _MAX_COUNTER).any())
        columns[freed] = _freed(freed, columns[allocated], in_use)
    return ids, {name: columns[name] for name in names}, overdrawn


def _freed(name: str, allocated: Column, in_use: Column) -> Column:
    if allocated.dtype.kind == "f":
        variance: Column = np.maximum(allocated - in_use, 0.0)
        return variance
    if not in_use.any():
        return allocated
    freed = allocated.astype(np.uint64) - in_use.astype(np.uint64)
    _check(name, freed)
    return freed


def _ids(body: memoryview, count: int) -> tuple[int, Ints]:
    place, distances = _column("ids", body, 0, count, double=False)
    if count and int(distances.min()) < 1:
        raise Malformed("ascending stack ids", "ids out of order")
    if count and int(distances.max()) >= 2**32:
        raise Malformed("stack ids below 2**32", str(int(distances.max())))
    ids = np.cumsum(distances, dtype=np.int64)
    if count and int(ids[-1]) >= 2**32:
        raise Malformed("stack ids below 2**32", str(int(ids[-1])))
    return place, ids


def _column(name: str, body: memoryview, place: int, count: int, double: bool) -> tuple[int, Column]:
    """One column, and where the next begins."""
    if len(body) - place < fmt.COLUMN.size:
        raise Malformed(f"a column {name}", "the end of the record")
    head = fmt.COLUMN.unpack(body, place)
    width, exceptions = head["width"], head["exceptions"]
    begin = place + fmt.COLUMN.size
    rows_at = begin + _padded(count * width)
    values_at = rows_at + _padded(4 * exceptions)
    end = values_at + 8 * exceptions
    if width > 8 or exceptions > count:
        raise Malformed(f"a column {name} of at most 8 bytes a value", f"{width} bytes, {exceptions} exceptions")
    if end > len(body):
        raise Malformed(f"{count} values of column {name}", "the end of the record")
    values = _narrow(body[begin : begin + count * width], width, count, double)
    if exceptions:
        rows = np.frombuffer(body, "<u4", exceptions, rows_at)
        if int(rows.max()) >= count:
            raise Malformed(f"exceptions among {count} rows", f"row {int(rows.max())}")
        values = values.astype(np.float64 if double else np.uint64)
        values[rows] = np.frombuffer(body, "<f8" if double else "<u8", exceptions, values_at)
    _check(name, values)
    return end, values


def _narrow(raw: memoryview, width: int, count: int, double: bool) -> Column:
    """The values that lie there with `width` bytes each: a view where that is possible."""
    if double and width not in (0, 4, 8):
        raise Malformed("doubles or floats", f"a width of {width}")
    types = _FLOAT if double else _UNSIGNED
    if width == 0:
        return np.zeros(count, np.float64 if double else np.uint8)
    if width in types:
        values: Column = np.frombuffer(raw, types[width])
        return values.astype(np.float64) if double else values
    wide = np.zeros((count, 8), np.uint8)
    wide[:, :width] = np.frombuffer(raw, np.uint8).reshape(count, width)
    return wide.view("<u8")[:, 0]


def _check(name: str, values: Column) -> None:
    if not len(values):
        return
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or (values < 0).any():
            raise Malformed(f"finite values of column {name}, not below zero", "others")
    elif values.dtype.itemsize == 8 and not name.endswith("in use") and int(values.max()) > _MAX_COUNTER:
        raise Malformed(f"values of column {name} below 2**63", str(int(values.max())))


def _padded(length: int) -> int:
    return length + 7 & ~7
