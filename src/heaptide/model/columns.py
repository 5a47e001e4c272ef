# SPDX-License-Identifier: Apache-2.0
"""Everything that profile.proto can say, as columns: the form in which profiles of other tools are held.

A `Profile` is what heaptide's own reports are made of: four known values, named frames. `Columns` keep what a foreign
file says beyond that, so that it can be answered for or written back without loss: any sample types, labels, mappings,
addresses, names as the linker and as people see them. Both have one row for each sample, in the same order.

Variable lengths are kept as one flat array and an array of bounds: entry ``i`` owns ``flat[start[i]:start[i + 1]]``.
References are indices into other tables, from 0; -1 is none. No table is shared with the file: ids of profile.proto
are gone, and rows stand in the file's order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int32]
Addresses = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ValueType:
    """What a column of values counts: ``inuse_space`` in ``bytes``."""

    type: str
    unit: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """A file (or part of one) in the process's memory: addresses [start, limit) show it from byte ``offset`` on.

    The flags say what the symbol tables of its locations hold.
    """

    start: int = 0
    limit: int = 0
    offset: int = 0
    file: str = ""
    build_id: str = ""
    """In hexadecimal, as the file has it."""
    has_functions: bool = False
    has_filenames: bool = False
    has_line_numbers: bool = False
    has_inline_frames: bool = False


@dataclass(frozen=True, slots=True)
class Functions:
    """One entry for each function in every column."""

    name: Sequence[str]
    """For people; empty when it is not known."""
    system_name: Sequence[str]
    """As the linker knows it (mangled); often equal to the name, or empty."""
    filename: Sequence[str]
    start_line: Ints
    """Line on which the function begins; 0 unknown."""

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True, slots=True)
class Locations:
    """Places in code. A location without lines has no name (yet): its address is all that is known.

    ``line_start`` has one entry more than there are locations; its lines stand innermost inlined call first, the
    function that the code was compiled into last.
    """

    address: Addresses
    """As in the process, of the call instruction (a return address less one). 0 unknown."""
    mapping: Indices
    """Index into `Columns.mappings`, or -1."""
    folded: Flags
    """The location stands for several that only differ in address (linker folding): its lines may name another."""
    line_start: Ints
    function: Indices
    """Of each line: index into `Columns.functions`, or -1."""
    line: Ints
    """Of each line: line number in the function's file; 0 unknown."""
    column: Ints
    """Of each line: column; 0 unknown."""
    unresolved: Mapping[int, str] = field(default_factory=dict)
    """Why a location has no lines, by its index, where that was looked into. Not part of profile.proto."""

    def __len__(self) -> int:
        return len(self.address)


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of samples, flat, in ascending order of sample. Either ``text`` or ``number`` is meant (see there)."""

    sample: Ints
    """Row of the sample that carries it."""
    key: Indices
    """Index into ``strings``."""
    text: Indices
    """Index into ``strings``; -1 for a numeric label."""
    number: Ints
    """Of a numeric label; 0 otherwise."""
    unit: Indices
    """Index into ``strings`` of the number's unit; -1 when the file names none."""
    strings: Sequence[str]

    def __len__(self) -> int:
        return len(self.sample)


def no_labels() -> Labels:
    """The labels of a profile that has none."""
    none = np.zeros(0, np.int32)
    return Labels(np.zeros(0, np.int64), none, none, np.zeros(0, np.int64), none, ())


@dataclass(frozen=True)
class Columns:
    """One profile. ``values`` has shape (sample types, samples): ``values[k]`` is a column, contiguous.

    ``stack[stack_start[i]:stack_start[i + 1]]`` are the locations of sample ``i``, leaf first. Samples of equal stacks
    are not joined.
    """

    sample_types: tuple[ValueType, ...]
    values: Ints
    stack_start: Ints
    stack: Indices
    locations: Locations
    functions: Functions
    mappings: tuple[Mapped, ...] = ()
    """The first one is the main program."""
    labels: Labels = field(default_factory=no_labels)
    period_type: ValueType | None = None
    period: int = 0
    """Mean number of events (bytes) between two samples, in ``period_type.unit``; 1: every one was counted."""
    time_ns: int = 0
    """When it was taken, nanoseconds since 1970; 0 unknown."""
    duration_ns: int = 0
    comments: tuple[str, ...] = ()
    default_sample_type: str = ""
    """Type of the column to show unless asked; empty: the last one."""
    doc_url: str = ""
    drop_frames: str = ""
    """Regular expression: frames from the first full match towards the leaf are dropped from reports."""
    keep_frames: str = ""
    """Regular expression: frames that are kept even so."""

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.stack_start) - 1

    def column(self, name: str) -> int:
        """The index of a sample type by its name. KeyError when there is none."""
        for index, kind in enumerate(self.sample_types):
            if kind.type == name:
                return index
        raise KeyError(name)

    def check(self) -> None:
        """Raises AssertionError, with what is wrong, if the tables contradict each other."""
        samples, kinds = len(self), len(self.sample_types)
        assert self.values.shape == (kinds, samples), f"values: {self.values.shape}, not {(kinds, samples)}"
        assert self.values.dtype == np.int64, "values are not int64"
        _check_bounds(self.stack_start, len(self.stack), "stack_start")
        _check_indices(self.stack, len(self.locations), "stack", none=False)
        places = self.locations
        for name in ("mapping", "folded"):
            assert len(getattr(places, name)) == len(places), f"locations.{name} is of another length"
        assert len(places.line_start) == len(places) + 1, "locations.line_start is of another length"
        _check_bounds(places.line_start, len(places.function), "locations.line_start")
        assert len(places.line) == len(places.column) == len(places.function), "lines are of different lengths"
        _check_indices(places.mapping, len(self.mappings), "locations.mapping")
        _check_indices(places.function, len(self.functions), "locations.function")
        for name in ("system_name", "filename", "start_line"):
            assert len(getattr(self.functions, name)) == len(self.functions), f"functions.{name} is of another length"
        self._check_labels()

    def _check_labels(self) -> None:
        labels = self.labels
        for name in ("key", "text", "number", "unit"):
            assert len(getattr(labels, name)) == len(labels), f"labels.{name} is of another length"
        _check_indices(labels.key, len(labels.strings), "labels.key", none=False)
        _check_indices(labels.text, len(labels.strings), "labels.text")
        _check_indices(labels.unit, len(labels.strings), "labels.unit")
        assert (np.diff(labels.sample) >= 0).all(), "labels do not stand in the order of samples"
        _check_indices(labels.sample, len(self), "labels.sample", none=False)


def _check_bounds(start: Ints, size: int, name: str) -> None:
    assert len(start) and start[0] == 0 and start[-1] == size, f"{name} does not span [0, {size}]"
    assert (np.diff(start) >= 0).all(), f"{name} is not ascending"


def _check_indices(index: Indices | Ints, size: int, name: str, *, none: bool = True) -> None:
    assert not len(index) or (index.min() >= (-1 if none else 0) and index.max() < size), f"{name} is out of range"
