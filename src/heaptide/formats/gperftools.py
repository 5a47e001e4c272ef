# SPDX-License-Identifier: Apache-2.0
"""gperftools' text heap profiles (``heap profile: ...``): HEAPPROFILE dumps, sampled heaps, growth stacks.

The file is one header line of totals, one line for each stack, and the process's mappings:

    heap profile:    144:  8498176 [   144:  8498176] @ heapprofile
         1:     9216 [     1:     9216] @ 0xc635c8 0x42ecc3
    MAPPED_LIBRARIES:
    00400000-00525000 r-xp 00000000 00:00 0 /usr/bin/prog

Addresses in the file are return addresses, the leaf's included. `parse` subtracts one from each and `dump` adds one, so
that an address of a `HeapRecord` always lies inside the instruction meant. Numbers are as the file has them, but for
counts that an old library let overflow 32 bits; `HeapFile.columns` undoes the sampling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from heaptide._errors import InputError
from heaptide.formats.heaps import heap_columns
from heaptide.formats.maps import ENDS_RECORDS, Mapping, line_of, parse_maps
from heaptide.model.columns import Columns

_NUMBER = r"\s*(-?\d{1,18})\s*"  # what is longer would not fit into 64 bits
_NUMBERS = rf"{_NUMBER}:{_NUMBER}\[{_NUMBER}:{_NUMBER}\]\s*@"
_HEADER = re.compile(rf"heap profile:{_NUMBERS}\s*([a-z_0-9]*)(?:/(\d{{1,18}}))?\s*$", re.ASCII)
_RECORD = re.compile(_NUMBERS, re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{1,16}")
_ADDRESS_MASK = (1 << 64) - 1
_UNSAMPLED = frozenset({"heapprofile", "growth", "growthz", "fragmentation", "fragmentationz"})
_SAMPLED = frozenset({"heap_v2", "heapz_v2", "heap"})
_WRAP = 1 << 32


@dataclass(frozen=True, slots=True)
class HeapRecord:
    """One stack: blocks and bytes in use, blocks and bytes ever allocated, addresses leaf first (each minus one)."""

    inuse_objects: int
    inuse_space: int
    alloc_objects: int
    alloc_space: int
    addresses: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HeapFile:
    """A parsed file. ``period``: mean bytes between samples, 1 when every allocation was counted."""

    kind: str
    period: int
    header: HeapRecord
    records: tuple[HeapRecord, ...]
    mappings: tuple[Mapping, ...]
    warnings: tuple[str, ...] = field(default=())

    @property
    def sampled(self) -> bool:
        return self.period > 1

    def columns(self) -> Columns:
        """The file as columns, with the sampling undone as pprof undoes it (see `heaps.heap_columns`)."""
        head = self.header
        counts = [(r.inuse_objects, r.inuse_space, r.alloc_objects, r.alloc_space) for r in self.records]
        stacks = [record.addresses for record in self.records]
        return heap_columns(counts, stacks, self.mappings, period=self.period, has_alloc=tells_freed(head))


def tells_freed(header: HeapRecord) -> bool:
    """Whether a header tells what was allocated from what is in use: the two differ, and the first is not left out."""
    return (header.alloc_objects not in (0, header.inuse_objects)) or (
        header.alloc_space not in (0, header.inuse_space)
    )


def looks_like(data: bytes) -> bool:
    """Whether ``data`` begins as a text heap profile does."""
    return data.lstrip().startswith(b"heap profile:")


def parse(data: bytes, path: str = "<profile>") -> HeapFile:
    """Read a text heap profile.

    ``path`` is only named in errors. Damage that leaves numbers readable becomes a warning; InputError (with the line
    and the byte) where it does not.
    """
    reader = _Reader(data, path)
    header, kind, period = reader.header()
    records = reader.records()
    mappings = reader.mappings()
    warnings = [*reader.warnings, *_disagreement(header, records, kind)]
    if records and not mappings:
        warnings.append("the file has no memory map (MAPPED_LIBRARIES): its addresses cannot be named")
    return HeapFile(kind, period, header, tuple(records), tuple(mappings), tuple(warnings))


def dump(profile: HeapFile) -> bytes:
    """Write a text heap profile that gperftools' and Go's pprof read."""
    label = profile.kind if profile.kind in _UNSAMPLED else f"{profile.kind}/{_label_period(profile)}"
    lines = [f"heap profile: {_numbers(profile.header)} @ {label}"]
    for record in profile.records:
        stack = "".join(f" 0x{address + 1 & _ADDRESS_MASK:08x}" for address in record.addresses)
        lines.append(f"{_numbers(record)} @{stack}")
    lines += ["", "MAPPED_LIBRARIES:"]
    lines += [line_of(mapping) for mapping in profile.mappings]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def totals(records: Iterable[HeapRecord]) -> HeapRecord:
    """The header that belongs to these records."""
    kept = list(records)
    return HeapRecord(
        sum(record.inuse_objects for record in kept),
        sum(record.inuse_space for record in kept),
        sum(record.alloc_objects for record in kept),
        sum(record.alloc_space for record in kept),
        addresses=(),
    )


def _numbers(record: HeapRecord) -> str:
    return f"{record.inuse_objects:6d}: {record.inuse_space:8d} [{record.alloc_objects:6d}: {record.alloc_space:8d}]"


def _label_period(profile: HeapFile) -> int:
    return profile.period * 2 if profile.kind == "heap" else profile.period


class _Addresses(dict[str, int]):
    """The address meant by a return address in hexadecimal; each is worked out once, for stacks share most of them.

    ValueError for a word that is none.
    """

    def __missing__(self, word: str) -> int:
        if _ADDRESS.fullmatch(word) is None:
            raise ValueError(word)
        self[word] = address = (int(word, 16) - 1) & _ADDRESS_MASK
        return address


class _Reader:
    """Walks the lines once; knows where it is, for the messages."""

    def __init__(self, data: bytes, path: str) -> None:
        self.path = path
        self.lines = data.split(b"\n")
        self.next = 0
        self.byte = 0
        self.wrapped = 0
        self.stray = 0
        self.warnings: list[str] = []

    def _line(self) -> str | None:
        if self.next >= len(self.lines):
            return None
        raw = self.lines[self.next]
        self.next += 1
        self.byte += len(raw) + 1
        return raw.decode("utf-8", "surrogateescape")

    def _error(self, line: str, expected: str) -> InputError:
        start = self.byte - len(line.encode("utf-8", "surrogateescape")) - 1
        return InputError(self.path, start, f"{expected} in line {self.next}", found=repr(line.strip()[:60]))

    def header(self) -> tuple[HeapRecord, str, int]:
        line = self._line()
        while line is not None and not line.strip():
            line = self._line()
        match = _HEADER.match(line.strip()) if line is not None else None
        if line is None or match is None:
            raise self._error(line or "", "a header 'heap profile: N: N [N: N] @ heapprofile'")
        kind, rate = match[5], int(match[6] or 0)
        if not kind:
            raise self._error(line, "the kind of profile after '@' (a file from before gperftools 0.9?)")
        if kind not in _UNSAMPLED and kind not in _SAMPLED:
            raise self._error(line, f"one of the kinds {', '.join(sorted(_UNSAMPLED | _SAMPLED))}")
        # "heap/N" states twice the mean interval, an old convention of the Go runtime; the "_v2" kinds state it itself.
        period = 1 if kind in _UNSAMPLED else max(1, rate // 2 if kind == "heap" else rate)
        return self._repaired(match, ()), kind, period

    def records(self) -> list[HeapRecord]:
        found: list[HeapRecord] = []
        addresses = _Addresses()
        self.wrapped = 0
        while (line := self._line()) is not None:
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            if any(text.endswith(mark) for mark in ENDS_RECORDS):
                break
            record = self._record(text, addresses)
            if record is None:
                if self.next >= len(self.lines):
                    self.warnings.append(f"line {self.next}: the file ends inside a record; that record is left out")
                    break
                raise self._error(line, "a record 'N: N [N: N] @ 0x...'")
            if not record.inuse_objects and record.inuse_space:
                self.stray += 1
            found.append(record)
        self._say_repairs()
        return found

    def _record(self, text: str, addresses: _Addresses) -> HeapRecord | None:
        """A line as a record, None if it is none."""
        match = _RECORD.match(text)
        if match is None:
            return None
        try:
            stack = tuple(map(addresses.__getitem__, text[match.end() :].split()))
        except ValueError:
            return None
        return self._repaired(match, stack)

    def _repaired(self, match: re.Match[str], addresses: tuple[int, ...]) -> HeapRecord:
        """Counts of gperftools before 2.11 are 32 bits wide and turn negative; bytes never are."""
        inuse_objects, inuse_space, alloc_objects, alloc_space = (int(match[i]) for i in range(1, 5))
        if alloc_objects < 0 <= alloc_space:
            alloc_objects += _WRAP
            self.wrapped += 1
        if inuse_objects < 0 < inuse_space:
            inuse_objects += _WRAP
            self.wrapped += 1
        return HeapRecord(inuse_objects, inuse_space, alloc_objects, alloc_space, addresses)

    def _say_repairs(self) -> None:
        if self.wrapped:
            self.warnings.append(
                f"{self.wrapped} counts of blocks are negative: the library that wrote the file counts in 32 bits; "
                "read as unsigned, which is right up to 4,294,967,295 blocks (bytes are not affected)"
            )
        if self.stray:
            self.warnings.append(f"{self.stray} records hold bytes in use but no blocks")

    def mappings(self) -> list[Mapping]:
        return parse_maps(iter(self._line, None))


def _disagreement(header: HeapRecord, records: list[HeapRecord], kind: str) -> list[str]:
    """A header that differs from the sum of its records, in words."""
    found = totals(records)
    said, held = (header.inuse_space, header.alloc_space), (found.inuse_space, found.alloc_space)
    if said == held:
        return []
    numbers = (
        f"the header says {said[0]:,} bytes in use of {said[1]:,} allocated, "
        f"the {len(records):,} records hold {held[0]:,} of {held[1]:,}"
    )
    if held[0] <= said[0] and held[1] <= said[1]:
        why = "records are missing"
        if kind == "heapprofile":
            why += " (gperftools before 2.16 cuts a dump at 1 MiB, the smallest stacks first)"
    elif kind == "heapprofile":
        why = "the records count more than the header does (it leaves out memory mapped under HEAP_PROFILE_MMAP)"
    else:
        why = "one of them is wrong"
    return [f"{numbers}: {why}; totals below are those of the records"]
