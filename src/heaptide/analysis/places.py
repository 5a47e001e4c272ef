# SPDX-License-Identifier: Apache-2.0
"""Stacks as walks over places: what rows of a table and nodes of a graph have in common.

A place is a frame with everything forgotten that the asked granularity does not tell apart. `walks` turns a profile
into flat arrays, one entry for each step of each stack, over which tables and graphs are computed without a loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
import numpy.typing as npt

from heaptide.analysis.site import Skip
from heaptide.model import VALUES, Frame, Profile
from heaptide.model.profile import Column

Granularity = Literal["function", "name", "line", "file", "module", "address"]
"""``function``: by name and file (or module); ``name``: by name alone, as pprof counts functions."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands. What the granularity does not tell apart, and what is not known, is None."""

    function: str | None = None
    file: str | None = None
    line: int | None = None
    module: str | None = None
    address: int | None = None
    unresolved: str | None = None
    """Why there is no function, where there is none."""
    column: int | None = None
    start_line: int | None = None


@dataclass(frozen=True, slots=True)
class Walks:
    """Every stack of a profile as steps from the root to the leaf, one after the other.

    ``place``, ``row``, ``inlined`` and ``frame`` have one entry for each step: the index into ``places``, the profile's
    row, whether the step is a call that the compiler inlined into the step before, and the index of the frame or line
    that it came from. ``leaf`` and ``rows`` have one entry for each stack: the index of its last step, and its row.
    Rows whose value is zero do not appear.
    """

    places: list[Place]
    place: Ints
    row: Ints
    inlined: Flags
    frame: Ints
    leaf: Ints
    rows: Ints


def place_of(frame: Frame, by: Granularity) -> Place:
    """What ``by`` keeps of a frame. A frame that it cannot name keeps its module and address, and the reason."""
    named = frame.file is not None if by == "file" else frame.function is not None
    if by == "module":
        return Place(module=frame.module, unresolved=frame.unresolved if frame.module is None else None)
    if by == "address":
        why = None if named else frame.unresolved
        return Place(frame.function, frame.file, frame.line, frame.module, frame.address, why)
    if not named:
        return _unnamed(frame, by)
    if by == "file":
        return Place(file=frame.file)
    if by == "name":
        return Place(frame.function)
    if by == "function":
        return Place(frame.function, frame.file, module=None if frame.file else frame.module)
    return Place(frame.function, frame.file, frame.line, None if frame.file else frame.module)


def _unnamed(frame: Frame, by: Granularity) -> Place:
    if by == "file":  # all the code of a module whose files are not known is one row
        return Place(module=frame.module, unresolved=frame.unresolved or "no source file is known")
    return Place(module=frame.module, address=frame.address, unresolved=frame.unresolved or "no name is known")


def walks(profile: Profile, value: str, by: Granularity, skip: Skip) -> Walks:
    """Walks over the rows whose ``value`` is not zero; frames that ``skip`` names are cut off at the leaf end.

    A stack that consists of such frames alone is kept whole.
    """
    rows = np.flatnonzero(profile.column(value))
    places, of_frame = _places(profile.stacks.frames, by)
    frameless = (len(profile.stacks.frames),)  # stands for the frame that a stack without frames lacks
    stacks = [profile.stacks.stacks[row] or frameless for row in rows.tolist()]
    lengths = np.fromiter(map(len, stacks), np.int64, len(stacks))
    frame = np.fromiter(chain.from_iterable(stacks), np.int64, int(lengths.sum()))
    starts = np.cumsum(lengths) - lengths
    kept = _keep(profile.stacks.frames, frame, starts, lengths, skip)
    row = np.repeat(rows, lengths)
    # Each stack stands leaf first; read backwards, all of them stand root first.
    frame, row = frame[kept][::-1], row[kept][::-1]
    inlined = np.array([f.inlined for f in profile.stacks.frames] + [False])
    leaf = np.flatnonzero(np.append(row[1:] != row[:-1], True)) if len(row) else np.zeros(0, np.int64)
    return Walks(places, of_frame[frame], row, inlined[frame], frame, leaf, row[leaf])


def _places(frames: list[Frame], by: Granularity) -> tuple[list[Place], Ints]:
    """The distinct places, and for each frame the index of its own; the last entry is for stacks without frames."""
    index: dict[Place, int] = {}
    of_frame = [index.setdefault(place_of(frame, by), len(index)) for frame in frames]
    of_frame.append(index.setdefault(Place(unresolved="no stack was recorded"), len(index)))
    return list(index), np.array(of_frame, np.int64)


def _keep(frames: list[Frame], frame: Ints, starts: Ints, lengths: Ints, skip: Skip) -> Flags:
    """Which steps stay when frames that ``skip`` names are cut off the leaf end (steps stand leaf first)."""
    if not len(frame):
        return np.ones(0, bool)
    skipped = np.array([*map(skip, frames), False])
    position = np.arange(len(frame))
    first = np.minimum.reduceat(np.where(skipped[frame], len(frame), position), starts)
    first = np.where(first == len(frame), starts, first)
    return position >= np.repeat(first, lengths)


def unit_of(value: str) -> Literal["bytes", "objects"]:
    """The unit of a value type; foreign ones count objects unless they are named for space or bytes."""
    known = VALUES.get(value)
    return "bytes" if known == "bytes" or (known is None and "space" in value) else "objects"


def distinct(keys: Ints) -> Ints:
    """The distinct values, ascending. (np.unique hashes integers since numpy 2.3, ten times slower than this.)"""
    ordered = np.sort(keys)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def sums(group: Ints, weight: Column, size: int) -> Column:
    """Sum of ``weight`` for each group 0 <= g < ``size``, in the weight's own type: bytes stay exact."""
    if weight.dtype == np.float64:
        return np.bincount(group, weights=weight, minlength=size)
    total = np.zeros(size, np.int64)
    np.add.at(total, group, weight)
    return total
