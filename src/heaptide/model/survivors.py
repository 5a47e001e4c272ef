# SPDX-License-Identifier: Apache-2.0
"""Survivors by birth: when that which is in use was allocated."""

from dataclasses import dataclass

import numpy as np

from heaptide.model.profile import Floats, Ints


@dataclass(frozen=True, slots=True)
class Survivors:
    """What is in use at one moment by stack and by birth, estimated from sampled blocks, in exact mode as well.

    The columns have one entry for each stack and birth, ascending by stack and then by birth.
    """

    at_number: int
    """Number of the snapshot beside which it was read, or of the next that is left."""
    at_s: float
    """When, in seconds since recording began."""
    ids: Ints
    """Stack ids, as `Profile.ids` has them."""
    born: Ints
    """Number of the first snapshot that can hold the block: it was allocated after the one before."""
    born_s: Floats
    """When that snapshot was taken, in seconds since recording began; the upper bound of the birth's time."""
    bytes: Floats
    objects: Floats
    variance: Floats
    """Of `bytes`, in bytes squared."""
    left_out_bytes: float = 0.0
    """Of stacks that held too little to be told by stack."""

    def born_between(self, after: int, until: int) -> "Survivors":
        """Those allocated after snapshot number `after` (0: from the beginning) and before or at `until`."""
        rows = (self.born > after) & (self.born <= until)
        return Survivors(
            self.at_number,
            self.at_s,
            self.ids[rows],
            self.born[rows],
            self.born_s[rows],
            self.bytes[rows],
            self.objects[rows],
            self.variance[rows],
        )

    def by_stack(self) -> tuple[Ints, Floats, Floats, Floats]:
        """Stack ids, ascending, each once; and the sums of bytes, objects and variance over all births."""
        ids, rows = np.unique(self.ids, return_inverse=True)
        columns = (self.bytes, self.objects, self.variance)
        size, objects, variance = (np.bincount(rows, column, len(ids)).astype(np.float64) for column in columns)
        return ids, size, objects, variance
