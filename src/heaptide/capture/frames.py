# SPDX-License-Identifier: Apache-2.0
"""The addresses of the stacks of one STACKS record, prefix-shared as in the file, laid out when first asked for.

Memory is proportional to the record, whatever it claims.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heaptide.capture.format import MAX_DEPTH

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

_LOW = 2**64 - 1


class _Layout(NamedTuple):
    base: list[int]
    """By stack: whose run lies below its own, towards the root; -1: none."""
    pcs: Words
    """All runs, each from the root towards the leaf."""


class Frames:
    """Stack `row` is its own run of `length` addresses on top of the root-most `keep` frames of the stack before."""

    def __init__(self, sums: Words, first: Ints, keep: Ints, length: Ints) -> None:
        self._sums = sums
        """Cumulative sum of all numbers of the record, each address as its difference to the one before."""
        self._first = first
        """By stack: where its run begins in `sums`."""
        self._keep, self._length = keep, length
        self._start = np.cumsum(length) - length

    def depth(self, row: int) -> int:
        """How many frames a stack has; at most MAX_DEPTH."""
        return int(self._keep[row] + self._length[row])

    def addresses(self, row: int, most: int = MAX_DEPTH) -> list[int]:
        """The addresses of a stack as the capture holds them (return addresses), leaf first; the leaf-most `most`."""
        base, pcs = self._layout
        frames: list[int] = []
        above = self.depth(row)  # frames from the root up to and with the next one to take
        while row >= 0 and len(frames) < most:
            keep, start = int(self._keep[row]), int(self._start[row])
            lowest = max(keep, above - (most - len(frames)))
            frames.extend(pcs[start + lowest - keep : start + above - keep][::-1].tolist())
            above, row = keep, base[row]
        return frames

    @cached_property
    def _layout(self) -> _Layout:
        """Finds for each stack the run that holds frame number keep - 1 of the stack before, and the address there."""
        first, keep, length = self._first.tolist(), self._keep.tolist(), self._length.tolist()
        sums = self._sums.tolist()
        base = [-1] * len(first)
        shift = np.zeros(len(first), np.uint64)  # add to sums[i] of the run to get the address
        runs: list[int] = []  # the stacks whose runs make up the stack before, root-most first
        for row, begin in enumerate(first):
            while runs and keep[runs[-1]] >= keep[row]:
                runs.pop()
            before = 0
            if runs:
                below = base[row] = runs[-1]
                before = sums[first[below] + keep[row] - 1 - keep[below]] + int(shift[below])
            shift[row] = (before - sums[begin - 1]) & _LOW
            if length[row]:
                runs.append(row)
        index = np.arange(int(self._length.sum())) + np.repeat(self._first - self._start, self._length)
        pcs: Words = self._sums[index] + np.repeat(shift, self._length)
        return _Layout(base, pcs)
