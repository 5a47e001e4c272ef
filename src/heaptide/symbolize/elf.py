# SPDX-License-Identifier: Apache-2.0
"""Our own small ELF reader: headers, sections, notes and links of a file that is already in memory. No I/O.

It reads ELF32 and ELF64 of either byte order and trusts nothing: every offset is checked, every error names the byte.
DWARF is not read here; that is the `symbolic` library's work. Symbol tables are in `symbols.py`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from .answers import Phdr

ET_REL, ET_EXEC, ET_DYN, ET_CORE = 1, 2, 3, 4
EM_386, EM_ARM, EM_X86_64, EM_AARCH64, EM_RISCV = 3, 40, 62, 183, 243
PT_LOAD, PT_NOTE = 1, 4
PF_X = 1
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOTE, SHT_NOBITS, SHT_REL, SHT_DYNSYM = 1, 2, 3, 4, 7, 8, 9, 11
SHF_EXECINSTR, SHF_COMPRESSED = 0x4, 0x800
SHN_XINDEX, PN_XNUM = 0xFFFF, 0xFFFF
NT_GNU_BUILD_ID = 3
COMPRESS_ZLIB, COMPRESS_ZSTD = 1, 2

MAX_SECTION = 4 << 30
"""Bytes. A section that claims to unpack to more is taken for damage (the largest real .debug_info seen is 2 GiB)."""
ZLIB_MAX_RATIO = 1040
"""Deflate cannot pack tighter than about 1032 to 1, so a larger claim is a lie that would only eat memory."""


ByteOrder = Literal["<", ">"]


class ElfError(ValueError):
    """The bytes are not ELF, or are damaged. `offset` is the byte at which that showed."""

    def __init__(self, offset: int, problem: str) -> None:
        super().__init__(f"at byte {offset}: {problem}")
        self.offset = offset
        self.problem = problem


class UnsupportedCompression(ElfError):
    """A section is packed in a way that this Python cannot unpack."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section header. `header_offset` is where the header itself stands in the file."""

    name: str
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    entsize: int
    header_offset: int


@dataclass(frozen=True, slots=True)
class Layout:
    """The structs of one ELF class and byte order."""

    ehdr: struct.Struct  # after the 16 bytes of e_ident
    phdr: struct.Struct
    shdr: struct.Struct
    chdr: struct.Struct
    is64: bool
    order: ByteOrder

    @classmethod
    def of(cls, is64: bool, order: ByteOrder) -> Layout:
        """The layout for 64 or 32 bits and for byte order `<` or `>`."""
        shapes = ("HHIQQQIHHHHHH", "IIQQQQQQ", "IIQQQQIIQQ", "IIQQ") if is64 else ("HHIIIIIHHHHHH", "8I", "10I", "III")
        ehdr, phdr, shdr, chdr = (struct.Struct(order + shape) for shape in shapes)
        return cls(ehdr, phdr, shdr, chdr, is64, order)


class Elf:
    """One ELF file. The file and program headers are read at once, the rest at first use.

    Args:
        data: the whole file; kept, not copied.

    Raises:
        ElfError: it is no ELF file, or its headers are cut off.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = memoryview(data)
        ident = bytes(self.data[:16])
        if len(ident) < 16 or ident[:4] != b"\x7fELF":
            raise ElfError(0, "no ELF magic")
        if ident[4] not in (1, 2) or ident[5] not in (1, 2):
            raise ElfError(4, f"unknown ELF class {ident[4]} or byte order {ident[5]}")
        self.layout = Layout.of(ident[4] == 2, "<" if ident[5] == 1 else ">")
        header = self._unpack(self.layout.ehdr, 16, "the ELF header")
        self.type: int = header[0]
        self.machine: int = header[1]
        self._phoff, self._shoff = header[4], header[5]
        self._phentsize, self._phnum, self._shentsize, self._shnum, self._shstrndx = header[8:13]
        self.phdrs = self._read_phdrs()

    # -- headers ------------------------------------------------------------------------------------------------

    def _unpack(self, shape: struct.Struct, offset: int, what: str) -> tuple[int, ...]:
        if offset < 0 or offset + shape.size > len(self.data):
            raise ElfError(offset, f"{what} lies beyond the end of the file ({len(self.data)} bytes)")
        return shape.unpack_from(self.data, offset)

    def _read_phdrs(self) -> tuple[Phdr, ...]:
        count = self._phnum
        if count == PN_XNUM and self._shoff:
            count = self._raw_section(0)[7]
        if not count or not self._phoff:
            return ()
        if self._phentsize < self.layout.phdr.size:
            raise ElfError(16, f"program header entries of {self._phentsize} bytes")
        return tuple(self._read_phdr(self._phoff + i * self._phentsize) for i in range(count))

    def _read_phdr(self, offset: int) -> Phdr:
        raw = self._unpack(self.layout.phdr, offset, "a program header")
        if self.layout.is64:
            kind, flags, file_offset, vaddr, _, filesz, memsz, align = raw
        else:
            kind, file_offset, vaddr, _, filesz, memsz, flags, align = raw
        return Phdr(kind, flags, file_offset, vaddr, filesz, memsz, align)

    def _raw_section(self, index: int) -> tuple[int, ...]:
        return self._unpack(self.layout.shdr, self._shoff + index * self._shentsize, "a section header")

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """Every section header, number 0 included; empty when the file has no section table.

        Raises:
            ElfError: the table or the names are cut off (a truncated file: the table stands at the end).
        """
        if not self._shoff:
            return ()
        if self._shentsize < self.layout.shdr.size:
            raise ElfError(16, f"section header entries of {self._shentsize} bytes")
        first = self._raw_section(0)
        count = self._shnum or first[5]
        if self._shoff + count * self._shentsize > len(self.data):
            raise ElfError(self._shoff, f"the table of {count} sections runs beyond the end of the file")
        names_index = first[6] if self._shstrndx == SHN_XINDEX else self._shstrndx
        raws = [self._raw_section(i) for i in range(count)]
        names = self._names(raws, names_index)
        return tuple(self._section(raw, i, names) for i, raw in enumerate(raws))

    def _names(self, raws: list[tuple[int, ...]], index: int) -> bytes:
        if index >= len(raws):
            return b""
        offset, size = raws[index][4], raws[index][5]
        if offset + size > len(self.data):
            raise ElfError(offset, "the section names run beyond the end of the file")
        return bytes(self.data[offset : offset + size])

    def _section(self, raw: tuple[int, ...], index: int, names: bytes) -> Section:
        end = names.find(b"\0", raw[0])
        name = names[raw[0] : end if end >= 0 else None].decode("utf-8", "replace")
        where = self._shoff + index * self._shentsize
        return Section(name, raw[1], raw[2], raw[3], raw[4], raw[5], raw[6], raw[7], raw[9], where)

    @cached_property
    def _by_name(self) -> dict[str, Section]:
        return {section.name: section for section in reversed(self.sections)}

    def section(self, name: str) -> Section | None:
        """The first section of this name that has contents in this file, or None (NOBITS counts as absent)."""
        found = self._by_name.get(name)
        return found if found is not None and found.type != SHT_NOBITS and found.size else None

    # -- contents -----------------------------------------------------------------------------------------------

    def raw_contents(self, section: Section) -> memoryview:
        """The bytes of a section as they stand in the file, compressed or not.

        Raises:
            ElfError: it runs beyond the end of the file.
        """
        if section.type == SHT_NOBITS:
            return self.data[:0]
        if section.offset + section.size > len(self.data):
            raise ElfError(section.offset, f"section {section.name} runs beyond the end of the file")
        return self.data[section.offset : section.offset + section.size]

    def contents(self, section: Section) -> memoryview:
        """The bytes of a section, unpacked if need be (zlib; zstd where this Python can; old `.zdebug_`).

        Raises:
            ElfError: it is cut off, does not unpack, or unpacks to another size than it says.
            UnsupportedCompression: packed with something this Python has no module for.
        """
        raw = self.raw_contents(section)
        if section.flags & SHF_COMPRESSED:
            head = self._unpack(self.layout.chdr, section.offset, "a compression header")
            size = head[2] if self.layout.is64 else head[1]
            return _decompress(raw[self.layout.chdr.size :], head[0], size, section)
        if section.name.startswith(".zdebug_") and bytes(raw[:4]) == b"ZLIB":
            return _decompress(raw[12:], COMPRESS_ZLIB, int.from_bytes(raw[4:12], "big"), section)
        return raw

    # -- facts --------------------------------------------------------------------------------------------------

    @property
    def image_base(self) -> int:
        """The vaddr of the first PT_LOAD: 0 for most libraries, 0x400000 or so for ET_EXEC."""
        return next((phdr.vaddr for phdr in self.phdrs if phdr.type == PT_LOAD), 0)

    @property
    def has_debug_info(self) -> bool:
        """Whether DWARF units stand in this very file."""
        return self.debug_section("info") is not None

    def debug_section(self, name: str) -> Section | None:
        """Section `.debug_NAME`, or the old compressed `.zdebug_NAME`."""
        return self.section(f".debug_{name}") or self.section(f".zdebug_{name}")

    @cached_property
    def build_id(self) -> bytes:
        """The GNU build id, or empty. Found by section, and by segment when the section table is gone.

        A separated debug file keeps its note sections but not the segments' bytes, hence the order.
        """
        for notes in self._note_areas():
            for kind, owner, desc in _notes(notes, self.layout.order):
                if kind == NT_GNU_BUILD_ID and owner == b"GNU\0":
                    return desc
        return b""

    def _note_areas(self) -> Iterator[memoryview]:
        try:
            sections = [section for section in self.sections if section.type == SHT_NOTE]
        except ElfError:
            sections = []
        for section in sections:
            yield self.data[section.offset : section.offset + section.size]
        for phdr in self.phdrs:
            if phdr.type == PT_NOTE:
                yield self.data[phdr.offset : phdr.offset + phdr.filesz]

    @cached_property
    def debuglink(self) -> tuple[str, int] | None:
        """The name and CRC-32 of the separated debug file, from .gnu_debuglink. A name with a slash is refused."""
        section = self.section(".gnu_debuglink")
        if section is None:
            return None
        raw = bytes(self.contents(section))
        name, nul, _ = raw.partition(b"\0")
        crc_at = (len(name) + 4) & ~3
        if not nul or not name or b"/" in name or name in (b".", b"..") or crc_at + 4 > len(raw):
            return None
        (crc,) = struct.unpack_from(self.layout.order + "I", raw, crc_at)
        return name.decode("utf-8", "surrogateescape"), crc

    @cached_property
    def altlink(self) -> str | None:
        """The name of dwz's supplementary file, from .gnu_debugaltlink, or None."""
        section = self.section(".gnu_debugaltlink")
        if section is None:
            return None
        return bytes(self.contents(section)).partition(b"\0")[0].decode("utf-8", "replace")

    def covers_code(self, vaddr: int) -> bool:
        """Whether a vaddr lies in an executable segment."""
        return any(p.type == PT_LOAD and p.flags & PF_X and p.vaddr <= vaddr < p.vaddr + p.memsz for p in self.phdrs)


def _notes(area: memoryview, order: str) -> Iterator[tuple[int, bytes, bytes]]:
    """(type, owner with its NUL, descriptor) of each note; stops where the area stops making sense."""
    at = 0
    while at + 12 <= len(area):
        name_size, desc_size, kind = struct.unpack_from(order + "III", area, at)
        name_at = at + 12
        desc_at = name_at + ((name_size + 3) & ~3)
        if desc_at + desc_size > len(area):
            return
        yield kind, bytes(area[name_at : name_at + name_size]), bytes(area[desc_at : desc_at + desc_size])
        at = desc_at + ((desc_size + 3) & ~3)


def _decompress(packed: memoryview, method: int, size: int, section: Section) -> memoryview:
    """`packed` unpacked to exactly `size` bytes."""
    if size > MAX_SECTION or (method == COMPRESS_ZLIB and size > len(packed) * ZLIB_MAX_RATIO + 1024):
        raise ElfError(section.offset, f"section {section.name} claims to unpack to {size} bytes")
    try:
        if method == COMPRESS_ZLIB:
            unpacked = zlib.decompressobj().decompress(packed, size + 1)
        elif method == COMPRESS_ZSTD:
            unpacked = _zstd(packed, size, section)
        else:
            raise UnsupportedCompression(section.offset, f"section {section.name} is packed by method {method}")
    except zlib.error as error:
        raise ElfError(section.offset, f"section {section.name} does not unpack: {error}") from error
    if len(unpacked) != size:
        raise ElfError(section.offset, f"section {section.name} unpacks to {len(unpacked)} bytes, not {size}")
    return memoryview(unpacked)


def _zstd(packed: memoryview, size: int, section: Section) -> bytes:
    """zstd by Python's own module (from 3.14 on), or by the `zstandard` package."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return _zstandard(packed, size, section)
    try:
        return bytes(zstd.ZstdDecompressor().decompress(packed, max_length=size + 1))
    except zstd.ZstdError as error:
        raise ElfError(section.offset, f"section {section.name} does not unpack: {error}") from error


def _zstandard(packed: memoryview, size: int, section: Section) -> bytes:
    try:
        import zstandard  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        problem = f"section {section.name} is packed with zstd, which needs Python 3.14 or the package zstandard"
        raise UnsupportedCompression(section.offset, problem) from None
    try:
        return bytes(zstandard.ZstdDecompressor().decompress(packed, max_output_size=size + 1))
    except zstandard.ZstdError as error:
        raise ElfError(section.offset, f"section {section.name} does not unpack: {error}") from error
