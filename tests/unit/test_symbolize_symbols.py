# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from heaptide.symbolize.demangle import MAX_MANGLED, demangle
from heaptide.symbolize.elf import EM_ARM, ByteOrder, Elf
from heaptide.symbolize.symbols import SymbolTable
from tests.builders.elf_reference import image_of
from tests.builders.elf_writer import GLOBAL, LOCAL, STT_NOTYPE, STT_OBJECT, WEAK, ElfWriter, Sym


def table(*symbols: Sym, name: str = ".symtab") -> SymbolTable:
    writer = ElfWriter().text(0x1000, 0x800).text(0x1800, 0x100, ".fini")
    return SymbolTable([Elf(writer.symbols(list(symbols), name).build())])


def name_at(symbols: SymbolTable, vaddr: int) -> str | None:
    found = symbols.covering(vaddr)
    return found.name if found else None


@pytest.mark.parametrize(("is64", "order"), [(True, "<"), (True, ">"), (False, "<"), (False, ">")])
def test_only_inside_its_size(is64: bool, order: ByteOrder) -> None:
    writer = ElfWriter(is64, order).text().symbols([Sym("f", 0x1010, 0x10), Sym("g", 0x1030, 0x10)])
    symbols = SymbolTable([Elf(writer.build())])
    wanted = {0x100F: None, 0x1010: "f", 0x101F: "f", 0x1020: None, 0x102F: None, 0x1030: "g", 0x1040: None}
    assert {vaddr: name_at(symbols, vaddr) for vaddr in wanted} == wanted


def test_size_0_reaches_to_the_next_symbol_or_the_end_of_its_section() -> None:
    symbols = table(Sym("a", 0x1000, 0), Sym("b", 0x1100, 0x10), Sym("c", 0x1700, 0), Sym("d", 0x1800, 4, ".fini"))
    wanted = {0x10FF: "a", 0x1100: "b", 0x1110: None, 0x17FF: "c", 0x1800: "d", 0x1804: None}
    assert {vaddr: name_at(symbols, vaddr) for vaddr in wanted} == wanted


def test_size_0_says_nothing_in_a_stripped_file() -> None:
    """Between two exported symbols of a stripped library lie any number of static functions."""
    symbols = table(Sym("a", 0x1000, 0), Sym("b", 0x1100, 0x10), name=".dynsym")
    assert name_at(symbols, 0x1050) is None
    assert name_at(symbols, 0x1108) == "b"


def test_the_innermost_of_nested_symbols() -> None:
    symbols = table(Sym("outer", 0x1000, 0x100), Sym("inner", 0x1020, 0x10))
    assert [name_at(symbols, vaddr) for vaddr in (0x101F, 0x1020, 0x1030)] == ["outer", "inner", "outer"]


def test_aliases() -> None:
    symbols = table(
        Sym("__libc_calloc", 0x1000, 0x10, bind=GLOBAL),
        Sym("__GI_calloc", 0x1000, 0x10, bind=LOCAL),
        Sym("calloc", 0x1000, 0x10, bind=WEAK),
        Sym("calloc_label", 0x1000, 0x10, type=STT_NOTYPE),
    )
    assert name_at(symbols, 0x1008) == "calloc"
    assert symbols.best_alias(0x1008, "__GI_calloc") == "calloc"
    assert symbols.best_alias(0x1008, "elsewhere") == "elsewhere"
    assert symbols.best_alias(0x1018, "__GI_calloc") == "__GI_calloc"


def test_data_and_mapping_symbols_are_no_functions() -> None:
    assert name_at(table(Sym("data", 0x1000, 0x10, type=STT_OBJECT)), 0x1000) is None
    assert name_at(table(Sym("$x", 0x1000, 0, type=STT_NOTYPE)), 0x1000) is None


def test_thumb_functions_have_an_odd_value() -> None:
    writer = ElfWriter(is64=False, machine=EM_ARM).text().symbols([Sym("f", 0x1011, 0x10)])
    symbols = SymbolTable([Elf(writer.build())])
    assert [name_at(symbols, vaddr) for vaddr in (0x100F, 0x1010, 0x101F, 0x1020)] == [None, "f", "f", None]


def test_several_files_make_one_table() -> None:
    stripped = Elf(ElfWriter().text().symbols([Sym("exported", 0x1000, 0x10)], ".dynsym").build())
    mini = Elf(ElfWriter().text().symbols([Sym("static", 0x1010, 0x10, bind=LOCAL)]).build())
    symbols = SymbolTable([stripped, mini])
    assert [name_at(symbols, vaddr) for vaddr in (0x1000, 0x1010)] == ["exported", "static"]
    assert symbols.complete


def test_a_damaged_table_is_left_out_and_said() -> None:
    raw = ElfWriter().text().symbols([Sym("f", 0x1000, 0x10)]).build()
    symbols = SymbolTable([Elf(raw[:-8])])
    assert len(symbols) == 0
    assert "beyond the end of the file" in symbols.problems[0]


@pytest.mark.parametrize("flag", ["-Wl,-z,lazy", "-Wl,-z,now", "-Wl,-z,ibtplt"])
def test_plt_stubs(tmp_path: Path, need: Callable[..., None], flag: str) -> None:
    need("cc", "objdump")
    (tmp_path / "x.c").write_text("void outside(void); void (*p)(void) = outside; void f(void) { outside(); p(); }")
    library = tmp_path / "x.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", flag, "-o", library, tmp_path / "x.c"], check=True)
    listing = subprocess.run(["objdump", "-d", library], capture_output=True, text=True, check=True).stdout
    start = next(int(line.split()[0], 16) for line in listing.splitlines() if line.endswith("<outside@plt>:"))
    symbols = SymbolTable([image_of(library).elf])
    assert name_at(symbols, start) == "outside@plt"
    assert name_at(symbols, start + 5) == "outside@plt"


LEGACY = "_ZN66_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..ops..drop..Drop$GT$4drop17h0123456789abcdefE"


@pytest.mark.parametrize(
    ("mangled", "readable"),
    [
        ("main", "main"),
        ("_ZN3foo3barEi", "foo::bar(int)"),
        ("_ZN3fooC2ERKS_.isra.0.cold", "foo::foo(foo const&)"),
        ("parse.part.3.lto_priv.0", "parse"),
        ("memcpy@@GLIBC_2.14", "memcpy"),
        ("malloc@plt", "malloc@plt"),
        ("_ZnwmPv@plt", "operator new(unsigned long, void*)@plt"),
        ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
        (LEGACY, "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop"),
        ("_ZN4core3ptr13drop_in_place17h0123456789abcdefE", "core::ptr::drop_in_place"),
        ("_ZN4core3ptr13drop_in_place17h0123456789abcdefE.3718", "core::ptr::drop_in_place"),
        ("inner.0", "inner.0"),
        ("_Znonsense", "_Znonsense"),
        ("_Rnonsense", "_Rnonsense"),
        ("__libc_start_main", "__libc_start_main"),
        ("_Z" + "x" * MAX_MANGLED, "_Z" + "x" * MAX_MANGLED),
        ("", ""),
        (".cold", ".cold"),
    ],
)
def test_demangle(mangled: str, readable: str) -> None:
    assert demangle(mangled) == readable


def test_names_that_only_the_cxx_runtime_knows() -> None:
    name = "_ZGTtNSt13runtime_errorC1EPKc"
    assert demangle(name) in (name, "transaction clone for std::runtime_error::runtime_error(char const*)")
