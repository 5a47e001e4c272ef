# SPDX-License-Identifier: Apache-2.0
"""Whether a file's debug info was split off into .dwo files (`-gsplit-dwarf`), which `symbolic` does not follow."""

from __future__ import annotations

import struct

from .elf import Elf

_DW_UT_SKELETON = 4
_DW_AT_GNU_DWO_NAME = b"\xb0\x42"  # 0x2130 as ULEB128
_MAX_UNITS = 100_000


def is_split(elf: Elf) -> bool:
    """Whether any unit is a skeleton that points into a .dwo file (DWARF 5), or may be one (GNU's DWARF 4).

    Raises:
        ElfError: a debug section is damaged.
    """
    info = elf.debug_section("info")
    # Skeletons address code through .debug_addr; without that section nothing needs to be unpacked here.
    if info is None or elf.debug_section("addr") is None:
        return False
    abbrev = elf.debug_section("abbrev")
    if abbrev is not None and _DW_AT_GNU_DWO_NAME in bytes(elf.contents(abbrev)):
        return True
    return _has_skeleton(elf.contents(info), elf.layout.order)


def _has_skeleton(info: memoryview, order: str) -> bool:
    """Hop from unit header to unit header, reading the length, the version and, from DWARF 5 on, the type."""
    at = 0
    for _ in range(_MAX_UNITS):
        if at + 16 > len(info):
            return False
        (length,) = struct.unpack_from(order + "I", info, at)
        start = at + 4
        if length == 0xFFFFFFFF:
            (length,) = struct.unpack_from(order + "Q", info, start)
            start += 8
        if start + 3 > len(info):
            return False
        version, kind = struct.unpack_from(order + "HB", info, start)
        if version >= 5 and kind == _DW_UT_SKELETON:
            return True
        at = start + length
    return False
