# SPDX-License-Identifier: Apache-2.0
"""Names for PLT stubs, which no symbol table has: `malloc@plt`. x86-64 only; elsewhere a stub stays unresolved.

Each stub jumps through a GOT slot, and a relocation fills that slot with a symbol. Both are read, so it does not matter
which linker made the stubs nor in which order (`.plt`, `.plt.sec` of CET, `.plt.got` of eager binding).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from .elf import EM_X86_64, SHT_RELA, Elf, Section

_JUMP = re.compile(rb"(?:\xf3\x0f\x1e\xfa)?(?:\xf2)?\xff\x25(....)", re.DOTALL)
_STUB_SECTIONS = (".plt", ".plt.sec", ".plt.got")
_STUB = 16
"""Bytes from stub to stub where the section does not say (its entsize; .plt.got without CET packs them by 8)."""


def plt_stubs(elf: Elf) -> Iterator[tuple[int, int, str]]:
    """(start, end, "NAME@plt") of each stub; empty for other processors and for files without their code.

    Raises:
        ElfError: a relocation or symbol section is cut off.
    """
    if elf.machine != EM_X86_64 or not elf.layout.is64:
        return
    stubs = [section for name in _STUB_SECTIONS if (section := elf.section(name)) is not None]
    if not stubs:
        return
    slots = _slot_names(elf)
    for section in stubs:
        yield from _stubs_in(elf, section, slots)


def _stubs_in(elf: Elf, section: Section, slots: dict[int, str]) -> Iterator[tuple[int, int, str]]:
    code = bytes(elf.contents(section))
    step = section.entsize or _STUB
    for jump in _JUMP.finditer(code):
        after = section.addr + jump.end()
        slot = after + int(struct.unpack(elf.layout.order + "i", jump[1])[0])
        if name := slots.get(slot):
            start = section.addr + jump.start() // step * step
            yield start, min(start + step, section.addr + section.size), f"{name}@plt"


def _slot_names(elf: Elf) -> dict[int, str]:
    """GOT slot -> the symbol that a relocation puts there."""
    slots: dict[int, str] = {}
    rela = struct.Struct(elf.layout.order + "QQq")
    for section in elf.sections:
        if section.type == SHT_RELA and section.size and 0 < section.link < len(elf.sections):
            symbols = elf.sections[section.link]
            names = elf.contents(elf.sections[symbols.link]) if symbols.link < len(elf.sections) else memoryview(b"")
            table, strings = elf.contents(symbols), bytes(names)
            raw = elf.contents(section)
            for slot, info, _ in rela.iter_unpack(raw[: len(raw) // rela.size * rela.size]):
                if name := _symbol_name(table, strings, info >> 32, elf.layout.order):
                    slots[slot] = name
    return slots


def _symbol_name(table: memoryview, strings: bytes, index: int, order: str) -> str:
    if not index or (index + 1) * 24 > len(table):
        return ""
    (at,) = struct.unpack_from(order + "I", table, index * 24)
    return strings[at : strings.find(b"\0", at)].decode("utf-8", "replace")
