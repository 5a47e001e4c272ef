# SPDX-License-Identifier: Apache-2.0
"""Which function does an address belong to, by the ELF symbol tables alone.

The rule is strict, because a wrong name costs its reader an afternoon: a symbol names an address only if the address
lies inside the symbol's size. A symbol of size 0 (hand-written assembler) reaches up to the next symbol or the end of
its section, and only where the table is complete: in a stripped file the next *known* symbol may lie far behind a dozen
static functions. The nearest symbol before an address is never an answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .elf import EM_ARM, SHF_EXECINSTR, SHT_DYNSYM, SHT_SYMTAB, Elf, ElfError, Section
from .plt import plt_stubs

STT_NOTYPE, STT_FUNC, STT_GNU_IFUNC = 0, 2, 10
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
MAX_NAME = 1 << 20
"""Bytes; where a name without an end is cut."""

_SYM64 = [("name", "u4"), ("info", "u1"), ("other", "u1"), ("shndx", "u2"), ("value", "u8"), ("size", "u8")]
_SYM32 = [("name", "u4"), ("value", "u4"), ("size", "u4"), ("info", "u1"), ("other", "u1"), ("shndx", "u2")]


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function as the symbol table has it: its mangled name and the half-open range of vaddrs."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Columns:
    """The functions of one table: int64 vaddrs, offsets of names in `names`, the order of preference among aliases."""

    start: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    limit: npt.NDArray[np.int64]  # end of the section the symbol stands in
    name: npt.NDArray[np.int64]
    rank: npt.NDArray[np.int64]
    names: bytes


class SymbolTable:
    """The functions of one module, from as many tables as there are (.symtab, .dynsym, .gnu_debugdata's).

    Args:
        elves: files with the same vaddrs: the debug file, the binary, the little ELF in .gnu_debugdata.
            Whatever is damaged in one of them is left out; `problems` says so.
    """

    def __init__(self, elves: Iterable[Elf]) -> None:
        self.problems: list[str] = []
        self.complete = False
        tables: list[_Columns] = []
        self._stubs: list[Symbol] = []
        for elf in elves:
            try:
                tables += self._tables(elf)
                self._stubs += [Symbol(name, start, end) for start, end, name in plt_stubs(elf)]
            except ElfError as error:
                self.problems.append(f"symbol table: {error}")
        self._stubs.sort(key=lambda stub: stub.start)
        self._arrange(tables)

    def _tables(self, elf: Elf) -> list[_Columns]:
        found = []
        for section in elf.sections:
            if section.type in (SHT_SYMTAB, SHT_DYNSYM) and section.size:
                found.append(_functions(elf, section))
                self.complete |= section.type == SHT_SYMTAB
        return found

    def _arrange(self, tables: list[_Columns]) -> None:
        """Sort all functions by (start, rank), give those of size 0 an end, and drop the ones that stay empty."""
        self._names = [table.names for table in tables]
        start = _join([table.start for table in tables])
        size = _join([table.size for table in tables])
        limit = _join([table.limit for table in tables])
        rank = _join([table.rank for table in tables])
        name = _join([table.name for table in tables])
        blob = np.repeat(np.arange(len(tables)), [len(table.start) for table in tables])
        if self.complete:
            size = np.where(size == 0, _room_until_next(start, limit), size)
        order = np.lexsort((rank, start))
        order = order[size[order] > 0]
        self._start, self._end = start[order], (start + size)[order]
        self._name, self._blob = name[order], blob[order]
        self._furthest = np.maximum.accumulate(self._end) if len(order) else self._end

    def __len__(self) -> int:
        return len(self._start)

    def covering(self, vaddr: int) -> Symbol | None:
        """The innermost function that contains `vaddr`, by its best-known name; None when none does."""
        aliases = self._aliases(vaddr)
        if aliases:
            best = aliases[0]
            return Symbol(self._name_of(best), int(self._start[best]), int(self._end[best]))
        return next((stub for stub in self._stubs if stub.start <= vaddr < stub.end), None)

    def best_alias(self, vaddr: int, name: str) -> str:
        """The best-known name of the function that contains `vaddr` if `name` is another name of it, else `name`."""
        names = [self._name_of(i).partition("@")[0] for i in self._aliases(vaddr)]
        return names[0] if name in names else name

    def _aliases(self, vaddr: int) -> list[int]:
        """The symbols of the innermost function that contains `vaddr`, best first."""
        at = int(np.searchsorted(self._start, vaddr, side="right")) - 1
        if at < 0 or int(self._furthest[at]) <= vaddr:
            return []
        inside = at if int(self._end[at]) > vaddr else int(np.flatnonzero(self._end[:at] > vaddr)[-1])
        first = int(np.searchsorted(self._start, self._start[inside], side="left"))
        return [i for i in range(first, inside + 1) if int(self._end[i]) > vaddr]

    def _name_of(self, index: int) -> str:
        return _string(self._names[int(self._blob[index])], int(self._name[index]))


def _join(columns: list[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    return np.concatenate(columns) if columns else np.empty(0, np.int64)


def _room_until_next(start: npt.NDArray[np.int64], limit: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each symbol the bytes up to the next symbol's start or the end of its section."""
    known = np.unique(start)
    after = np.searchsorted(known, start, side="right")
    following = np.where(after < len(known), known[np.minimum(after, len(known) - 1)], np.iinfo(np.int64).max)
    return np.maximum(np.minimum(following, limit) - start, 0)


def _functions(elf: Elf, section: Section) -> _Columns:
    """The functions defined in executable sections; data, undefined and ARM mapping symbols ($a, $x) are left out."""
    if section.link >= len(elf.sections):
        raise ElfError(section.header_offset, f"{section.name} names string table {section.link}, which is not there")
    names = bytes(elf.contents(elf.sections[section.link]))
    dtype = np.dtype(_SYM64 if elf.layout.is64 else _SYM32).newbyteorder(elf.layout.order)
    raw = elf.contents(section)
    table: npt.NDArray[Any] = np.frombuffer(raw, dtype, count=len(raw) // dtype.itemsize)
    ends = np.array([s.addr + s.size if s.flags & SHF_EXECINSTR else 0 for s in elf.sections], np.uint64)
    shndx = np.minimum(table["shndx"], len(ends) - 1)
    limit = np.where(table["shndx"] < len(ends), ends[shndx], 0)
    kind = table["info"] & 0xF
    wanted = np.isin(kind, (STT_NOTYPE, STT_FUNC, STT_GNU_IFUNC)) & (table["value"] < limit) & (table["name"] != 0)
    wanted &= table["name"] < len(names)
    table, limit, kind = table[wanted], limit[wanted], kind[wanted]
    first = np.frombuffer(names, np.uint8)[table["name"]]
    plain = (first != 0) & ((first != ord("$")) | (kind != STT_NOTYPE))
    table, limit, kind = table[plain], limit[plain], kind[plain]
    thumb = 1 if elf.machine == EM_ARM else 0
    start = table["value"].astype(np.int64) & ~np.where(kind == STT_FUNC, thumb, 0)
    size = np.minimum(table["size"], np.uint64(1 << 62)).astype(np.int64)
    name = table["name"].astype(np.int64)
    return _Columns(start, size, limit.astype(np.int64), name, _ranks(table, kind, names), names)


def _ranks(table: npt.NDArray[Any], kind: npt.NDArray[Any], names: bytes) -> npt.NDArray[np.int64]:
    """Lower is better among aliases: functions before labels, fewer underscores, global, weak, local, shorter.

    So `calloc`, which is a weak alias in glibc, wins over its global `__libc_calloc`, and `strtol` over `strtoll`.
    """
    binding = np.array([2, 0, 1], np.int64)[np.minimum(table["info"] >> 4, 2)]
    underscores, length = np.array([_shape(names, at) for at in table["name"].tolist()], np.int64).reshape(-1, 2).T
    label = (kind == STT_NOTYPE).astype(np.int64)
    return np.asarray(((label * 16 + underscores) * 4 + binding) * 4096 + length, np.int64)


def _shape(names: bytes, at: int) -> tuple[int, int]:
    """Underscores in front (0 for a mangled name; at most 9), and length without the version (at most 4095)."""
    name = names[at : max(names.find(b"\0", at), at)]
    underscores = 0 if name.startswith((b"_Z", b"_R")) else len(name) - len(name.lstrip(b"_"))
    return min(underscores, 9), min(len(name.partition(b"@")[0]), 4095)


def _string(names: bytes, at: int) -> str:
    end = names.find(b"\0", at, at + MAX_NAME)
    return names[at : end if end >= 0 else at + MAX_NAME].decode("utf-8", "replace")
