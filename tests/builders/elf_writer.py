# SPDX-License-Identifier: Apache-2.0
"""Writes small ELF files of either class and byte order, with just what a test asks for."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from heaptide.symbolize import elf as E
from heaptide.symbolize.elf import ByteOrder, Layout

STT_NOTYPE, STT_OBJECT, STT_FUNC = 0, 1, 2
LOCAL, GLOBAL, WEAK = 0, 1, 2


@dataclass
class Part:
    """A section to be; `size` differs from the contents for NOBITS only."""

    name: str
    contents: bytes = b""
    type: int = E.SHT_PROGBITS
    flags: int = 0
    addr: int = 0
    link: int = 0
    info: int = 0
    entsize: int = 0
    size: int | None = None


@dataclass
class Sym:
    """A symbol to be, defined in the section of this name."""

    name: str
    value: int
    size: int
    section: str = ".text"
    type: int = STT_FUNC
    bind: int = GLOBAL


@dataclass
class ElfWriter:
    """Collects sections and symbols; `build()` lays them out: header, segments, sections, names, section table."""

    is64: bool = True
    order: ByteOrder = "<"
    type: int = E.ET_DYN
    machine: int = E.EM_X86_64
    loads: list[tuple[int, int, int]] = field(default_factory=lambda: [(0x1000, 0x1000, 5)])  # vaddr, memsz, flags
    parts: list[Part] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.layout = Layout.of(self.is64, self.order)

    def add(self, part: Part) -> ElfWriter:
        self.parts.append(part)
        return self

    def text(self, addr: int = 0x1000, size: int = 0x1000, name: str = ".text") -> ElfWriter:
        """Executable code, without bytes."""
        return self.add(Part(name, type=E.SHT_NOBITS, flags=E.SHF_EXECINSTR | 2, addr=addr, size=size))

    def build_id(self, build_id: bytes) -> ElfWriter:
        padded = build_id + bytes(-len(build_id) % 4)
        note = struct.pack(self.order + "III", 4, len(build_id), E.NT_GNU_BUILD_ID) + b"GNU\0" + padded
        return self.add(Part(".note.gnu.build-id", note, E.SHT_NOTE))

    def debuglink(self, name: str, crc: int) -> ElfWriter:
        raw = name.encode() + b"\0"
        raw += bytes(-len(raw) % 4) + struct.pack(self.order + "I", crc)
        return self.add(Part(".gnu_debuglink", raw))

    def zlib(self, name: str, contents: bytes, claimed: int | None = None) -> ElfWriter:
        """A compressed section as the ABI has them (SHF_COMPRESSED)."""
        size = len(contents) if claimed is None else claimed
        fields = (E.COMPRESS_ZLIB, 0, size, 1) if self.is64 else (E.COMPRESS_ZLIB, size, 1)
        return self.add(Part(name, self.layout.chdr.pack(*fields) + zlib.compress(contents), flags=E.SHF_COMPRESSED))

    def symbols(self, symbols: list[Sym], table: str = ".symtab") -> ElfWriter:
        """A symbol table of the sections added so far, and its string table."""
        numbers = {part.name: i for i, part in enumerate(self.parts, 1)}
        names, rows = bytearray(b"\0"), [self._symbol(0, 0, 0, 0, 0)]
        for symbol in symbols:
            info = symbol.bind << 4 | symbol.type
            rows.append(self._symbol(len(names), info, numbers[symbol.section], symbol.value, symbol.size))
            names += symbol.name.encode() + b"\0"
        kind = E.SHT_DYNSYM if table == ".dynsym" else E.SHT_SYMTAB
        self.add(Part(f"{table}.names", bytes(names), E.SHT_STRTAB))
        return self.add(Part(table, b"".join(rows), kind, link=len(self.parts), entsize=len(rows[0])))

    def _symbol(self, name: int, info: int, section: int, value: int, size: int) -> bytes:
        if self.is64:
            return struct.pack(self.order + "IBBHQQ", name, info, 0, section, value, size)
        return struct.pack(self.order + "IIIBBH", name, value, size, info, 0, section)

    def build(self) -> bytes:
        """The file."""
        at = 16 + self.layout.ehdr.size
        phoff, body = at, b"".join(self._phdr(*load) for load in self.loads)
        names, headers = bytearray(b"\0"), [self.layout.shdr.pack(*[0] * 10)]
        for part in [*self.parts, Part(".shstrtab", type=E.SHT_STRTAB)]:
            name_at = len(names)
            names += part.name.encode() + b"\0"
            contents = bytes(names) if part.name == ".shstrtab" else part.contents
            size = len(contents) if part.size is None else part.size
            headers.append(self._shdr(part, name_at, at + len(body), size))
            body += contents
        body += bytes(-(at + len(body)) % 8)
        ident = b"\x7fELF" + bytes((2 if self.is64 else 1, 1 if self.order == "<" else 2, 1)) + bytes(9)
        layout, shoff = self.layout, at + len(body)
        counts = (layout.phdr.size, len(self.loads), layout.shdr.size, len(headers), len(headers) - 1)
        head = layout.ehdr.pack(self.type, self.machine, 1, 0, phoff, shoff, 0, at, *counts)
        return ident + head + body + b"".join(headers)

    def _phdr(self, vaddr: int, memsz: int, flags: int) -> bytes:
        if self.is64:
            return self.layout.phdr.pack(E.PT_LOAD, flags, 0, vaddr, vaddr, 0, memsz, 0x1000)
        return self.layout.phdr.pack(E.PT_LOAD, 0, vaddr, vaddr, 0, memsz, flags, 0x1000)

    def _shdr(self, part: Part, name_at: int, offset: int, size: int) -> bytes:
        fields = (part.flags, part.addr, offset, size, part.link, part.info, 1, part.entsize)
        return self.layout.shdr.pack(name_at, part.type, *fields)
