# SPDX-License-Identifier: Apache-2.0
"""From the records of a text heap profile to columns: what gperftools' and jemalloc's files have in common.

The rules are pprof's, so that its numbers come out: four sample types, or two where the header shows that nothing was
freed; the sampling undone record by record; a numeric label ``bytes`` with the mean size of the blocks; one location
for each address; frames of allocators named in ``drop_frames``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from heaptide.formats.maps import Mapping, place
from heaptide.model.columns import Addresses, Columns, Functions, Indices, Ints, Labels, Locations, ValueType
from heaptide.model.heap_frames import DROP_FRAMES, KEEP_FRAMES

Floats = npt.NDArray[np.float64]

FOUR = (
    ValueType("alloc_objects", "count"),
    ValueType("alloc_space", "bytes"),
    ValueType("inuse_objects", "count"),
    ValueType("inuse_space", "bytes"),
)
TWO = (ValueType("objects", "count"), ValueType("space", "bytes"))
PERIOD_TYPE = ValueType("space", "bytes")


def unsampled(objects: Ints, space: Ints, period: int) -> tuple[Ints, Ints]:
    """What samples of a Poisson process by bytes stand for: pprof's rule for each record, by its mean size.

    A block of s bytes is sampled with probability 1 - exp(-s / period); counts and bytes (int64, any shape) are divided
    by it and truncated. Records without blocks, and any if ``period`` is 1 or less, stay as they are.
    """
    if period <= 1:
        return objects, space
    some = objects != 0
    count = np.where(some, objects, 1).astype(np.float64)
    with np.errstate(all="ignore"):
        kept = 1.0 - np.exp(-(space.astype(np.float64) / count) / period)
        scale = np.where(some & (kept != 0) & np.isfinite(kept), 1.0 / kept, 1.0)
        scaled = [np.trunc(np.clip(part * scale, -(2.0**63), 2.0**63 - 1024)) for part in (objects, space)]
    exact = ~some | (scale == 1.0)
    return tuple(  # type: ignore[return-value]
        np.where(exact, part, value.astype(np.int64)) for part, value in zip((objects, space), scaled, strict=True)
    )


def variance(objects: Ints, space: Ints, period: int) -> Floats:
    """Variance, in bytes^2, of bytes that `unsampled` gave: n s^2 (1 - p) / p^2 for n samples of s bytes.

    Horvitz and Thompson (1952) for independent draws with probability p = 1 - exp(-s / period); n p^-1 is the estimated
    count, so it is space * s * (1 - p) / p with the estimated values. Zero where ``period`` is 1 or less.
    """
    if period <= 1:
        return np.zeros(len(space))
    total = np.abs(space.astype(np.float64))
    count = np.abs(objects.astype(np.float64))
    size = np.divide(total, count, out=np.zeros(len(total)), where=count > 0)
    kept = -np.expm1(-size / period)
    ratio = np.divide(1.0 - kept, kept, out=np.zeros(len(total)), where=kept > 0)
    return np.asarray(total * size * ratio, np.float64)


def heap_columns(
    counts: Sequence[Sequence[int]],
    stacks: Sequence[Sequence[int]],
    mappings: Sequence[Mapping],
    *,
    period: int,
    has_alloc: bool,
) -> Columns:
    """The columns of a text heap profile.

    Args:
        counts: for each record objects and bytes in use, objects and bytes ever allocated, as in the file.
        stacks: for each record the addresses of the calls, leaf first.
        mappings: the memory map.
        period: mean bytes between samples, 1 when every allocation was counted.
        has_alloc: whether the file tells what was allocated from what is in use.
    """
    table = np.array(counts, np.int64).reshape(-1, 4)
    inuse_objects, inuse_space, alloc_objects, alloc_space = table.T
    inuse = unsampled(inuse_objects, inuse_space, period)
    alloc = unsampled(alloc_objects, alloc_space, period)
    values = np.array([*alloc, *inuse] if has_alloc else inuse, np.int64)
    index: dict[int, int] = {}
    start = np.cumsum(np.fromiter(chain([0], map(len, stacks)), np.int64, len(stacks) + 1))
    flat = (index.setdefault(address, len(index)) for address in chain.from_iterable(stacks))
    stack = np.fromiter(flat, np.int32, int(start[-1]))
    addresses = np.fromiter(index, np.uint64, len(index))
    mapped, mapping = place(addresses, mappings)
    return Columns(
        sample_types=FOUR if has_alloc else TWO,
        values=values,
        stack_start=start,
        stack=stack,
        locations=_nameless(addresses, mapping),
        functions=Functions((), (), (), np.zeros(0, np.int64)),
        mappings=mapped,
        labels=_sizes(table, has_alloc),
        period_type=PERIOD_TYPE,
        period=period,
        drop_frames=DROP_FRAMES,
        keep_frames=KEEP_FRAMES,
    )


def _nameless(addresses: Addresses, mapping: Indices) -> Locations:
    none = np.zeros(0, np.int64)
    return Locations(
        address=addresses,
        mapping=mapping,
        folded=np.zeros(len(addresses), np.bool_),
        line_start=np.zeros(len(addresses) + 1, np.int64),
        function=none.astype(np.int32),
        line=none,
        column=none,
    )


def _sizes(table: Ints, has_alloc: bool) -> Labels:
    """The label ``bytes``: the mean size of the blocks in use, else of those allocated, rounded towards zero."""
    rows = len(table)
    size = np.zeros(rows, np.int64)
    for objects, space in ((2, 3), (0, 1)) if has_alloc else ((0, 1),):
        some = table[:, objects] != 0
        count = np.where(some, table[:, objects], 1)
        quotient = np.abs(table[:, space]) // np.abs(count) * np.sign(table[:, space]) * np.sign(count)
        size = np.where(some, quotient, size)
    zero = np.zeros(rows, np.int32)
    return Labels(np.arange(rows, dtype=np.int64), zero, zero - 1, size, zero - 1, ("bytes",))
