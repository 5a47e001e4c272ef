# SPDX-License-Identifier: Apache-2.0
"""What became of every stack between chosen moments: the values of a recording without its frames."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_Numbers = TypeVar("_Numbers", Ints, Floats)

COUNTERS = ("alloc_space", "inuse_space", "alloc_objects", "inuse_objects")
"""The value types, in the order in which they are written."""


@dataclass(frozen=True)
class Changes:
    """Entries of one stack and one moment each, ordered by moment and then by stack: by how much each value
    changed since the moment before (at the first one: since nothing). Stacks that did not change have no entry.
    """

    stacks: int
    """Number of stacks."""
    moment: Ints
    """Of each entry its place among the chosen moments."""
    row: Ints
    """Of each entry its stack's place."""
    columns: Mapping[str, Ints]
    """By the names of `COUNTERS`: bytes, and objects times `object_scale`."""
    object_scale: int
    """1 where objects are whole numbers; a power of two where they are estimates."""
    alloc_variance: Floats
    """By moment, summed over all stacks since recording began: bytes². Zero in exact mode."""
    free_variance: Floats

    @property
    def moments(self) -> int:
        """Number of chosen moments."""
        return len(self.alloc_variance)

    def totals(self, name: str) -> npt.NDArray[np.int64]:
        """One value summed over all stacks, by moment."""
        steps = np.zeros(self.moments, np.int64)
        np.add.at(steps, self.moment, self.columns[name])
        return np.cumsum(steps)

    def matrix(self, name: str, begin: int, end: int) -> Ints:
        """The changes of one value at the moments from `begin` to before `end`: moments by stacks."""
        first, last = np.searchsorted(self.moment, (begin, end))
        out = np.zeros((end - begin, self.stacks), np.int64)
        out[self.moment[first:last] - begin, self.row[first:last]] = self.columns[name][first:last]
        return out

    def at(self, keep: Ints) -> "Changes":
        """The changes between fewer moments: places of the kept ones, ascending, the last moment among them."""
        moment = np.searchsorted(keep, self.moment)
        fewer = self._summed(moment * self.stacks + self.row, self.stacks)
        return replace(fewer, alloc_variance=self.alloc_variance[keep], free_variance=self.free_variance[keep])

    def grouped(self, group: Ints, count: int) -> "Changes":
        """The sums over groups of stacks: `group` has for each stack its group, 0 to `count` - 1."""
        return self._summed(self.moment * count + group[self.row], count)

    def _summed(self, key: Ints, count: int) -> "Changes":
        """Entries of equal keys added up; a key is a moment's place times the number of stacks, plus a stack's."""
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(key) else np.zeros(0, np.int64)
        cells = ordered[begins]
        columns = {
            name: np.add.reduceat(column[order], begins) if len(begins) else column
            for name, column in self.columns.items()
        }
        return Changes(
            count, cells // count, cells % count, columns, self.object_scale, self.alloc_variance, self.free_variance
        )


def changes_of_totals(
    stacks: int,
    moments: int,
    row: Ints,
    moment: Ints,
    totals: Mapping[str, Ints],
    variances: Mapping[str, Floats],
    object_scale: int,
) -> Changes:
    """Changes from totals: entries by stack and then moment, each with the values as they were then.

    Args:
        stacks, moments: how many.
        row, moment: of each entry, ascending by row and then by moment; those where nothing changed are dropped.
        totals: by `COUNTERS`.
        variances: `alloc_space` and `free_space`, or nothing.
        object_scale: of the objects in `totals`.
    """
    begins = np.append(True, row[1:] != row[:-1]) if len(row) else np.zeros(0, bool)
    steps: dict[str, Ints] = {name: _steps(totals[name], begins) for name in COUNTERS}
    sums = [np.zeros(moments), np.zeros(moments)]
    if variances:
        both = (variances["alloc_space"], variances["free_space"])
        sums = [np.cumsum(np.bincount(moment, _steps(column, begins), moments)) for column in both]
    moved = np.logical_or.reduce([column != 0 for column in steps.values()])
    order = np.flatnonzero(moved)[np.argsort(moment[moved], kind="stable")]
    columns = {name: steps[name][order] for name in COUNTERS}
    return Changes(stacks, moment[order], row[order], columns, object_scale, sums[0], sums[1])


def _steps(totals: _Numbers, begins: npt.NDArray[np.bool_]) -> _Numbers:
    """The difference to the entry before, of a stack's first entry to zero."""
    steps = totals.copy()
    steps[1:] -= totals[:-1]
    steps[begins] = totals[begins]
    return steps
