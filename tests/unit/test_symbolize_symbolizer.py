# SPDX-License-Identifier: Apache-2.0
"""The way down from debug info to symbols to a reason, on files as they really are."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heaptide.symbolize import Level, Module, SourceFrame, Symbolizer
from heaptide.symbolize.elf import EM_X86_64, ET_DYN, ET_EXEC
from tests.builders.elf_reference import image_of, module_of
from tests.builders.elf_writer import ElfWriter, Part, Sym

SOURCE = """
static inline __attribute__((always_inline)) int leaf(int x) {
    __asm__ volatile("leaf_is_here: nop");
    return x * 3;
}
static inline __attribute__((always_inline)) int middle(int x) {
    return leaf(x) + 1;
}
__attribute__((noinline)) int outer(int x) {
    return middle(x) + 2;
}
__asm__(".globl handmade\\nhandmade: nop\\nnop\\nret\\n");
"""
INLINED = [("leaf", 3, True), ("middle", 7, True), ("outer", 10, False)]


def compile_library(folder: Path, *flags: str) -> Path:
    (folder / "x.c").write_text(SOURCE)
    command = ["cc", "-O2", "-g", "-shared", "-fPIC", "-Wl,--build-id", *flags, "-o", "x.so", "x.c"]
    subprocess.run(command, cwd=folder, check=True, timeout=60)
    return folder / "x.so"


@pytest.fixture
def library(tmp_path: Path, need: Callable[..., None]) -> Path:
    need("cc", "nm", "strip", "objcopy")
    return compile_library(tmp_path)


def address_of(path: Path, symbol: str) -> int:
    listing = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
    return next(int(line.split()[0], 16) for line in listing.splitlines() if line.endswith(f" {symbol}"))


def summary(frames: tuple[SourceFrame, ...]) -> list[tuple[str | None, int | None, bool]]:
    return [(frame.function, frame.line, frame.inlined) for frame in frames]


@pytest.mark.parametrize("flags", [[], ["-gdwarf-4"], ["-gz=zlib"], ["-g1"]])
def test_inlined_calls_are_frames(tmp_path: Path, need: Callable[..., None], flags: list[str]) -> None:
    need("cc", "nm")
    library = compile_library(tmp_path, *flags)
    [frames] = Symbolizer(cache_dir=tmp_path / "cache").resolve(
        module_of(library), [address_of(library, "leaf_is_here")]
    )
    assert summary(frames) == INLINED
    assert all(frame.file is not None and frame.file.endswith("/x.c") for frame in frames)


def test_an_executable_at_a_fixed_address(tmp_path: Path, need: Callable[..., None]) -> None:
    need("cc", "nm")
    (tmp_path / "x.c").write_text(SOURCE + "int main(int c, char **v) { return outer(c); }")
    subprocess.run(["cc", "-O2", "-g", "-no-pie", "-o", "x", "x.c"], cwd=tmp_path, check=True)
    module = module_of(tmp_path / "x")
    assert image_of(tmp_path / "x").elf.type == ET_EXEC
    [frames] = Symbolizer(cache_dir=tmp_path / "cache").resolve(module, [address_of(tmp_path / "x", "leaf_is_here")])
    assert summary(frames) == INLINED


def test_handmade_assembler_has_a_name_and_no_line(library: Path, tmp_path: Path) -> None:
    start = address_of(library, "handmade")
    [frames] = Symbolizer(cache_dir=tmp_path / "cache").resolve(module_of(library), [start + 2])
    assert frames == (SourceFrame("handmade"),)


def test_a_stripped_file_names_what_it_exports_and_nothing_else(library: Path, tmp_path: Path) -> None:
    inside, handmade = address_of(library, "outer") + 1, address_of(library, "handmade") + 1
    subprocess.run(["strip", "--strip-unneeded", library], check=True)
    symbolizer = Symbolizer(cache_dir=tmp_path / "cache")
    module = module_of(library)
    outer, asm, outside = symbolizer.resolve(module, [inside, handmade, 1 << 40])
    assert outer == (SourceFrame("outer"),)
    assert asm == (SourceFrame(None, unresolved=f"stripped: no symbol covers {handmade:#x}"),)
    assert outside[0].unresolved == f"{1 << 40:#x} lies outside the code of x.so"
    report = symbolizer.report(module)
    assert report.level is Level.SYMBOLS
    assert "no debug info" in report.problems[0]
    assert report.hint is not None


def test_debians_stripped_jq(need: Callable[..., None], tmp_path: Path) -> None:
    """f_startswith is static: none of its addresses may take the name of an exported neighbour."""
    need("jq")
    path = Path("/usr/lib/x86_64-linux-gnu/libjq.so.1")
    if not path.exists() or image_of(path).elf.section(".symtab") is not None:
        pytest.skip("no stripped libjq here")
    listing = subprocess.run(["nm", "-D", "-S", "--defined-only", path], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listing.stdout.splitlines()]
    exported = {int(row[0], 16): (int(row[1], 16), row[3]) for row in rows if len(row) == 4 and row[2] in "TtWw"}
    text = image_of(path).elf.section(".text")
    assert text is not None
    symbolizer = Symbolizer(cache_dir=tmp_path)
    vaddrs = list(range(text.addr, text.addr + text.size, 7))
    named = 0
    for vaddr, [frame] in zip(vaddrs, symbolizer.resolve(module_of(path), vaddrs), strict=True):
        covering = {name for start, (size, name) in exported.items() if start <= vaddr < start + size}
        if covering:
            assert frame.function in covering
            named += 1
        else:
            assert frame.function is None
            assert frame.unresolved is not None and frame.unresolved.startswith(
                f"stripped: no symbol covers {vaddr:#x}"
            )
    assert 0 < named < len(vaddrs)


def test_symbols_alone_do_not_load_the_big_library(library: Path, tmp_path: Path) -> None:
    subprocess.run(["strip", "--strip-unneeded", library], check=True)
    script = """if True:
        import sys
        from pathlib import Path
        from heaptide.symbolize import Module, Symbolizer
        symbolizer = Symbolizer(cache_dir=Path(sys.argv[2]))
        symbolizer.resolve(Module(sys.argv[1]), [0x1000])
        symbolizer.report(Module(sys.argv[1]))
        sys.exit("symbolic" in sys.modules)"""
    subprocess.run([sys.executable, "-c", script, library, tmp_path / "cache"], check=True, timeout=60)


def test_the_second_process_reads_the_cache(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, vaddr = module_of(library), address_of(library, "leaf_is_here")
    first = Symbolizer(cache_dir=tmp_path / "cache").resolve(module, [vaddr])
    [entry] = (tmp_path / "cache").iterdir()
    assert entry.name.startswith(module.build_id.hex())
    monkeypatch.setattr("heaptide.symbolize.lines.LineTable._digest", None)  # would raise if it were called
    assert Symbolizer(cache_dir=tmp_path / "cache").resolve(module, [vaddr]) == first


@pytest.mark.parametrize("spoil", [lambda raw: raw[:100], lambda raw: b"\xff" * len(raw), lambda raw: b""])
def test_a_damaged_cache_is_made_anew(library: Path, tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    module, vaddr = module_of(library), address_of(library, "leaf_is_here")
    first = Symbolizer(cache_dir=tmp_path / "cache").resolve(module, [vaddr])
    [entry] = (tmp_path / "cache").iterdir()
    sound = entry.read_bytes()
    entry.write_bytes(spoil(sound))
    assert Symbolizer(cache_dir=tmp_path / "cache").resolve(module, [vaddr]) == first
    assert entry.read_bytes() == sound


def test_without_any_cache(library: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    [frames] = Symbolizer(cache_dir=tmp_path / "file").resolve(
        module_of(library), [address_of(library, "leaf_is_here")]
    )
    assert summary(frames) == INLINED


def test_a_replaced_file_is_not_answered_from_the_old_entry(tmp_path: Path, need: Callable[..., None]) -> None:
    need("cc", "nm")
    library = compile_library(tmp_path, "-Wl,--build-id=none")
    module, vaddr = Module(str(library)), address_of(library, "leaf_is_here")
    Symbolizer(cache_dir=tmp_path / "cache").resolve(module, [vaddr])
    (tmp_path / "x.c").write_text("\n\n" + SOURCE)
    os.unlink(library)
    subprocess.run(["cc", "-O2", "-g", "-shared", "-fPIC", "-o", "x.so", "x.c"], cwd=tmp_path, check=True)
    [frames] = Symbolizer(cache_dir=tmp_path / "cache").resolve(module, [vaddr])
    assert [frame.line for frame in frames] == [5, 9, 12]


def test_many_threads_get_the_same_answers(library: Path, tmp_path: Path) -> None:
    elf = image_of(library).elf
    text = elf.section(".text")
    assert text is not None
    vaddrs = list(range(text.addr, text.addr + text.size))
    symbolizer = Symbolizer(cache_dir=tmp_path / "cache")
    answers: list[object] = []
    threads = [
        threading.Thread(target=lambda: answers.append(symbolizer.resolve(module_of(library), vaddrs)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert all(answer == answers[0] for answer in answers)


def test_damaged_debug_info_falls_back_to_symbols(tmp_path: Path) -> None:
    writer = ElfWriter(type=ET_DYN, machine=EM_X86_64).text().add(Part(".debug_info", b"\xff" * 64))
    writer.zlib(".debug_line", b"x" * 100, claimed=99)
    path = tmp_path / "x.so"
    path.write_bytes(writer.symbols([Sym("f", 0x1000, 0x10)]).build())
    symbolizer = Symbolizer(cache_dir=tmp_path / "cache")
    assert symbolizer.resolve(Module(str(path)), [0x1008]) == [(SourceFrame("f"),)]
    assert ".debug_line" in symbolizer.report(Module(str(path))).problems[0]


def test_split_dwarf_is_said(tmp_path: Path, need: Callable[..., None]) -> None:
    need("cc")
    for version in ("-gdwarf-5", "-gdwarf-4"):
        library = compile_library(tmp_path, "-gsplit-dwarf", version)
        report = Symbolizer(cache_dir=tmp_path / "cache").report(module_of(library))
        assert any("split DWARF" in problem for problem in report.problems)
        assert (report.level, report.hint) == (Level.SYMBOLS, "build without -gsplit-dwarf")
    plain = compile_library(tmp_path)
    assert Symbolizer(cache_dir=tmp_path / "cache").report(module_of(plain)).problems == ()


def test_a_supplementary_file_is_said(tmp_path: Path) -> None:
    link = Part(".gnu_debugaltlink", b"/usr/lib/debug/.dwz/x.debug\0" + bytes(20))
    path = tmp_path / "x.so"
    path.write_bytes(ElfWriter().text().add(Part(".debug_info", bytes(16))).add(link).build())
    problems = Symbolizer(cache_dir=tmp_path / "cache").report(Module(str(path))).problems
    assert any("/usr/lib/debug/.dwz/x.debug" in problem for problem in problems)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=6)), max_size=6),
    cut=st.floats(0.01, 1),
)
def test_no_damage_to_a_file_is_raised(
    library: Path, tmp_path: Path, edits: list[tuple[float, bytes]], cut: float
) -> None:
    """Whatever a debug file is made of, an address gets frames or a reason."""
    raw = bytearray(library.read_bytes())
    for place, new in edits:
        at = int(place * len(raw))
        raw[at : at + len(new)] = new
    spoilt = tmp_path / "spoilt.so"
    spoilt.write_bytes(raw[: int(cut * len(raw))] if cut < 0.5 else raw)
    symbolizer = Symbolizer(cache_dir=tmp_path / "cache")
    for module in (Module(str(spoilt)), Module(str(spoilt), image_of(library).elf.build_id)):
        for frames in symbolizer.resolve(module, [0, 0x1000, 0x1100, 0x1105, 0x1110, 1 << 63]):
            assert frames
            assert all(frame.function or frame.unresolved for frame in frames)
        symbolizer.report(module)
