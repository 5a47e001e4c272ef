# SPDX-License-Identifier: Apache-2.0
"""The memory map at the end of text heap profiles, and which of its entries an address lies in.

Two ways of writing an entry are read: that of /proc/PID/maps, and pprof's brief one, whose words may be abbreviated
by lines ``name=value`` above them:

    00400000-00525000 r-xp 00000000 08:01 393238                             /usr/bin/prog
    build=/home/b
    40000000-40015000: $build/lib/ld.so (@1000) 67d2b2c6
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from heaptide.model.columns import Addresses, Indices, Mapped

ENDS_RECORDS = ("MAPPED_LIBRARIES:", "--- Memory map: ---")
"""A line that ends so is the last before the map."""

_PROC = re.compile(
    r"([0-9a-fA-F]{1,16})-([0-9a-fA-F]{1,16})\s+([-rwxps]{3,5})\s+([0-9a-fA-F]{1,16})\s+[0-9a-fA-F]+:[0-9a-fA-F]+\s+"
    r"\d+\s*(.*?)\s*$",
    re.ASCII,
)
_BRIEF = re.compile(
    r"(?:0x)?([0-9a-fA-F]{1,16})\s*[-:\s]\s*(?:0x)?([0-9a-fA-F]{1,16}):?(?:\s+([-rwxps]{3,5}))?"
    r"(?:\s+(\S+))?(?:\s+\(@([0-9a-fA-F]{1,16})\))?(?:\s+([0-9a-fA-F]+))?\s*$",
    re.ASCII,
)
_VARIABLE = re.compile(r"(\w+)\s*=\s*(\S*)\s*$")
_LIBRARY = re.compile(r"\.so$|\.so[._][0-9]+")
_LONGEST_LINE = 8192
_MOST_VARIABLES = 100
_ALL = (1 << 64) - 1
_OLD_START = 0x400000
"""Where programs that are not position-independent begin."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """One entry: addresses [start, limit) show the file from ``offset`` on. ``permissions`` may be empty (unknown).

    ``path`` ends in `` (deleted)`` when the kernel said so.
    """

    start: int
    limit: int
    permissions: str
    offset: int
    path: str
    build_id: str = ""

    @property
    def executable(self) -> bool:
        return "x" in self.permissions or not self.permissions


def parse_maps(lines: Iterable[str]) -> list[Mapping]:
    """The entries among ``lines``; what is none is passed over."""
    variables: dict[str, str] = {}
    found: list[Mapping] = []
    for line in lines:
        text = line.strip()
        if "$" in text:
            text = _expanded(text, variables)
        if (match := _PROC.match(text)) is not None:
            start, limit, offset = (int(match[group], 16) for group in (1, 2, 4))
            found.append(Mapping(start, limit, match[3], offset, match[5]))
        elif (match := _VARIABLE.match(text)) is not None:
            if len(variables) < _MOST_VARIABLES:
                variables[match[1]] = match[2]
        elif (match := _BRIEF.match(text)) is not None:
            start, limit, offset = int(match[1], 16), int(match[2], 16), int(match[5] or "0", 16)
            found.append(Mapping(start, limit, match[3] or "", offset, match[4] or "", match[6] or ""))
    return found


def _expanded(text: str, variables: dict[str, str]) -> str:
    """The line with its variables replaced. It is kept from doubling without end: a variable may name another."""
    for name, value in variables.items():
        text = text.replace(f"${name}", value)[:_LONGEST_LINE]
    return text


def line_of(mapping: Mapping) -> str:
    """The entry as /proc/PID/maps has it."""
    permissions = mapping.permissions or "r-xp"
    span = f"{mapping.start:08x}-{mapping.limit:08x} {permissions} {mapping.offset:08x}"
    return f"{span} 00:00 0 {mapping.path}".rstrip()


def place(addresses: Addresses, entries: Sequence[Mapping]) -> tuple[tuple[Mapped, ...], Indices]:
    """The mappings of code, the main program's first, and for each address the index of its own.

    Follows pprof, so that the result is the same profile: adjacent pieces of one file become one, the main program is
    the first that is not named like a library, an address just below a mapping belongs to it if the file's earlier part
    would lie there, and what lies in none lies in a mapping without a name that spans everything.
    """
    mappings = _main_first(_joined([one for one in entries if one.executable]))
    if len(mappings) > 1 and mappings[0].path.startswith("/anon_hugepage") and mappings[0].limit == mappings[1].start:
        del mappings[0]
    if mappings and mappings[0].start - mappings[0].offset == _OLD_START:
        mappings[0] = replace(mappings[0], start=_OLD_START, offset=0)
    order = np.argsort(addresses, kind="stable")
    ordered = addresses[order]
    index = np.full(len(addresses), -1, np.int32)
    for number, one in enumerate(mappings):
        low, high = np.searchsorted(ordered, np.array([one.start, max(one.start, one.limit)], np.uint64))
        part = index[low:high]
        part[part < 0] = number
    back = np.empty_like(index)
    back[order] = index
    _place_rest(addresses, mappings, back)
    return tuple(Mapped(m.start, m.limit, m.offset, m.path, m.build_id) for m in mappings), back


def _place_rest(addresses: Addresses, mappings: list[Mapping], index: Indices) -> None:
    """Fills what is -1 in ``index``, and may extend mappings or add one."""
    rest = np.flatnonzero(index < 0).tolist()
    if not rest:
        return
    start, limit, offset = (
        np.array([getattr(one, name) for one in mappings], np.uint64) for name in ("start", "limit", "offset")
    )
    fake = -1
    for row in rest:
        address = addresses[row]
        inside = (start <= address) & (address < limit)
        below = (offset != 0) & (offset <= start) & (start - offset <= address) & (address < start)
        if not inside.any() and below.any():
            number = int(np.argmax(below))
            one = mappings[number]
            mappings[number] = replace(one, start=one.start - one.offset, offset=0)
            start[number], offset[number] = start[number] - offset[number], 0
            index[row] = number
        elif inside.any():
            index[row] = int(np.argmax(inside))
        else:
            if fake < 0:
                fake = len(mappings)
                mappings.append(Mapping(0, _ALL, "", 0, ""))
            index[row] = fake


def _joined(entries: list[Mapping]) -> list[Mapping]:
    out: list[Mapping] = []
    for one in entries:
        if out and _continues(out[-1], one):
            last = out[-1]
            out[-1] = replace(last, limit=one.limit, path=one.path or last.path, build_id=one.build_id or last.build_id)
        else:
            out.append(one)
    return out


def _continues(first: Mapping, second: Mapping) -> bool:
    """Whether two entries are one mapping that was split."""
    if first.path and second.path and first.path != second.path:
        return False
    if first.build_id and second.build_id and first.build_id != second.build_id:
        return False
    if first.limit != second.start:
        return False
    return not (first.offset and second.offset) or first.offset + (first.limit - first.start) == second.offset


def _main_first(mappings: list[Mapping]) -> list[Mapping]:
    for number, one in enumerate(mappings):
        path = one.path.replace("(deleted)", "").strip()
        if path and not path.startswith("[") and not _LIBRARY.search(path):
            mappings[0], mappings[number] = mappings[number], mappings[0]
            break
    return mappings
