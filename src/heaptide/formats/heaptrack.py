# SPDX-License-Identifier: Apache-2.0
"""heaptrack's recordings (``heaptrack.PROGRAM.PID.zst`` or ``.gz``, of heaptrack 1.x): every allocation, in text.

After unpacking, lines of a letter and hexadecimal numbers; tables count from 1, and 0 is none:

    v 10400 3              version of heaptrack and of the file
    X /usr/bin/jq -n .     the command                s 4 main      a string (with its length from version 3 on)
    i 7f71 9 e f 79        an address, its module, and frames: function, file, line; innermost inlined call first
    t 2 1                  a trace: an address, and the trace of its caller
    a 110 b                bytes and trace of an allocation; numbered from 0
    + 2    - 2             it was made, and freed     c 859         milliseconds since the start

Two moments are read: the peak (most bytes in use) and the end, after everything was freed that the program frees.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

from heaptide._errors import InputError
from heaptide.formats.heaps import FOUR
from heaptide.model.columns import Columns, Functions, Ints, Locations, Mapped

_DEEPEST = 256
"""heaptrack itself records 64 frames at most."""
_MOST_BITS = 47
"""No number but an address is larger than a process's memory."""
_VERSION = re.compile(rb"v [0-9a-f]{1,8}(?: ([0-9a-f]{1,4}))?\r?\n")
_Frame = tuple[int, int, int]
"""Function, file (both indices into the strings, 0 for none), line."""


@dataclass(slots=True)
class HeaptrackFile:
    """The tables of a recording, and its events in order: 2 * allocation, + 1 where it was freed."""

    command: str = ""
    strings: list[str] = field(default_factory=lambda: [""])
    addresses: list[tuple[int, int, tuple[_Frame, ...]]] = field(default_factory=list)
    traces: list[tuple[int, int]] = field(default_factory=list)
    allocations: list[tuple[int, int]] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    clock: list[tuple[int, int]] = field(default_factory=list)
    """Number of events so far, and milliseconds."""
    warnings: list[str] = field(default_factory=list)

    def moments(self) -> list[tuple[float | None, Columns]]:
        """Seconds and columns of the peak and the end; the end alone where nothing is in use that is not then."""
        events = np.array(self.events, np.int64)
        allocation, freed = events >> 1, (events & 1).astype(np.bool_)
        size = np.array([size for size, _ in self.allocations], np.int64)
        level = np.cumsum(np.where(freed, -size[allocation], size[allocation])) if len(events) else events
        places = _Stacks(self)
        out = []
        peak = int(np.argmax(level)) + 1 if len(level) else 0
        for end in (peak, len(events)) if peak < len(events) else (len(events),):
            made = np.bincount(allocation[:end][~freed[:end]], minlength=len(size))
            gone = np.bincount(allocation[:end][freed[:end]], minlength=len(size))
            out.append((self._seconds(end), places.columns(made, made - gone, size)))
        return out

    def _seconds(self, events: int) -> float | None:
        """When so many events had been seen."""
        later = [ms for count, ms in self.clock if count >= events] or [ms for _, ms in self.clock[-1:]]
        return later[0] / 1000 if later else None


def looks_like(head: bytes) -> bool:
    """Whether unpacked contents begin as a recording does."""
    return _VERSION.match(head) is not None


def parse(data: bytes, path: str = "<profile>") -> HeaptrackFile:
    """Read an unpacked recording. ``path`` is only named in errors.

    A last line that was cut is left out. Lines of letters that mean nothing here are passed over. InputError, with the
    byte within the unpacked contents, for lines that contradict what came before.
    """
    lines = data.split(b"\n")
    version = _VERSION.match(data)
    if version is None:
        raise InputError(path, 0, "a line 'v VERSION VERSION'", found=repr(lines[0][:40]))
    reader = _Reader(int(version[1] or b"0", 16))
    if reader.version < 1:
        raise InputError(path, 0, "a recording of heaptrack 1.0 or later", found=repr(lines[0][:40]))
    byte = 0
    for number, line in enumerate(lines):
        try:
            reader.line(line)
        except (ValueError, IndexError) as error:
            if number >= len(lines) - 2 and not data.endswith(b"\n"):
                reader.file.warnings.append("the recording was cut in the middle of a line, which is left out")
                break
            found = repr(line[:60].decode("utf-8", "replace"))
            raise InputError(path, byte, f"a line of heaptrack ({error})", found=found) from None
        byte += len(line) + 1
    return reader.file


class _Reader:
    """Takes lines one by one. ValueError or IndexError for one that makes no sense."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.file = HeaptrackFile()

    def line(self, line: bytes) -> None:
        file = self.file
        kind = line[:2]
        if kind in (b"+ ", b"- "):
            number = int(line[2:], 16)
            if not 0 <= number < len(file.allocations):
                raise ValueError(f"there is no allocation {number:x}")
            file.events.append(2 * number + (kind == b"- "))
        elif kind == b"t ":
            address, parent = self._numbers(line, 2)
            if address > len(file.addresses) or parent > len(file.traces):
                raise ValueError("a trace of what does not exist")
            file.traces.append((address, parent))
        elif kind == b"a ":
            size, trace = self._numbers(line, 2)
            if trace > len(file.traces):
                raise ValueError("an allocation at a trace that does not exist")
            file.allocations.append((size, trace))
        elif kind == b"i ":
            self._address(line)
        elif kind == b"s ":
            text = line[2:].partition(b" ")[2] if self.version >= 3 else line[2:]
            file.strings.append(text.decode("utf-8", "surrogateescape"))
        elif kind == b"c ":
            file.clock.append((len(file.events), self._numbers(line, 1)[0]))
        elif kind == b"X ":
            file.command = line[2:].decode("utf-8", "surrogateescape")

    def _numbers(self, line: bytes, least: int) -> list[int]:
        numbers = [int(word, 16) for word in line[2:].split()]
        if len(numbers) < least or any(number < 0 or number.bit_length() > _MOST_BITS for number in numbers):
            raise ValueError("its numbers")
        return numbers

    def _address(self, line: bytes) -> None:
        words = line[2:].split()
        address = int(words[0], 16) & ((1 << 64) - 1)
        module, *rest = self._numbers(b"i " + b" ".join(words[1:]), 1)
        if len(rest) == 1:
            rest += [0, 0]  # a function without a file
        frames = tuple((rest[at], rest[at + 1], rest[at + 2]) for at in range(0, len(rest) - 2, 3))
        strings = [module, *(index for function, file, _ in frames for index in (function, file))]
        if max(strings) >= len(self.file.strings):
            raise ValueError("a string that does not exist")
        self.file.addresses.append((address, module, frames))


class _Stacks:
    """Traces as stacks of locations; made once for all moments."""

    def __init__(self, file: HeaptrackFile) -> None:
        self._file = file
        self._trace_of = np.array([trace for _, trace in file.allocations], np.int64)
        self._locations, self._functions, self._mappings = _tables(file)

    def columns(self, made: Ints, live: Ints, size: Ints) -> Columns:
        """One sample for each trace that allocated.

        Args:
            made, live: for each allocation of the file how often it was made, and how many of these are in use.
            size: its bytes.
        """
        rows, row = np.unique(self._trace_of[made > 0], return_inverse=True)
        values = np.zeros((4, len(rows)), np.int64)
        used = made > 0
        for number, column in enumerate((made, made * size, live, live * size)):
            np.add.at(values[number], row, column[used])
        stacks = [self._walk(trace) for trace in rows.tolist()]
        start = np.zeros(len(stacks) + 1, np.int64)
        np.cumsum([len(stack) for stack in stacks], out=start[1:])
        return Columns(
            sample_types=FOUR,
            values=values,
            stack_start=start,
            stack=np.array([place for stack in stacks for place in stack], np.int32),
            locations=self._locations,
            functions=self._functions,
            mappings=self._mappings,
        )

    def _walk(self, trace: int) -> list[int]:
        """The locations of a trace, leaf first. Each trace's caller stands before it in the file, so this ends."""
        out: list[int] = []
        traces = self._file.traces
        while trace and len(out) < _DEEPEST:
            address, trace = traces[trace - 1]
            if address:
                out.append(address - 1)
        return out


def _tables(file: HeaptrackFile) -> tuple[Locations, Functions, tuple[Mapped, ...]]:
    """One location for each address. The recording has no memory map: an address without a name stays without."""
    modules: dict[str, int] = {}
    functions: dict[tuple[str, str], int] = {}
    lines: list[tuple[int, int]] = []
    bounds, mapping = [0], []
    for _, module, frames in file.addresses:
        name = file.strings[module]
        mapping.append(modules.setdefault(name, len(modules)) if name else -1)
        for function, source, line in frames or ((0, 0, 0),):
            key = (file.strings[function], file.strings[source])
            lines.append((functions.setdefault(key, len(functions)), line))
        bounds.append(len(lines))
    table = np.array(lines, np.int64).reshape(-1, 2)
    locations = Locations(
        address=np.array([(address - 1) & ((1 << 64) - 1) for address, _, _ in file.addresses], np.uint64),
        mapping=np.array(mapping, np.int32),
        folded=np.zeros(len(mapping), np.bool_),
        line_start=np.array(bounds, np.int64),
        function=table[:, 0].astype(np.int32),
        line=table[:, 1].copy(),
        column=np.zeros(len(table), np.int64),
    )
    names, files = [name for name, _ in functions], [source for _, source in functions]
    known = Functions(names, names, files, np.zeros(len(names), np.int64))
    mapped = tuple(
        Mapped(file=name, has_functions=True, has_filenames=True, has_line_numbers=True, has_inline_frames=True)
        for name in modules
    )
    return locations, known, mapped
