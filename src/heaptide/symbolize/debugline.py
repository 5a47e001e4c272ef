# SPDX-License-Identifier: Apache-2.0
"""The mend of .debug_line: a copy of a debug file in which the line table says plainly which functions were discarded.

What is wrong. gas emits a line sequence for every COMDAT function; GNU ld keeps one copy of the function and leaves the
other copies' sequences behind, at address 0. When gas wrote DW_LNE_set_address twice in such a sequence (a forced reset
of the view number), `symbolic` from 12.10 on takes the second one for a tombstone and swallows the rest *with its
end_sequence*; the sequence is then glued to the next, real one, whose functions lose their lines and inlined calls. On
Debian's librados that is every fourth address.

The mend. Each DW_LNE_set_address of 0 becomes one of -1: a tombstone from the start of the sequence, which is then
dropped as a whole. Nothing real is lost, because in a linked file address 0 is the ELF header and not code. A
relocatable object is another matter (every section begins at 0), so it is left alone.
tests/unit/test_symbolize_debugline.py fails without this mend, and says so when `symbolic` no longer needs it.
"""

from __future__ import annotations

import zlib

from .elf import ET_REL, SHF_COMPRESSED, Elf, Section


def mend(elf: Elf) -> bytes | None:
    """A mended copy of the whole file, or None when there is nothing to mend.

    The new .debug_line stands uncompressed at the end of the copy, and its section header points there. (An old
    `.zdebug_line` keeps its name and so must stay packed.)

    Raises:
        ElfError: .debug_line is cut off or does not unpack.
        UnsupportedCompression: it is packed with zstd and this Python cannot unpack that.
    """
    section = elf.debug_section("line")
    if section is None or elf.type == ET_REL:
        return None
    lines = bytes(elf.contents(section))
    mended = _bury(lines, 8 if elf.layout.is64 else 4)
    if mended == lines:
        return None
    if section.name.startswith(".zdebug_"):
        mended = b"ZLIB" + len(mended).to_bytes(8, "big") + zlib.compress(mended, 1)
    return _with_section(elf, section, mended)


def _bury(lines: bytes, address_size: int) -> bytes:
    """Extended opcode (0), its length, DW_LNE_set_address (2), address: 0 becomes all ones."""
    opcode = bytes((0, address_size + 1, 2))
    return lines.replace(opcode + bytes(address_size), opcode + b"\xff" * address_size)


def _with_section(elf: Elf, section: Section, contents: bytes) -> bytes:
    """A copy of the file with `contents` appended and the section header pointing at it."""
    padding = bytes(-len(elf.data) % 8)
    shape, at = elf.layout.shdr, section.header_offset
    header = list(shape.unpack_from(elf.data, at))
    header[2] &= ~SHF_COMPRESSED
    header[4] = len(elf.data) + len(padding)
    header[5] = len(contents)
    return b"".join((elf.data[:at], shape.pack(*header), elf.data[at + shape.size :], padding, contents))
