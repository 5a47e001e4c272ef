# SPDX-License-Identifier: Apache-2.0
"""What groups of stacks had allocated and freed at each snapshot: the numbers over time, without frames."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Histories:
    """Totals since recording began. All matrices have one row for each group and one column for each moment.

    In sampled mode they are estimates. What is allocated in disjoint stretches of time is sampled independently, so the
    increments of `alloc_variance` are the variances of the increments of `alloc_bytes`; so it is for what is freed.
    """

    offset_s: Floats
    """The moments, seconds since recording began, ascending."""
    alloc_bytes: Floats
    free_bytes: Floats
    alloc_objects: Floats
    free_objects: Floats
    alloc_variance: Floats
    """Bytes². Zero in exact mode."""
    free_variance: Floats

    def __post_init__(self) -> None:
        shape = (self.alloc_bytes.shape[0], len(self.offset_s))
        for name in NAMES:
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} is {getattr(self, name).shape}, not {shape}")

    @property
    def in_use_bytes(self) -> Floats:
        """Live bytes."""
        return self.alloc_bytes - self.free_bytes

    @property
    def in_use_objects(self) -> Floats:
        """Live blocks."""
        return self.alloc_objects - self.free_objects

    def rows(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice) -> "Histories":
        """Some of the groups."""
        return Histories(self.offset_s, *(getattr(self, name)[rows] for name in NAMES))

    def combined(self, weights: Floats) -> "Histories":
        """Sums of groups: `weights` has one row for each sum and one column for each group."""
        return Histories(self.offset_s, *(weights @ getattr(self, name) for name in NAMES))

    def columns(self, columns: npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice) -> "Histories":
        """Some of the moments."""
        return Histories(self.offset_s[columns], *(getattr(self, name)[:, columns] for name in NAMES))


NAMES = ("alloc_bytes", "free_bytes", "alloc_objects", "free_objects", "alloc_variance", "free_variance")
"""The matrices, in the order of the fields."""
