# SPDX-License-Identifier: Apache-2.0
"""jemalloc's heap profiles (``heap_v2/N``): a summary, then stacks, each with its numbers in all and by thread.

    heap_v2/524288
      t*: 28106: 56637512 [0: 0]
      t0: 28106: 56637512 [0: 0] main
    @ 0x55d8b0 0x55d8b4
      t*: 1: 5120 [0: 0]
      t0: 1: 5120 [0: 0]
    MAPPED_LIBRARIES:
    ...

Sizes are those of jemalloc's size classes, not what was asked for. Since 5.3 it undoes the sampling itself, each block
at its own size, and bends the numbers that it writes so that a reader's per-record rule gives the right answer: the
numbers in the file are no counts, and only the estimates (`JemallocFile.columns`) mean anything. What was ever
allocated is zero everywhere unless the program ran with ``prof_accum:true``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from heaptide._errors import InputError
from heaptide.formats.heaps import heap_columns, unsampled
from heaptide.formats.maps import ENDS_RECORDS, Mapping, parse_maps
from heaptide.model.columns import Columns, Labels

Counts = tuple[int, int, int, int]
"""Objects and bytes in use, objects and bytes ever allocated, as in the file."""

_HEADER = re.compile(r"heap_v2/(\d{1,18})\s*$", re.ASCII)
_COUNTS = re.compile(
    r"t(\*|\d{1,18}):\s*(\d{1,18}):\s*(\d{1,18})\s*\[\s*(\d{1,18}):\s*(\d{1,18})\s*\](?:\s(.*))?$", re.ASCII
)
_STACK = re.compile(r"@((?:\s+0x[0-9a-fA-F]{1,16})*)\s*$", re.ASCII)
_ADDRESS_MASK = (1 << 64) - 1
_NONE: Counts = (0, 0, 0, 0)
_TOLERANCE = 0.05
"""Rounding of the numbers that jemalloc bends moves sums by far less."""


@dataclass(frozen=True, slots=True)
class JemallocRecord:
    """One stack: its numbers over all threads, those of each thread by its number, addresses leaf first (minus one)."""

    counts: Counts
    threads: tuple[tuple[int, Counts], ...]
    addresses: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JemallocFile:
    """A parsed file. ``period``: mean bytes between samples. ``threads``: names by number, empty for those without."""

    period: int
    header: Counts
    threads: dict[int, str]
    records: tuple[JemallocRecord, ...]
    mappings: tuple[Mapping, ...]
    warnings: tuple[str, ...]

    def columns(self, *, by_thread: bool = False) -> Columns:
        """The file as columns, the sampling undone record by record as jeprof does.

        With ``by_thread`` one sample for each thread of each stack, with labels ``thread`` (its number) and
        ``thread_name``: estimates of the same memory from other numbers, so their sums may differ by rounding.
        """
        in_use, _, allocated, _ = self.header
        rows = [
            (counts, record.addresses, thread)
            for record in self.records
            for thread, counts in (record.threads if by_thread else ((-1, record.counts),))
        ]
        columns = heap_columns(
            [counts for counts, _, _ in rows],
            [addresses for _, addresses, _ in rows],
            self.mappings,
            period=self.period,
            has_alloc=allocated not in (0, in_use) or self.header[3] not in (0, self.header[1]),
        )
        if not by_thread:
            return columns
        return replace(columns, labels=self._labels(columns.labels, [thread for _, _, thread in rows]))

    def _labels(self, sizes: Labels, threads: list[int]) -> Labels:
        """The labels of samples by thread: size, number and, where there is one, name."""
        strings = ["bytes", "thread", "thread_name", *dict.fromkeys(name for name in self.threads.values() if name)]
        text_of = {name: index for index, name in enumerate(strings)}
        rows: list[tuple[int, int, int, int]] = []
        for row, (size, thread) in enumerate(zip(sizes.number.tolist(), threads, strict=True)):
            rows += [(row, 0, -1, size), (row, 1, -1, thread)]
            if name := self.threads.get(thread):
                rows.append((row, 2, text_of[name], 0))
        table = np.array(rows, np.int64).reshape(-1, 4)
        key, text = table[:, 1].astype(np.int32), table[:, 2].astype(np.int32)
        return Labels(table[:, 0].copy(), key, text, table[:, 3].copy(), np.full(len(key), -1, np.int32), strings)


def looks_like(data: bytes) -> bool:
    """Whether ``data`` begins as jemalloc's profiles do."""
    return data.lstrip().startswith(b"heap_v2/")


def parse(data: bytes, path: str = "<profile>") -> JemallocFile:
    """Read a profile of jemalloc. ``path`` is only named in errors: InputError, with the byte, when it is none."""
    lines = _Lines(data, path)
    period = _period(lines)
    header, threads, records = _NONE, dict[int, str](), list[JemallocRecord]()
    for line in lines:
        text = line.strip()
        if any(text.endswith(mark) for mark in ENDS_RECORDS):
            break
        if (match := _STACK.match(text)) is not None:
            addresses = tuple((int(word, 16) - 1) & _ADDRESS_MASK for word in match[1].split())
            records.append(JemallocRecord(_NONE, (), addresses))
        elif (match := _COUNTS.match(text)) is not None:
            counts: Counts = (int(match[2]), int(match[3]), int(match[4]), int(match[5]))
            if records:
                records[-1] = _with_counts(records[-1], match[1], counts)
            elif match[1] == "*":
                header = counts
            else:
                threads[int(match[1])] = (match[6] or "").strip()
        elif text and lines.more:
            raise lines.error(line, "a stack '@ 0x...' or numbers 't*: N: N [N: N]'")
        elif text:
            lines.warnings.append(f"line {lines.number}: the file ends inside a record; that line is left out")
    mappings = parse_maps(lines)
    warnings = [*lines.warnings, *_disagreement(header, records, period)]
    if records and not mappings:
        warnings.append("the file has no memory map (MAPPED_LIBRARIES): its addresses cannot be named")
    return JemallocFile(period, header, threads, tuple(records), tuple(mappings), tuple(warnings))


def _period(lines: _Lines) -> int:
    line = next((line for line in lines if line.strip()), "")
    match = _HEADER.match(line.strip())
    if match is None:
        raise lines.error(line, "a header 'heap_v2/N'")
    return max(1, int(match[1]))


def _with_counts(record: JemallocRecord, thread: str, counts: Counts) -> JemallocRecord:
    if thread == "*":
        return replace(record, counts=counts)
    return replace(record, threads=(*record.threads, (int(thread), counts)))


def _disagreement(header: Counts, records: list[JemallocRecord], period: int) -> list[str]:
    """A summary that differs from its stacks, in words. Both ways of writing them are allowed for (see above)."""
    table = np.array([header, *(record.counts for record in records)], np.int64)
    raw = int(table[1:, 1].sum())
    if raw == header[1]:
        return []
    estimate = unsampled(table[:, 0], table[:, 1], period)[1]
    said, held = int(estimate[0]), int(estimate[1:].sum())
    if abs(said - held) <= _TOLERANCE * max(said, held):
        return []
    return [
        f"the header stands for {said:,} bytes in use, the {len(records):,} stacks for {held:,}: the file is cut or "
        "damaged; totals below are those of the stacks"
    ]


class _Lines(Iterator[str]):
    """The lines of a file, one after the other; knows where it is, for the messages."""

    def __init__(self, data: bytes, path: str) -> None:
        self._path = path
        self._lines = data.split(b"\n")
        self._byte = 0
        self.number = 0
        self.warnings: list[str] = []

    def __next__(self) -> str:
        if self.number >= len(self._lines):
            raise StopIteration
        if self.number:
            self._byte += len(self._lines[self.number - 1]) + 1
        self.number += 1
        return self._lines[self.number - 1].decode("utf-8", "surrogateescape")

    @property
    def more(self) -> bool:
        """Whether any line follows."""
        return self.number < len(self._lines)

    def error(self, line: str, expected: str) -> InputError:
        """What to raise about the line just read."""
        return InputError(self._path, self._byte, f"{expected} in line {self.number}", found=repr(line.strip()[:60]))
