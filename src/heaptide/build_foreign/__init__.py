# SPDX-License-Identifier: Apache-2.0
"""The join for foreign files: what `formats` read + symbols -> columns with names, and a series of profiles.

read(path)        what the file says, no symbol looked up
symbolized(...)   the same columns, addresses named from the files that stand at the mapped paths now
load(path)        a `Series`: one snapshot for each moment that the file holds
series_of(...)    the same of columns that are at hand: one moment
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heaptide._errors import InputError
from heaptide.build_foreign.symbols import Modules, Standing, is_program, standing, with_names
from heaptide.formats import Foreign, kind_of
from heaptide.formats import read as read_bytes
from heaptide.formats.heaps import variance
from heaptide.formats.recognise import HEAD_BYTES
from heaptide.model import VALUES, Profile, Series, Snapshot, StackTable
from heaptide.model.columns import Columns
from heaptide.model.convert import stack_table
from heaptide.model.profile import Column, Floats
from heaptide.symbolize import Symbolizer

__all__ = ["is_foreign", "load", "read", "series_of", "symbolized"]

_SHORT_NAMES = {"objects": "inuse_objects", "space": "inuse_space"}


def is_foreign(path: str | os.PathLike[str]) -> bool:
    """Whether the file begins like a format of `formats`. Raises InputError when it cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            _refuse_directory(path)
            return False  # opening a pipe would wait for its writer
        with open(path, "rb") as file:
            return kind_of(file.read(HEAD_BYTES)) is not None
    except OSError as error:
        raise InputError(path, None, error.strerror or str(error)) from error


def _refuse_directory(path: str | os.PathLike[str]) -> None:
    if os.path.isdir(path):
        raise InputError(path, None, "Is a directory", hint="name a file in it: NAME.PID.tide or NAME.NNNN.heap")


def read(path: str | os.PathLike[str]) -> Foreign:
    """What a foreign file says; no symbol is looked up.

    Raises:
        InputError: it cannot be read, or is of no format that is known.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(path, None, error.strerror or str(error)) from error
    return read_bytes(data, os.fspath(path))


def symbolized(columns: Columns, *, program: str | None = None, symbolizer: Symbolizer | None = None) -> Columns:
    """The same columns with names for what has none. Rows, values, labels and addresses do not change.

    Args:
        columns: of a foreign file.
        program: the executable, where it no longer stands at its mapped path or the file has no map.
        symbolizer: the one to use; a new one unless given.
    """
    return with_names(columns, Modules(columns.mappings, program), symbolizer or Symbolizer())


def load(path: str | os.PathLike[str], *, program: str | None = None, symbolizer: Symbolizer | None = None) -> Series:
    """Read a foreign profile as a series, of one snapshot for most formats.

    Args:
        path: the file.
        program: the executable, where it no longer stands at its mapped path or the file has no map.
        symbolizer: the one to use; a new one unless given.

    Raises:
        InputError: the file cannot be read or is of no format that is known.
    """
    foreign = read(path)
    modified = os.stat(path).st_mtime_ns
    source = _Foreign(foreign, modified, program, symbolizer)
    main = program or next((one.file for one in foreign.columns.mappings if is_program(one.file)), None)
    command = foreign.command.split() or ([main] if main else [])
    return Series(
        os.fspath(path),
        "sampled" if is_sampled(foreign.columns) else "exact",
        source.snapshots,
        source,
        warnings=[*foreign.warnings, *_doubts(foreign.columns, modified)],
        started_realtime_ns=source.snapshots[0].realtime_ns,
        command=command,
    )


def series_of(columns: Columns, path: str, warnings: Sequence[str] = ()) -> Series:
    """A series of the one moment that columns are; no symbol is looked up.

    ``path``: the file that they were made of, and what the series is called. Where they do not say when they were
    taken, it was when the file was written.
    """
    source = _Given(columns, columns.time_ns or os.stat(path).st_mtime_ns)
    return Series(
        path,
        "sampled" if is_sampled(columns) else "exact",
        (source.snapshot,),
        source,
        warnings=warnings,
        started_realtime_ns=source.snapshot.realtime_ns,
        command=[one.file for one in columns.mappings[:1] if one.file],
    )


class _Given:
    """The `Source` of columns that have their names."""

    def __init__(self, columns: Columns, realtime_ns: int) -> None:
        self._columns = columns
        self._values = _values(columns, alloc_is_inuse=False)
        self.snapshot = _snapshot(1, self._values, realtime_ns, None, 0.0)

    def profile(self, index: int) -> Profile:
        """The one profile there is."""
        modules = Modules(self._columns.mappings)
        stacks = stack_table(self._columns, modules.vaddrs(self._columns), modules.named)
        return _profile(stacks, self._columns, self._values, self.snapshot)


def _profile(stacks: StackTable, columns: Columns, values: dict[str, Column], at: Snapshot) -> Profile:
    sampled = is_sampled(columns)
    return Profile(
        stacks=stacks,
        values=values,
        mode="sampled" if sampled else "exact",
        variance=_variances(values, columns.period) if sampled else {},
        at=at,
        is_difference=any(bool((column < 0).any()) for column in values.values()),
        columns=columns,
    )


def is_sampled(columns: Columns) -> bool:
    """Whether the values are estimates of bytes from samples of bytes."""
    kind = columns.period_type
    return columns.period > 1 and kind is not None and (kind.type, kind.unit) == ("space", "bytes")


class _Foreign:
    """The `Source` of a foreign file: symbolises at the first profile asked for."""

    def __init__(self, foreign: Foreign, modified: int, program: str | None, symbolizer: Symbolizer | None) -> None:
        self._foreign = foreign
        self._program = program
        self._symbolizer = symbolizer
        self._profiles: dict[int, Profile] = {}
        self._values = [_values(moment.columns, alloc_is_inuse=foreign.alloc_is_inuse) for moment in foreign.moments]
        last = foreign.moments[-1].offset_s or 0.0
        self.snapshots = tuple(
            _snapshot(number, values, moment.columns.time_ns or modified, moment.offset_s, last)
            for number, (moment, values) in enumerate(zip(foreign.moments, self._values, strict=True), start=1)
        )

    def profile(self, index: int) -> Profile:
        """The profile of moment number ``index``."""
        if index not in self._profiles:
            self._profiles[index] = self._build(index)
        return self._profiles[index]

    def _build(self, index: int) -> Profile:
        bare, values = self._foreign.moments[index].columns, self._values[index]
        if self._symbolizer is None:
            self._symbolizer = Symbolizer()
        modules = Modules(bare.mappings, self._program)
        columns = with_names(bare, modules, self._symbolizer)
        stacks = stack_table(columns, modules.vaddrs(bare), modules.named)
        return _profile(stacks, columns, values, self.snapshots[index])


def _snapshot(
    number: int, values: dict[str, Column], realtime_ns: int, offset_s: float | None, last: float
) -> Snapshot:
    """The moment; where a file holds several, its own time is that of the last."""
    total = {name: int(column.sum()) for name, column in values.items()}
    at = offset_s or 0.0
    return Snapshot(
        number=number,
        kind="file",
        realtime_ns=realtime_ns - int((last - at) * 1e9),
        offset_s=at,
        in_use_bytes=total.get("inuse_space", 0),
        allocated_bytes=total.get("alloc_space", 0),
    )


def _values(columns: Columns, *, alloc_is_inuse: bool) -> dict[str, Column]:
    """The columns by name; ``objects`` and ``space`` are those in use."""
    values: dict[str, Column] = {}
    for kind, column in zip(columns.sample_types, columns.values, strict=True):
        name = _SHORT_NAMES.get(kind.type, kind.type)
        if VALUES.get(name) in (None, kind.unit) or kind.unit == "count":
            values.setdefault(name, column)
    if alloc_is_inuse and "alloc_space" not in values:
        values |= {name.replace("inuse", "alloc"): values[name] for name in ("inuse_objects", "inuse_space")}
    return values


def _variances(values: dict[str, Column], period: int) -> dict[str, Floats]:
    return {
        space: variance(values[objects].astype(np.int64), values[space].astype(np.int64), period)
        for objects, space in (("alloc_objects", "alloc_space"), ("inuse_objects", "inuse_space"))
        if objects in values and space in values
    }


def _doubts(columns: Columns, modified: int) -> list[str]:
    """What is wrong, or may be, with names that are looked up here and now for places that the file does not name."""
    used = np.unique(columns.locations.mapping[np.diff(columns.locations.line_start) == 0])
    of_state: dict[Standing, list[str]] = {}
    for one in (columns.mappings[index] for index in used.tolist() if index >= 0):
        paths = of_state.setdefault(standing(one, modified), [])
        if one.file not in paths:
            paths.append(one.file)
    return [_DOUBTS[state].format(_few(paths)) for state, paths in of_state.items() if state in _DOUBTS]


_DOUBTS = {
    Standing.GONE: "not here: {}; what lies there stays without names (values are not affected)",
    Standing.OTHER: "of another build here: {}; what lies there stays without names (values are not affected)",
    Standing.CHANGED: "changed since the profile was taken: {}; the profile has no build ids, so names of functions "
    "there may be wrong (values are not affected)",
}


def _few(paths: Sequence[str]) -> str:
    shown = ", ".join(paths[:3])
    return f"{shown} and {len(paths) - 3} more" if len(paths) > 3 else shown
