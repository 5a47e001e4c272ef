# SPDX-License-Identifier: Apache-2.0
"""`heaptide pprof` beside Debian's google-pprof and Go's pprof, on dumps that Debian's libtcmalloc wrote."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = r"""
#include <cstdlib>
#include <map>
#include <string>
#include <vector>
static void *keep[4000];
extern "C" {
__attribute__((noinline)) void *plain(int n) { void *p = malloc(n); asm volatile("" ::"r"(p) : "memory"); return p; }
__attribute__((noinline)) void *cleared(int n) {
  void *p = calloc(n, 3);
  asm volatile("" ::"r"(p) : "memory");
  return p;
}
__attribute__((noinline)) char *fresh(int n) { char *p = new char[n]; asm volatile("" ::"r"(p) : "memory"); return p; }
__attribute__((noinline)) void grow(int i) { keep[i] = realloc(keep[i], 3000); asm volatile("" ::: "memory"); }
__attribute__((noinline)) void work(int i) {
  keep[4 * i] = plain(1000 + i);
  keep[4 * i + 1] = cleared(100);
  keep[4 * i + 2] = fresh(500);
  grow(4 * i + 3);
  if (i % 3) { free(keep[4 * i]); free(keep[4 * i + 1]); }
  asm volatile("" ::: "memory");
}
}
int main() { for (int i = 0; i < 1000; i++) work(i); asm volatile("" ::: "memory"); return 0; }
"""
SCRIPT = (sys.executable, "-c", "from heaptide.cli.pprof import main; main()")  # what heaptide-pprof is
VALUES = ("inuse_space", "inuse_objects", "alloc_space", "alloc_objects")


@pytest.fixture(scope="module")
def dumped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A program, an early and the last dump of it. google-pprof wants no PIE to name the leaf."""
    folder = tmp_path_factory.mktemp("dumped")
    (folder / "prog.cpp").write_text(SOURCE)
    program = folder / "prog"
    subprocess.run(["c++", "-O1", "-g", "-o", str(program), str(folder / "prog.cpp")], check=True)
    library = next((path for path in Path("/usr/lib").glob("*/libtcmalloc.so.4")), None)
    if library is None:
        pytest.skip("not installed: libtcmalloc.so.4 (libgoogle-perftools4)")
    environment = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "HEAPPROFILE": str(folder / "p"),
        "HEAP_PROFILE_ALLOCATION_INTERVAL": "1000000",
        "PERFTOOLS_VERBOSE": "-1",
    }
    subprocess.run([str(program)], env=environment, check=True)
    dumps = sorted(folder.glob("p.*.heap"))
    assert len(dumps) > 3
    return program, dumps[1], dumps[-1]


def ours(*arguments: object) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "heaptide", "pprof", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def rows_of(text: str, pattern: str) -> dict[str, int]:
    return {match["name"]: int(match["flat"]) for match in re.finditer(pattern, text, re.MULTILINE)}


def our_rows(text: str) -> dict[str, int]:
    return rows_of(text, r"^ *(?P<flat>-?\d+)B? +[\d.]+% +[\d.]+% +-?\d+B? +[\d.]+%  (?P<name>\S+)")


def our_total(text: str) -> int:
    match = re.search(r"of (-?\d+)B? total", text)
    assert match is not None, text
    return int(match[1])


@pytest.mark.parametrize("value", VALUES)
def test_flat_values_are_google_pprofs(dumped: tuple[Path, Path, Path], need: Callable[..., None], value: str) -> None:
    need("google-pprof")
    program, _, dump = dumped
    theirs = subprocess.run(
        ["google-pprof", "--text", "--show_bytes", f"--{value}", str(program), str(dump)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    expected = rows_of(theirs, r"^ *(?P<flat>\d+) +[\d.]+% +[\d.]+% +\d+ +[\d.]+% (?P<name>\S+)")
    text = ours("--text", "--show_bytes", "--nodefraction=0", f"--{value}", program, dump)
    found = our_rows(text)
    for name in ("plain", "cleared", "fresh", "grow", "work", "main"):
        assert found[name] == expected[name], name
    total = re.search(r"^Total: (\d+)", theirs, re.MULTILINE)
    assert total is not None and our_total(text) == int(total[1])


@pytest.mark.parametrize("value", VALUES)
def test_totals_are_gos(dumped: tuple[Path, Path, Path], need: Callable[..., None], value: str) -> None:
    need("go")
    _, _, dump = dumped
    theirs = subprocess.run(
        ["go", "tool", "pprof", "-top", "-unit=B", "-nodefraction=0", f"-sample_index={value}", str(dump)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert our_total(ours("-top", "--show_bytes", f"-{value}", dump)) == our_total(theirs)


def test_known_bytes(dumped: tuple[Path, Path, Path]) -> None:
    program, _, dump = dumped
    found = our_rows(ours("--text", "--show_bytes", "--alloc_space", "--nodefraction=0", program, dump))
    assert found["plain"] == sum(1000 + i for i in range(1000))
    assert (found["cleared"], found["fresh"], found["grow"]) == (300_000, 500_000, 3_000_000)


def test_lines_are_those_of_the_calls(dumped: tuple[Path, Path, Path]) -> None:
    """Every address is that of the call, the leaf's too: Perl's pprof names the line after it."""
    program, _, dump = dumped
    line = next(number for number, text in enumerate(SOURCE.splitlines(), 1) if "keep[4 * i + 2] = fresh" in text)
    text = ours("--text", "--lines", "--nodefraction=0", program, dump)
    assert re.search(rf"  work \S*prog\.cpp:{line}$", text, re.MULTILINE)


def test_base_is_subtracted(dumped: tuple[Path, Path, Path]) -> None:
    program, early, late = dumped
    flags = ("--text", "--show_bytes", "--nodefraction=0")
    before, after = our_rows(ours(*flags, program, early)), our_rows(ours(*flags, program, late))
    grown = our_rows(ours(*flags, "--base", early, program, late))
    for name in ("plain", "cleared", "fresh", "grow"):
        assert grown[name] == after[name] - before[name]


def test_several_profiles_are_summed(dumped: tuple[Path, Path, Path]) -> None:
    program, early, late = dumped
    totals = [
        our_total(ours("--text", "--show_bytes", program, *files)) for files in ((early,), (late,), (early, late))
    ]
    assert totals[2] == totals[0] + totals[1]


def test_focus_and_ignore(dumped: tuple[Path, Path, Path]) -> None:
    program, _, late = dumped
    flags = ("--text", "--show_bytes", "--nodefraction=0")
    everything = our_rows(ours(*flags, program, late))
    focused = ours(*flags, "--focus=^fresh$", program, late)
    assert our_rows(focused)["fresh"] == everything["fresh"] and "grow" not in our_rows(focused)
    assert our_total(focused) == our_total(ours(*flags, program, late)), "shares are of the whole profile"
    assert "fresh" not in our_rows(ours(*flags, "--ignore", "fresh", program, late))


def test_a_program_that_was_moved_is_named_on_the_command_line(dumped: tuple[Path, Path, Path], tmp_path: Path) -> None:
    program, _, dump = dumped
    moved, gone = tmp_path / "prog", tmp_path / "moved.heap"
    moved.write_bytes(program.read_bytes())
    gone.write_bytes(dump.read_bytes().replace(str(program).encode(), b"/nonexistent/prog"))
    without = ours("--text", gone)
    assert "  [prog]" in without and "  work" not in without
    flags = ("--text", "--show_bytes", "--nodefraction=0")
    assert our_rows(ours(*flags, moved, gone)) == our_rows(ours(*flags, program, dump))


def test_a_program_at_fixed_addresses_needs_no_map(tmp_path: Path) -> None:
    (tmp_path / "f.c").write_text("int twice(int x) { return x + x; }\nint main(void) { return twice(0); }\n")
    program = tmp_path / "fixed"
    subprocess.run(["cc", "-O0", "-g", "-no-pie", "-o", str(program), str(tmp_path / "f.c")], check=True)
    listed = subprocess.run(["nm", str(program)], capture_output=True, text=True, check=True).stdout
    address = int(next(line.split()[0] for line in listed.splitlines() if line.endswith(" twice")), 16)
    heap = tmp_path / "x.heap"
    heap.write_text(f"heap profile: 1: 10 [1: 10] @ heapprofile\n 1: 10 [1: 10] @ {address + 5:#x}\n")
    assert re.search(r"100%  twice$", ours("--text", program, heap), re.MULTILINE)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", ["cppbench.heap", "gobench.heap"])
def test_sampled_profiles_are_unsampled_as_go_does(
    shared: Path, need: Callable[..., None], name: str, value: str
) -> None:
    need("go")
    profile = shared / "data" / "pprof-goldens" / "legacy" / name
    theirs = subprocess.run(
        ["go", "tool", "pprof", "-top", "-unit=B", f"-sample_index={value}", str(profile)],
        capture_output=True,
        text=True,
        check=False,
    )
    if theirs.returncode:
        pytest.skip(f"Go drops {value} where nothing was freed before the dump")
    assert our_total(ours("--text", "--show_bytes", f"--{value}", profile)) == our_total(theirs.stdout)


@pytest.mark.parametrize(
    ("form", "granularity"),
    [
        ("ps", "lines"),
        ("pdf", "lines"),
        ("gif", "functions"),
        ("svg", "files"),
        ("png", "addresses"),
        ("dot", "functions"),
        ("dot", "filefunctions"),
    ],
)
def test_pictures(dumped: tuple[Path, Path, Path], form: str, granularity: str) -> None:
    pytest.importorskip("pygraphviz")
    program, early, late = dumped
    run = subprocess.run(
        [*SCRIPT, f"--{form}", f"--{granularity}", "--base", early, program, late],
        capture_output=True,
        check=False,
    )
    starts = {"svg": b"<?xml", "pdf": b"%PDF", "ps": b"%!PS", "png": b"\x89PNG", "gif": b"GIF8", "dot": b"digraph"}
    assert run.returncode == 0 and run.stdout.startswith(starts[form]), run.stderr
