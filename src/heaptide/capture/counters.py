# SPDX-License-Identifier: Apache-2.0
"""The counters of all snapshots, turned round: from what changed at each moment to what became of each stack.

A snapshot holds the totals of the stacks that changed since the one before. Here these entries are brought into the
order (stack, moment), once, by a sort in linear time; then the state at a moment is the last entry of each stack up to
there, and what happened between two moments is a difference of neighbours. The columns stay as wide as they were
written until one is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from heaptide.capture.records import SnapshotRecord

Ints = npt.NDArray[np.int64]
Column = npt.NDArray[Any]

_RADIX = 1 << 16
_SPARSE = 8
"""Ids are given out without holes. Where they reach beyond so many times the entries, no table by id is made."""


@dataclass(frozen=True, slots=True)
class State:
    """All stacks' counters at a snapshot: ids ascending, columns by the names of the capture, as wide as 64 bits."""

    ids: Ints
    columns: dict[str, Column]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over all stacks, one entry for each snapshot. Stacks that freed more than they allocated count as zero."""

    in_use_bytes: Ints
    allocated_bytes: Ints
    negative: Ints
    """How many stacks freed more than they allocated."""


class CounterLog:
    """The entries of some stacks of one recording. All snapshots have the same columns."""

    def __init__(self, snapshots: Sequence[SnapshotRecord]) -> None:
        self._snapshots = snapshots
        counts = np.array([len(snapshot.ids) for snapshot in snapshots], np.int64)
        all_ids = np.concatenate([np.zeros(0, np.int64), *(snapshot.ids for snapshot in snapshots)])
        ids, rows = _ranks(all_ids)
        self.ids: Ints = ids
        """The stacks, ascending."""
        self._order = _stable_order(rows, len(ids)).astype(np.int32 if len(rows) < 2**31 else np.int64)
        """For each entry, in the order (stack, moment), its place in the order of the file."""
        self.first: Ints = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(rows, minlength=len(ids)))])
        """The entries of the stack in row r are those from first[r] to first[r + 1]."""
        self.moment = np.repeat(np.arange(len(counts), dtype=np.int32), counts)[self._order]
        """For each entry its snapshot's index."""

    def only(self, rows: npt.NDArray[np.bool_]) -> "CounterLog":
        """The log of some of the stacks (a mask by row), at the same snapshots."""
        if rows.all():
            return self
        entries = np.repeat(rows, np.diff(self.first))
        part = object.__new__(CounterLog)
        part._snapshots = self._snapshots
        part.ids, part._order, part.moment = self.ids[rows], self._order[entries], self.moment[entries]
        part.first = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.diff(self.first)[rows])])
        return part

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, by the names of the capture."""
        return tuple(self._snapshots[0].columns) if self._snapshots else ()

    def column(self, name: str) -> Column:
        """The totals of one counter at every entry, int64 or float64."""
        parts = [np.zeros(0, np.uint8), *(snapshot.columns[name] for snapshot in self._snapshots)]
        whole: Column = np.concatenate(parts)[self._order]
        return whole if whole.dtype.kind == "f" else whole.astype(np.int64)

    def steps(self, values: Column) -> Column:
        """For values by entry the difference to the same stack's entry before; the first of a stack to zero."""
        steps = values.copy()
        steps[1:] -= values[:-1]
        begins = self.first[:-1]
        steps[begins] = values[begins]
        return steps

    def state(self, index: int) -> State:
        """The counters at `snapshots[index]`, for the stacks that had any by then."""
        if not len(self.ids):
            return State(self.ids, {name: self.column(name) for name in self.names})
        passed = np.add.reduceat(self.moment <= index, self.first[:-1], dtype=np.int64)
        rows = np.flatnonzero(passed)
        entries = (self.first[:-1] + passed - 1)[rows]
        return State(self.ids[rows], {name: self._gather(name, entries) for name in self.names})

    def totals(self) -> Totals:
        """The sums at each snapshot, worked out from all entries."""
        allocated = self.column("alloc_bytes")
        live = allocated - self.column("free_bytes")
        below = live < 0
        negative = self._summed(below.astype(np.int64)) if below.any() else np.zeros(len(self._snapshots), np.int64)
        live[below] = 0
        return Totals(self._summed(live), self._summed(allocated), negative)

    def _summed(self, values: Ints) -> Ints:
        """Values by entry, carried forward and summed over the stacks, in whole numbers: at each snapshot."""
        ends = np.cumsum([len(snapshot.ids) for snapshot in self._snapshots], dtype=np.int64)
        steps = np.zeros(1 + int(ends[-1]) if len(ends) else 1, np.int64)
        steps[1 + self._order] = self.steps(values)  # back in the order of the file, which is that of the moments
        sums: Ints = np.cumsum(steps)[ends]
        return sums

    def _gather(self, name: str, entries: Ints) -> Column:
        """The values of one column at these entries, without bringing the whole column into order."""
        place = self._order[entries]
        starts = np.cumsum([0, *(len(snapshot.ids) for snapshot in self._snapshots)])
        moments = self.moment[entries]
        first = self._snapshots[0].columns[name]
        out: Column = np.zeros(len(entries), np.float64 if first.dtype.kind == "f" else np.int64)
        order = _stable_order(moments, len(self._snapshots))
        owners, begins = np.unique(moments[order], return_index=True)
        for owner, group in zip(owners.tolist(), np.split(order, begins[1:]), strict=False):
            out[group] = self._snapshots[owner].columns[name][place[group] - starts[owner]]
        return out


def _ranks(ids: Ints) -> tuple[Ints, Ints]:
    """The distinct numbers, ascending, and for each of `ids` its place among them."""
    top = int(ids.max()) if len(ids) else 0
    if top > _SPARSE * len(ids) + (1 << 20):
        distinct, ranks = np.unique(ids, return_inverse=True)
        return distinct, ranks
    seen = np.zeros(top + 1, bool)
    seen[ids] = True
    distinct = np.flatnonzero(seen)
    table = np.zeros(top + 1, np.int64)
    table[distinct] = np.arange(len(distinct))
    return distinct, table[ids]


def _stable_order(keys: npt.NDArray[Any], most: int) -> Ints:
    """What brings `keys`, all from 0 to `most` - 1, into ascending order. numpy sorts 16 bits by radix: linear time."""
    order: Ints = np.argsort(keys.astype(np.uint16), kind="stable")  # their low 16 bits
    if most > _RADIX:
        order = order[_stable_order(keys[order] // _RADIX, -(-most // _RADIX))]
    return order
