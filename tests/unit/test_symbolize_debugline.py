# SPDX-License-Identifier: Apache-2.0
"""The mend of .debug_line, on a real product of gas and GNU ld that `symbolic` by itself gets wrong.

Two units define the same template function in different sizes, so that ld cannot map the discarded copy onto the kept
one and leaves its line sequence at address 0. A `.loc ... view -0` at an address that already has a line makes gas emit
DW_LNE_set_address a second time in that sequence.
"""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from symbolic.debuginfo import Archive

from heaptide.symbolize import Symbolizer
from heaptide.symbolize.debugline import mend
from heaptide.symbolize.elf import ET_REL, SHF_COMPRESSED, ByteOrder, Elf
from heaptide.symbolize.symbols import SymbolTable
from tests.builders.elf_reference import addr2line, image_of, module_of
from tests.builders.elf_writer import ElfWriter, Part

UNIT = r"""
template <class T> __attribute__((noinline)) int shared(T x) {
    asm volatile("nop\n\t.loc 1 2 1\n\t.loc 1 3 1 view -0\n\tnop" ::: "memory");
    asm volatile(".fill %c0, 1, 0x90" :: "i"(PADDING));
    return x;
}
static inline int helper(int x) {
    asm volatile("nop\n\tnop");
    return x + 1;
}
__attribute__((noinline)) int NAME(int x) {
    int r = helper(x);
    return r + shared<int>(x);
}
__attribute__((noinline)) int NAME2(int x) {
    asm volatile("nop");
    return helper(x) * 2;
}
"""
START = """
int one(int), two(int), one2(int), two2(int);
extern "C" void _start() { one(1) + two(2) + one2(3) + two2(4); }
"""
# Without a C library even 32-bit code links wherever gcc is.
FLAGS = ["-O2", "-g", "-gno-variable-location-views", "-ffunction-sections", "-fno-pic", "-fno-stack-protector"]
LINK = ["-nostdlib", "-static", "-no-pie"]


@pytest.fixture(params=["-m64", "-m32"])
def program(request: pytest.FixtureRequest, tmp_path: Path, need: Callable[..., None]) -> Path:
    need("g++", "addr2line", "ld.bfd")
    (tmp_path / "unit.cpp").write_text(UNIT)
    (tmp_path / "start.cpp").write_text(START)

    def run(*arguments: str) -> None:
        subprocess.run(["g++", request.param, *arguments], cwd=tmp_path, check=True, timeout=60)

    run(*FLAGS, "-DPADDING=0", "-DNAME=one", "-DNAME2=one2", "-c", "unit.cpp", "-o", "one.o")
    run(*FLAGS, "-DPADDING=90", "-DNAME=two", "-DNAME2=two2", "-c", "unit.cpp", "-o", "two.o")
    run(*FLAGS, "-c", "start.cpp")
    run(*LINK, "-fuse-ld=bfd", "-o", "program", "start.o", "one.o", "two.o")
    return tmp_path / "program"


def functions(elf: Elf) -> list[int]:
    """Every address of every function."""
    table = SymbolTable([elf])
    return [vaddr for i in range(len(table)) for vaddr in range(int(table._start[i]), int(table._end[i]))]


def lines_of_raw_symbolic(elf: Elf, archive: Any, vaddrs: list[int]) -> list[list[int | None]]:
    cache = next(archive.iter_objects()).make_symcache()
    return [[found.line or None for found in cache.lookup(vaddr - elf.image_base)] or [None] for vaddr in vaddrs]


def test_symbolic_needs_the_mend_and_is_right_with_it(program: Path, tmp_path: Path) -> None:
    elf = image_of(program).elf
    vaddrs = functions(elf)
    truth = [[frame.line for frame in frames] for frames in addr2line(program, vaddrs)]

    ours = Symbolizer(cache_dir=tmp_path / "cache").resolve(module_of(program), vaddrs)
    assert [[frame.line for frame in frames] for frames in ours] == truth

    raw = lines_of_raw_symbolic(elf, Archive.open(str(program)), vaddrs)
    assert raw != truth, "symbolic reads discarded functions rightly now: drop the mend (symbolize/debugline.py)"


@pytest.mark.parametrize("method", ["zlib", "zlib-gnu", "zstd"])
def test_packed_sections_are_mended_too(program: Path, tmp_path: Path, need: Callable[..., None], method: str) -> None:
    need("objcopy")
    packed = tmp_path / "packed"
    command = ["objcopy", f"--compress-debug-sections={method}", program, packed]
    if subprocess.run(command, capture_output=True, timeout=60).returncode:
        pytest.skip(f"this objcopy does not pack by {method}")
    elf = image_of(packed).elf
    section = elf.debug_section("line")
    assert section is not None
    assert section.flags & SHF_COMPRESSED or section.name == ".zdebug_line"
    vaddrs = functions(elf)
    truth = [[frame.line for frame in frames] for frames in addr2line(program, vaddrs)]
    ours = Symbolizer(cache_dir=tmp_path / "cache").resolve(module_of(packed), vaddrs)
    assert [[frame.line for frame in frames] for frames in ours] == truth


def test_the_mended_copy_differs_in_its_lines_only(program: Path) -> None:
    before = image_of(program).elf
    mended = mend(before)
    assert mended is not None
    after = Elf(mended)
    assert mend(after) is None
    for old, new in zip(before.sections, after.sections, strict=True):
        if old.name != ".debug_line":
            assert old == new
            assert bytes(before.raw_contents(old)) == bytes(after.raw_contents(new))


KINDS = [(True, "<"), (True, ">"), (False, "<"), (False, ">")]


def sequence(is64: bool, address: int, order: ByteOrder) -> bytes:
    size = 8 if is64 else 4
    return bytes((0, size + 1, 2)) + address.to_bytes(size, "little" if order == "<" else "big")


@pytest.mark.parametrize("packed", ["plain", "zlib", "zdebug"])
@pytest.mark.parametrize(("is64", "order"), KINDS)
def test_every_form_of_the_section(is64: bool, order: ByteOrder, packed: str) -> None:
    lines = b"begin" + sequence(is64, 0, order) + sequence(is64, 0x1000, order) + b"end"
    writer = ElfWriter(is64, order)
    if packed == "plain":
        writer.add(Part(".debug_line", lines))
    elif packed == "zlib":
        writer.zlib(".debug_line", lines)
    else:
        writer.add(Part(".zdebug_line", b"ZLIB" + len(lines).to_bytes(8, "big") + zlib.compress(lines)))
    mended = mend(Elf(writer.build()))
    assert mended is not None
    elf = Elf(mended)
    section = elf.debug_section("line")
    assert section is not None
    assert not section.flags & SHF_COMPRESSED
    tombstone = sequence(is64, (1 << (64 if is64 else 32)) - 1, order)
    assert bytes(elf.contents(section)) == b"begin" + tombstone + sequence(is64, 0x1000, order) + b"end"


def test_a_relocatable_object_is_left_alone() -> None:
    lines = Part(".debug_line", sequence(True, 0, "<"))
    assert mend(Elf(ElfWriter(type=ET_REL).add(lines).build())) is None


def test_nothing_to_mend() -> None:
    assert mend(Elf(ElfWriter().build())) is None
    assert mend(Elf(ElfWriter().add(Part(".debug_line", sequence(True, 0x1000, "<"))).build())) is None
