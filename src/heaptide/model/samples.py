# SPDX-License-Identifier: Apache-2.0
"""Samples: what a profile file holds, as columns. Everything that profile.proto can say has a place here.

A `Profile` is what heaptide reasons about: resolved frames, heap values, errors. `Samples` is what files say and what
pprof's operations work on: any value types, addresses with mappings, labels. Nothing here is resolved or judged, and
nothing is lost on the way from one file to another.

Rows are samples. Row r has the locations ``location[starts[r]:starts[r + 1]]``, leaf first, and the values
``values[r]``. Location l has the source lines ``line_starts[l]:line_starts[l + 1]`` of `Locations`, the innermost
inlined call first; a location that was never symbolised has none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from heaptide._errors import HeaptideError

Ints = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ValueType:
    """What a column of values counts: ``inuse_space`` in ``bytes``, ``cpu`` in ``nanoseconds``."""

    type: str
    unit: str


@dataclass(frozen=True, slots=True)
class Mapping:
    """A piece of a file in the process's memory: addresses start <= a < limit, at `offset` of the file."""

    start: int = 0
    limit: int = 0
    offset: int = 0
    file: str = ""
    build_id: str = ""
    """Hexadecimal; empty when it is not known."""
    has_functions: bool = False
    has_filenames: bool = False
    has_line_numbers: bool = False
    has_inline_frames: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A function's name for people, the linker's, its source file and the line where it begins; empty: not known."""

    name: str = ""
    system_name: str = ""
    file: str = ""
    start_line: int = 0


@dataclass(frozen=True)
class Locations:
    """Places in the code, as columns. Every column but those of the lines has one entry for each location."""

    address: npt.NDArray[np.uint64]
    """As it was in the process, of the call instruction; 0 when it is not known."""
    mapping: Indices
    """Index into `Samples.mappings`, -1 for none."""
    folded: Flags
    """The linker merged several functions that are identical here."""
    line_starts: Ints
    """Shape (locations + 1,), from 0 to the number of lines."""
    function: Indices
    """For each line: index into `Samples.functions`."""
    line: Ints
    """For each line: the number of the source line, 0 when it is not known."""
    column: Ints
    """For each line: the column in it, 0 when it is not known."""

    def __len__(self) -> int:
        """Number of locations."""
        return len(self.address)


@dataclass(frozen=True)
class Labels:
    """Labels of samples, as columns with one entry for each label. A sample may carry a key several times.

    Strings are indices into `strings`. A label is text (``text >= 0``) or a number (``text`` is -1) with its unit.
    """

    row: Ints
    """Ascending: which sample."""
    key: Indices
    text: Indices
    number: Ints
    unit: Indices
    """-1 for none, and for text."""
    strings: Sequence[str] = ()

    def __len__(self) -> int:
        """Number of labels."""
        return len(self.row)


def no_labels() -> Labels:
    """Labels of a profile that has none."""
    none = np.zeros(0, np.int32)
    return Labels(np.zeros(0, np.int64), none, none, np.zeros(0, np.int64), none)


@dataclass(frozen=True)
class Samples:
    """The content of a profile file (see this module's head). A value: operations return new ones."""

    types: tuple[ValueType, ...]
    values: Ints
    """Shape (rows, types)."""
    starts: Ints
    """Shape (rows + 1,), from 0 to the length of `location`."""
    location: Indices
    """Indices into `locations`, leaf first."""
    locations: Locations
    functions: Sequence[Function] = ()
    mappings: Sequence[Mapping] = ()
    """The main program's comes first."""
    labels: Labels = field(default_factory=no_labels)
    default_type: str = ""
    """The value type to show when nobody asks for one; empty: the last."""
    comments: tuple[str, ...] = ()
    doc_url: str = ""
    drop_frames: str = ""
    """Regular expression: a function that it matches in full goes, with all below it (towards the leaf)."""
    keep_frames: str = ""
    """Regular expression: functions that stay although `drop_frames` matches."""
    time_ns: int = 0
    """When it was taken, since 1970; 0 when it is not known."""
    duration_ns: int = 0
    period_type: ValueType | None = None
    period: int = 0
    """Mean distance of samples, in `period_type`'s unit."""

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.values)

    def check(self) -> None:
        """Raises HeaptideError when an index points nowhere or the shapes contradict each other."""
        lines = len(self.locations.function)
        _rising("starts", self.starts, len(self.values), len(self.location))
        _rising("line_starts", self.locations.line_starts, len(self.locations), lines)
        if self.values.shape != (len(self.starts) - 1, len(self.types)):
            raise HeaptideError(f"values have the shape {self.values.shape}, not one column for each type")
        _within("location", self.location, 0, len(self.locations))
        _within("function", self.locations.function, 0, len(self.functions))
        _within("mapping", self.locations.mapping, -1, len(self.mappings))
        _within("label row", self.labels.row, 0, len(self.values))
        for name, column in (("key", self.labels.key), ("text", self.labels.text), ("unit", self.labels.unit)):
            _within(f"label {name}", column, 0 if name == "key" else -1, len(self.labels.strings))


def _rising(name: str, starts: Ints, rows: int, total: int) -> None:
    if len(starts) != rows + 1 or starts[0] != 0 or starts[-1] != total or (np.diff(starts) < 0).any():
        raise HeaptideError(f"{name} do not rise from 0 to {total} in {rows} steps")


def _within(name: str, column: npt.NDArray[np.int32] | Ints, lowest: int, end: int) -> None:
    if len(column) and (column.min() < lowest or column.max() >= end):
        raise HeaptideError(f"{name} points outside of its table")
