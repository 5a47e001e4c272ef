# SPDX-License-Identifier: Apache-2.0
"""Which file is taken for a module, which is refused, and what is said about it."""

from __future__ import annotations

import lzma
import os
import subprocess
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from heaptide.symbolize import Attempt, Level, Module, Outcome, Symbolizer
from heaptide.symbolize.debugfiles import Finder, Found
from heaptide.symbolize.elf import Elf
from heaptide.symbolize.packages import debug_package
from tests.builders.elf_reference import module_of
from tests.builders.elf_writer import LOCAL, ElfWriter, Part, Sym

BUILD_ID = bytes.fromhex("aabbccddeeff00112233445566778899aabbccdd")
HEX = BUILD_ID.hex()
DEBUG = Part(".debug_info", bytes(16))


def binary(build_id: bytes = BUILD_ID, *parts: Part) -> ElfWriter:
    writer = ElfWriter().text().build_id(build_id) if build_id else ElfWriter().text()
    for part in parts:
        writer.add(part)
    return writer.symbols([Sym("exported", 0x1000, 0x10)], ".dynsym")


def debug_file(build_id: bytes = BUILD_ID) -> bytes:
    return binary(build_id, DEBUG).build()


def put(path: Path, contents: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)
    return path


def find(path: Path | str, *search: Path, build_id: bytes = BUILD_ID, root: Path | None = None) -> Found:
    module = Module(str(path), build_id, Elf(binary().build()).phdrs)
    return Finder(search, (str(root),) if root else ()).find(module)


def outcome(found: Found, path: Path | str) -> Outcome:
    return next(attempt.outcome for attempt in found.attempts if attempt.path == str(path))


def test_the_file_itself(tmp_path: Path) -> None:
    path = put(tmp_path / "lib.so", debug_file())
    found = find(path)
    assert found.binary is found.debug is not None
    assert found.attempts == [Attempt(str(path), Outcome.USED)]


@pytest.mark.parametrize(
    "place",
    [
        f"search/{HEX[:2]}/{HEX[2:]}.debug",
        f"search/.build-id/{HEX[:2]}/{HEX[2:]}.debug",
        f"search/{HEX}.debug",
        "search/lib.so.debug",
        f"root/.build-id/{HEX[:2]}/{HEX[2:]}.debug",
    ],
)
def test_a_debug_file_by_build_id_or_name(tmp_path: Path, place: str) -> None:
    path = put(tmp_path / "bin" / "lib.so", binary().build())
    debug = put(tmp_path / place, debug_file())
    found = find(path, tmp_path / "search", root=tmp_path / "root")
    assert found.binary is not None and found.binary.path == str(path)
    assert found.debug is not None and found.debug.path == str(debug)


@pytest.mark.parametrize("place", ["search/lib.so", f"search/{HEX}/anything", f"search/{HEX}", "search/gone/lib.so"])
def test_the_binary_from_another_machine(tmp_path: Path, place: str) -> None:
    copy = put(tmp_path / place, debug_file())
    found = find("/gone/lib.so", tmp_path / "search")
    assert found.binary is not None and found.binary.path == str(copy)
    assert found.debug is not None
    assert outcome(found, "/gone/lib.so") is Outcome.MISSING


@pytest.mark.parametrize("place", ["bin/lib.debug", "bin/.debug/lib.debug", "root{bin}/lib.debug"])
def test_a_debuglink(tmp_path: Path, place: str) -> None:
    contents = debug_file()
    path = put(tmp_path / "bin" / "lib.so", binary().debuglink("lib.debug", zlib.crc32(contents)).build())
    debug = put(tmp_path / place.format(bin=path.parent), contents)
    found = find(path, root=tmp_path / "root")
    assert found.debug is not None and found.debug.path == str(debug)


def test_a_debuglink_with_another_checksum(tmp_path: Path) -> None:
    path = put(tmp_path / "lib.so", binary().debuglink("lib.debug", 0x12345678).build())
    debug = put(tmp_path / "lib.debug", debug_file())
    found = find(path)
    assert found.debug is None
    refused = next(attempt for attempt in found.attempts if attempt.path == str(debug))
    assert refused.outcome is Outcome.OTHER_BUILD
    assert "12345678" in refused.detail


def test_a_file_of_another_build_is_refused_with_both_ids(tmp_path: Path) -> None:
    other = b"\1" * 20
    path = put(tmp_path / "lib.so", debug_file(other))
    symbolizer = Symbolizer(cache_dir=tmp_path / "cache")
    module = Module(str(path), BUILD_ID)
    assert symbolizer.resolve(module, [0x1000])[0][0].unresolved == "lib.so is of another build here"
    report = symbolizer.report(module)
    assert report.level is Level.NOTHING
    assert HEX in report.problems[0] and other.hex() in report.problems[0]
    assert report.hint is not None and HEX in report.hint


def test_without_a_build_id_the_segments_decide(tmp_path: Path) -> None:
    path = put(tmp_path / "lib.so", debug_file(b""))
    assert find(path, build_id=b"").binary is not None
    moved = ElfWriter(loads=[(0x1000, 0x2000, 5)]).add(DEBUG).build()
    found = find(put(tmp_path / "lib2.so", moved), build_id=b"")
    assert outcome(found, tmp_path / "lib2.so") is Outcome.OTHER_BUILD


def test_symbols_from_gnu_debugdata(tmp_path: Path) -> None:
    mini = ElfWriter().text().symbols([Sym("static_one", 0x1010, 0x10, bind=LOCAL)]).build()
    path = put(tmp_path / "lib.so", binary(BUILD_ID, Part(".gnu_debugdata", lzma.compress(mini))).build())
    symbolizer = Symbolizer(cache_dir=tmp_path / "cache")
    module = Module(str(path), BUILD_ID)
    frames = symbolizer.resolve(module, [0x1008, 0x1018, 0x1028])
    assert [frame[0].function for frame in frames] == ["exported", "static_one", None]
    assert symbolizer.report(module).level is Level.SYMBOLS


def test_damaged_gnu_debugdata_is_said(tmp_path: Path) -> None:
    path = put(tmp_path / "lib.so", binary(BUILD_ID, Part(".gnu_debugdata", b"no xz")).build())
    found = find(path)
    assert found.mini is None
    assert "gnu_debugdata" in found.problems[0]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("[vdso]", "the vdso is the kernel's own code, with no file"),
        ("linux-vdso.so.1", "the vdso is the kernel's own code, with no file"),
        ("/memfd:jit (deleted)", "a memory file (memfd), nowhere on disk"),
        ("", "recorded without a name"),
        ("[anon]", "no file"),
        ("/nowhere/lib.so", "lib.so is missing here"),
        ("/nowhere/lib.so (deleted)", "lib.so (deleted) is deleted since"),
        ("/nowhere/\0.so", "\0.so cannot be read: embedded null byte"),
        ("/dev/zero", "zero is not a regular file here"),
        ("/proc/self/maps", "maps is damaged or not ELF here"),
        ("/", "/ is not a regular file here"),
    ],
)
def test_modules_without_a_usable_file(tmp_path: Path, name: str, reason: str) -> None:
    symbolizer = Symbolizer(cache_dir=tmp_path)
    frame = symbolizer.resolve(Module(name, BUILD_ID), [0x1000])[0][0]
    assert (frame.function, frame.unresolved) == (None, reason)
    assert symbolizer.report(Module(name, BUILD_ID)).problems


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lib.so")
    assert outcome(find(tmp_path / "lib.so"), tmp_path / "lib.so") is Outcome.NOT_A_FILE


def test_an_unreadable_file(tmp_path: Path) -> None:
    path = put(tmp_path / "lib.so", debug_file())
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root reads everything")
    assert outcome(find(path), path) is Outcome.UNREADABLE


def test_a_file_that_was_deleted_and_is_back(tmp_path: Path) -> None:
    path = put(tmp_path / "lib.so", debug_file())
    assert find(f"{path} (deleted)").binary is not None


def test_a_real_file_split_the_usual_way(tmp_path: Path, need: Callable[..., None]) -> None:
    need("cc", "objcopy", "strip")
    (tmp_path / "x.c").write_text("static int inner(int x) { return x * 7; }\nint f(int x) {\n  return inner(x);\n}\n")
    run = [["cc", "-g", "-O0", "-shared", "-fPIC", "-Wl,--build-id", "-o", "x.so", "x.c"]]
    run += [["objcopy", "--only-keep-debug", "x.so", "x.so.debug"], ["strip", "--strip-unneeded", "x.so"]]
    run += [["objcopy", "--add-gnu-debuglink=x.so.debug", "x.so"]]
    for command in run:
        subprocess.run(command, cwd=tmp_path, check=True)
    module = module_of(tmp_path / "x.so")
    nm = subprocess.run(["nm", "-D", tmp_path / "x.so"], capture_output=True, text=True, check=True).stdout
    address = next(int(line.split()[0], 16) for line in nm.splitlines() if line.endswith(" T f"))
    symbolizer = Symbolizer(cache_dir=tmp_path / "cache")
    frame = symbolizer.resolve(module, [address])[0][0]
    assert (frame.function, frame.line, frame.unresolved) == ("f", 2, None)
    assert frame.file is not None and frame.file.endswith("/x.c")
    assert symbolizer.report(module).debug_file == str(tmp_path / "x.so.debug")
    # The same without the debug file: the name alone, since f is exported.
    (tmp_path / "x.so.debug").unlink()
    again = Symbolizer(cache_dir=tmp_path / "cache").resolve(module, [address])[0][0]
    assert (again.function, again.file, again.line, again.unresolved) == ("f", None, None, None)
    assert Symbolizer(cache_dir=tmp_path / "cache").resolve(replace(module, build_id=b"\1"), [address])[0][0].unresolved


def test_the_debug_package_of_an_installed_file(need: Callable[..., None]) -> None:
    need("dpkg")
    assert debug_package("/usr/bin/dpkg") == "dpkg-dbgsym"
    assert debug_package("/lib/x86_64-linux-gnu/libc.so.6") in ("libc6-dbg", None)
    assert debug_package("/usr/bin/*") is None
    assert debug_package("relative") is None
