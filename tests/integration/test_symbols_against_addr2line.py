# SPDX-License-Identifier: Apache-2.0
"""Inlined calls and lines against binutils' addr2line, on random addresses of real binaries.

Quick here: the program compiled now, and whichever debug packages are installed. bench/symbols.py has 2,000 addresses
in each of three binaries, with the costs.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from heaptide.symbolize import Level, SourceFrame, Symbolizer
from tests.builders.elf_reference import Reference, addr2line, compare, image_of, module_of, random_pcs

PROGRAM = Path(__file__).parent.parent / "builders" / "elf_cxx17.cpp"
INSTALLED = ["/usr/lib/x86_64-linux-gnu/librados.so.2", "/usr/bin/python3.11", "/usr/lib/x86_64-linux-gnu/libc.so.6"]
COUNT = 500


def only_innermost_lost(ours: Sequence[SourceFrame], theirs: Sequence[Reference]) -> bool:
    """The one known difference, at about 3 addresses of 10,000, all in .cold parts.

    There gcc wrote no line row at the function's start, so an inlined call begins in the middle of a row of the
    function before. addr2line has its name, beside that other function's line; `symbolic` has the caller and its line.
    """
    return [frame.line for frame in ours] == [frame.line for frame in theirs[1:]]


def check(binary: Path, cache: Path) -> None:
    symbolizer = Symbolizer(cache_dir=cache)
    module = module_of(binary)
    report = symbolizer.report(module)
    if report.level is not Level.LINES or report.debug_file is None:
        pytest.skip(f"no debug file: {report.hint}")
    pcs = random_pcs(report.debug_file, COUNT, seed=20261122)
    theirs = addr2line(report.debug_file, pcs)
    ours = symbolizer.resolve(module, pcs)
    agreement = compare(ours, theirs)
    assert sum(len(frames) > 1 for frames in theirs) > COUNT // 20, "there is too little inlining to prove anything"
    assert [hex(pcs[i]) for i in agreement.other_depth if not only_innermost_lost(ours[i], theirs[i])] == []
    assert len(agreement.other_depth) <= COUNT // 500
    assert agreement.percent(agreement.other_lines) >= 99.0, [hex(pcs[i]) for i in agreement.other_lines]


def test_a_program_compiled_now(tmp_path: Path, need: Callable[..., None]) -> None:
    need("g++", "addr2line")
    program = tmp_path / "program"
    command = ["g++", "-std=c++17", "-O2", "-g", "-pthread", "-Wl,--build-id", "-o", program, PROGRAM]
    subprocess.run(command, check=True, timeout=240)
    check(program, tmp_path / "cache")


@pytest.mark.parametrize("binary", INSTALLED)
def test_an_installed_binary(binary: str, tmp_path: Path, need: Callable[..., None]) -> None:
    need("addr2line")
    if not Path(binary).exists():
        pytest.skip(f"not installed: {binary}")
    assert image_of(binary).elf.build_id
    check(Path(binary), tmp_path / "cache")
