# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heaptide.symbolize.debugline import mend
from heaptide.symbolize.elf import ET_EXEC, ByteOrder, Elf, ElfError
from heaptide.symbolize.splitdwarf import is_split
from heaptide.symbolize.symbols import SymbolTable
from tests.builders.elf_reference import image_of
from tests.builders.elf_writer import ElfWriter, Part, Sym

KINDS = [(True, "<"), (True, ">"), (False, "<"), (False, ">")]
BUILD_ID = bytes(range(20))


def rich(is64: bool = True, order: ByteOrder = "<") -> bytes:
    writer = ElfWriter(is64, order).text().build_id(BUILD_ID).debuglink("x.debug", 0xDEADBEEF)
    lines = b"head" + bytes((0, 9 if is64 else 5, 2)) + bytes(8 if is64 else 4) + b"tail"
    writer.zlib(".debug_line", lines).add(Part(".debug_info", struct.pack(order + "IHB", 9, 5, 1) + bytes(6)))
    return writer.symbols([Sym("f", 0x1000, 0x10), Sym("g", 0x1010, 0)]).build()


@pytest.mark.parametrize(("is64", "order"), KINDS)
def test_reads_what_was_written(is64: bool, order: ByteOrder) -> None:
    elf = Elf(rich(is64, order))
    assert elf.build_id == BUILD_ID
    assert elf.debuglink == ("x.debug", 0xDEADBEEF)
    assert [(phdr.vaddr, phdr.memsz) for phdr in elf.phdrs] == [(0x1000, 0x1000)]
    assert elf.image_base == 0x1000
    assert elf.has_debug_info
    lines = elf.section(".debug_line")
    assert lines is not None
    assert bytes(elf.contents(lines))[:4] == b"head"
    assert elf.covers_code(0x1FFF)
    assert not elf.covers_code(0x2000)


def test_a_nobits_section_counts_as_absent() -> None:
    assert not Elf(ElfWriter().add(Part(".debug_info", type=8, size=100)).build()).has_debug_info


def test_agrees_with_pyelftools_on_this_python() -> None:
    elf = image_of(Path(sys.executable).resolve()).elf
    with open(Path(sys.executable).resolve(), "rb") as file:
        other = ELFFile(file)
        assert [section.name for section in elf.sections] == [section.name for section in other.iter_sections()]
        assert [phdr.vaddr for phdr in elf.phdrs] == [segment["p_vaddr"] for segment in other.iter_segments()]
        note = other.get_section_by_name(".note.gnu.build-id")
        wanted = next((n["n_desc"] for n in note.iter_notes()), "") if note is not None else ""
    assert elf.build_id.hex() == wanted


def test_build_id_without_a_section_table(tmp_path: Path, need: Callable[..., None]) -> None:
    need("cc")
    source = tmp_path / "x.c"
    source.write_text("int x;")
    library = tmp_path / "x.so"
    subprocess.run(["cc", "-shared", "-Wl,--build-id=0x0102030405", "-o", library, source], check=True)
    raw = bytearray(library.read_bytes())
    assert Elf(bytes(raw)).build_id == b"\1\2\3\4\5"
    struct.pack_into("<Q", raw, 40, 0)  # e_shoff: as in an image from memory
    assert Elf(bytes(raw)).build_id == b"\1\2\3\4\5"
    assert Elf(library.read_bytes()[: len(raw) // 2]).build_id == b"\1\2\3\4\5"


@pytest.mark.parametrize("link", ["../../etc/passwd", "..", "", "a/b"])
def test_a_debuglink_is_one_name(link: str) -> None:
    assert Elf(ElfWriter().debuglink(link, 1).build()).debuglink is None


def test_errors_name_the_byte() -> None:
    with pytest.raises(ElfError, match="at byte 0: no ELF magic"):
        Elf(b"#!/bin/sh\n")
    whole = rich()
    with pytest.raises(ElfError, match=r"at byte \d+: .*beyond the end of the file"):
        _ = Elf(whole[:-10]).sections


def test_a_section_that_lies_about_its_size_is_refused() -> None:
    for claimed in (4, 12, 1 << 40):
        elf = Elf(ElfWriter().zlib(".debug_line", b"12345678", claimed).build())
        section = elf.section(".debug_line")
        assert section is not None
        with pytest.raises(ElfError, match="unpack"):
            elf.contents(section)


def test_image_base_of_an_executable() -> None:
    assert Elf(ElfWriter(type=ET_EXEC, loads=[(0x400000, 0x1000, 4), (0x401000, 9, 5)]).build()).image_base == 0x400000


def exercise(data: bytes) -> None:
    """Everything that reads bytes of a file. ElfError is the only way out but an answer."""
    elf = Elf(data)
    _ = (elf.build_id, elf.image_base, elf.debuglink, elf.altlink, elf.has_debug_info, is_split(elf))
    mend(elf)
    table = SymbolTable([elf])
    for vaddr in (0, 0x1000, 0x1008, 0x1010, 0x1800, 1 << 63):
        table.covering(vaddr)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(kind=st.sampled_from(KINDS), edits=st.lists(st.tuples(st.integers(0, 4095), st.binary(min_size=1, max_size=8))))
def test_damaged_files_never_crash(kind: tuple[bool, ByteOrder], edits: list[tuple[int, bytes]]) -> None:
    raw = bytearray(rich(*kind))
    for at, new in edits:
        at %= len(raw)
        raw[at : at + len(new)] = new
    with contextlib.suppress(ElfError):
        exercise(bytes(raw))


@pytest.mark.parametrize(("is64", "order"), KINDS)
def test_cut_files_never_crash(is64: bool, order: ByteOrder) -> None:
    whole = rich(is64, order)
    for length in range(0, len(whole), 3):
        with contextlib.suppress(ElfError):
            exercise(whole[:length])
