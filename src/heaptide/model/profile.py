# SPDX-License-Identifier: Apache-2.0
"""A profile: one row for each stack, one column for each value, and how sure each number is.

Everything here is a value: operations return new profiles and change nothing.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from heaptide.model.columns import Columns
from heaptide.model.snapshot import Snapshot
from heaptide.model.tables import Frame, StackTable

if TYPE_CHECKING:
    import pandas
    import pyarrow

Value = Literal["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"]
VALUES: Mapping[str, str] = {
    "alloc_objects": "objects",
    "alloc_space": "bytes",
    "inuse_objects": "objects",
    "inuse_space": "bytes",
}
"""The value types of a capture, by pprof's names, with their units. Foreign profiles may hold others."""

Z95 = 1.96
"""Half-width of a 95 % interval in standard deviations."""

Column = npt.NDArray[np.int64] | npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Profile:
    """What every stack allocated and holds at one moment, or the difference of two such.

    All columns have one entry for each stack of `stacks`, in its order.
    """

    stacks: StackTable
    values: Mapping[str, Column]
    """By value type. Bytes are int64. Objects are int64 in exact mode and float64 in sampled mode, where a sample
    stands for 1/p objects: round only when shown."""
    mode: Literal["exact", "sampled"] = "exact"
    ids: Ints | None = None
    """The capture's stack ids, ascending, each once; None for a profile that mixes series or is foreign."""
    variance: Mapping[str, Floats] = field(default_factory=dict)
    """Sampled mode: variances of `alloc_space` and `inuse_space`, bytes². Rows are independent: variances add up."""
    samples: Mapping[str, Ints] = field(default_factory=dict)
    """Sampled mode: number of samples behind `alloc_space` and `inuse_space` of each row."""
    series: Hashable | None = None
    """Says which series the ids belong to; profiles of equal `series` match their stacks by id."""
    at: Snapshot | None = None
    """The moment."""
    base: Snapshot | None = None
    """In a difference: the moment that was subtracted."""
    is_difference: bool = False
    columns: Columns | None = None
    """What the foreign file says in full, row for row; None for a capture, and for what operations give."""

    def __len__(self) -> int:
        """Number of stacks."""
        return len(self.stacks)

    def column(self, value: str) -> Column:
        """The column of a value type. Raises KeyError when the profile does not hold it."""
        return self.values[value]

    def total(self, value: str) -> float:
        """Sum over all stacks, in the value's unit: an int for int64 columns, else a float."""
        total = self.values[value].sum()
        return total.item()  # type: ignore[no-any-return]

    def error(self, value: str) -> float:
        """Half-width of the 95 % interval of `total(value)`, in the value's unit. 0 in exact mode.

        For objects the error of the bytes is scaled by each row's mean block size, which takes a row's blocks to be of
        about one size: true for most stacks, too small for a stack whose blocks differ much in size.
        """
        return float(Z95 * np.sqrt(self._variance_of(value).sum()))

    def errors(self, value: str) -> Floats:
        """Half-width of the 95 % interval of each row, float64, in the value's unit (see `error`)."""
        return Z95 * np.sqrt(self._variance_of(value))

    def select(self, rows: npt.NDArray[np.bool_] | Ints) -> "Profile":
        """The same profile with only these rows (a mask with a bool for each row, or ascending row numbers)."""
        from heaptide.model.algebra import select

        return select(self, rows)

    def __sub__(self, other: "Profile") -> "Profile":
        """What came on top of `other`. Stacks match by id within a series, else by their frames (see `Frame.key`).

        Rows that are zero in every column are left out. Values may be negative. Raises TypeError when a column is
        missing on one side.
        """
        from heaptide.model.algebra import subtract

        return subtract(self, other)

    def check(self) -> None:
        """Raises AssertionError, with what and where, if the profile contradicts itself."""
        from heaptide.model.algebra import check

        check(self)

    def frames_of(self, row: int) -> tuple[Frame, ...]:
        """The frames of a row, leaf first."""
        return self.stacks.frames_of(row)

    def to_arrow(self) -> "pyarrow.Table":
        """One row for each stack: `stack_id`, the value columns, their errors (sampled mode), and `stack`, a list of
        frame structs, leaf first. Needs pyarrow (ImportError without it)."""
        from heaptide.model.export import to_arrow

        return to_arrow(self)

    def to_pandas(self) -> "pandas.DataFrame":
        """As `to_arrow`, as a data frame; `stack` holds tuples of `Frame`. Needs pandas (ImportError without it)."""
        from heaptide.model.export import to_pandas

        return to_pandas(self)

    def _variance_of(self, value: str) -> Floats:
        column = self.values[value]
        unit_space = value.replace("_objects", "_space")
        if unit_space not in self.variance:
            return np.zeros(len(column))
        variance: Floats = self.variance[unit_space]
        if value == unit_space:
            return variance
        return variance / _mean_sizes(self.values[unit_space], column) ** 2


def _mean_sizes(space: Column, objects: Column) -> Floats:
    """Bytes per object of each row; rows without objects get the profile's mean. Never zero."""
    count = np.abs(objects.astype(np.float64))
    size = np.abs(space.astype(np.float64))
    mean = size.sum() / count.sum() if count.sum() > 0 else 1.0
    sizes = np.divide(size, count, out=np.full(len(size), mean), where=count > 0)
    floor: Floats = np.maximum(sizes, 1.0)
    return floor


def merge(profiles: Sequence[Profile]) -> Profile:
    """The sum of profiles, stacks matched as in a difference. ValueError without any, TypeError if columns differ."""
    from heaptide.model.algebra import merge_all

    return merge_all(profiles)
