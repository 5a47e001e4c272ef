# SPDX-License-Identifier: Apache-2.0
"""The stacks of a profile as columns: which callers stand above which sites, for any number of stacks at once."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import chain

import numpy as np
import numpy.typing as npt

from heaptide.model import Frame, Profile

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Paths:
    """All stacks of a profile, one behind the other, leaf first. A step is a frame of one stack.

    There may be tens of millions of steps: what is kept of each takes 32 bits.
    """

    def __init__(self, profile: Profile) -> None:
        stacks = profile.stacks.stacks
        lengths = np.fromiter(map(len, stacks), np.int64, len(stacks))
        self._frames = profile.stacks.frames
        self._count = len(stacks)
        self._frame = np.fromiter(chain.from_iterable(stacks), np.int32, int(lengths.sum()))
        self._row = np.repeat(np.arange(len(stacks), dtype=np.int32), lengths)
        start = (np.cumsum(lengths) - lengths).astype(np.int32)
        self._place = np.arange(len(self._frame), dtype=np.int32) - start[self._row]

    def below(self, caller: Frame) -> Flags:
        """For each stack whether it passes through a caller's function, whatever the line."""
        same = np.array(
            [(frame.function, frame.file) == (caller.function, caller.file) for frame in self._frames], bool
        )
        found: Flags = np.zeros(self._count, bool)
        found[self._row[same[self._frame]]] = True
        return found

    def callers(self, depth: Ints, reach: Floats) -> Iterator[tuple[Frame, Ints, Ints]]:
        """The user's own functions above places in the stacks, in the order in which they are met.

        Args:
            depth: for each stack the place to look above, frames from the leaf.
            reach: for each stack how many frames above it.

        Yields:
            The function's first frame, the stacks that pass through it, ascending, and for each of them how many frames
            above its place the function stands first.
        """
        kinds = _kinds(self._frames)
        distance = self._place - depth.astype(np.int32)[self._row]
        above = (distance > 0) & (distance <= reach.astype(np.float32)[self._row]) & (kinds >= 0)[self._frame]
        steps = np.flatnonzero(above).astype(np.int32)
        kind = kinds[self._frame[steps]].astype(np.min_scalar_type(len(self._frames)))  # few bits are sorted faster
        order = np.argsort(kind, kind="stable")
        steps, kind = steps[order], kind[order]  # by function, then by stack, then by place
        row = self._row[steps]
        first = np.ones(len(steps), bool)  # a function counts once in a stack
        first[1:] = (kind[1:] != kind[:-1]) | (row[1:] != row[:-1])
        steps, kind, row = steps[first], kind[first], row[first]
        begin = np.flatnonzero(np.append(True, kind[1:] != kind[:-1])[: len(kind)])
        end = np.append(begin[1:], len(steps))
        for group in np.argsort(steps[begin]).tolist():
            inside = slice(begin[group], end[group])
            yield self._frames[self._frame[steps[begin[group]]]], row[inside].astype(np.int64), distance[steps[inside]]


def _kinds(frames: list[Frame]) -> Ints:
    """By frame the number of its function, whatever the line; -1 where it is not the user's own, or has no name."""
    numbers: dict[Hashable, int] = {}
    found = np.full(len(frames), -1, np.int64)
    for index, frame in enumerate(frames):
        if frame.role == "user" and frame.function is not None:
            key = (frame.function, frame.file, frame.module if frame.file is None else None)
            found[index] = numbers.setdefault(key, len(numbers))
    return found
