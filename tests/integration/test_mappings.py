# SPDX-License-Identifier: Apache-2.0
"""What a program maps itself, of known sizes, beside blocks of known sizes: two accounts that are never mixed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import heaptide
from heaptide.analysis.top import top
from heaptide.model import Profile, Series

PROGRAM = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
enum { KIB = 1024 };
#define SITE __attribute__((noinline, noclone)) static void
static char *volatile kept[64];
static int count;
static char *map(char *where, size_t bytes, int more) {
    return mmap(where, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | more, -1, 0);
}
SITE keeps(void) { for (int i = 0; i < 3; i++) kept[count++] = map(NULL, 1024 * KIB - 100 * i, 0); }
SITE gives_back(void) { for (int i = 0; i < 2; i++) munmap(map(NULL, 512 * KIB, 0), 512 * KIB); }
SITE loses_its_middle(void) {
    char *p = kept[count++] = map(NULL, 1024 * KIB, 0);
    munmap(p + 256 * KIB, 256 * KIB);
}
SITE grows(void) { kept[count++] = mremap(map(NULL, 256 * KIB, 0), 256 * KIB, 1024 * KIB, MREMAP_MAYMOVE); }
SITE shrinks(void) { kept[count++] = mremap(map(NULL, 256 * KIB, 0), 256 * KIB, 64 * KIB, 0); }
SITE lies_below(void) { kept[count++] = map(NULL, 1024 * KIB, 0); }
SITE lies_over(void) { map(kept[count - 1] + 256 * KIB, 256 * KIB, MAP_FIXED); }
SITE fails(void) {
    if (munmap((void *)1, 4096) != -1) abort();
    if (mremap(kept[0], 1024 * KIB, (size_t)1 << 62, 0) != MAP_FAILED) abort();
}
SITE moves_the_break(void) { if (sbrk(1024 * KIB) == (void *)-1 || sbrk(-256 * KIB) == (void *)-1) abort(); }
SITE allocates(void) { for (int i = 0; i < 5; i++) kept[count++] = malloc(1000 * KIB); } // the C library maps these
int main(void) {
    keeps();
    gives_back();
    loses_its_middle();
    grows();
    shrinks();
    lies_below();
    lies_over();
    fails();
    moves_the_break();
    allocates();
    return 0;
}
"""
KIB = 1024
IN_USE = {
    "keeps": 3 * 1024 * KIB,
    "loses_its_middle": 768 * KIB,
    "grows": 1024 * KIB,
    "shrinks": 64 * KIB,
    "lies_below": 768 * KIB,
    "lies_over": 256 * KIB,
    "moves_the_break": 768 * KIB,
}
"""By function, in whole pages."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, agent: Path, recorder: Path) -> Path:
    folder = tmp_path_factory.mktemp("mapper")
    (folder / "mapper.c").write_text(PROGRAM)
    subprocess.run(["cc", "-O1", "-g", "-o", str(folder / "mapper"), str(folder / "mapper.c")], check=True)
    return folder / "mapper"


def command(cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "heaptide", *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False
    )


def recorded(cwd: Path, program: Path, *options: str) -> Series:
    run = command(cwd, "run", "-o", "x.tide", *options, "--", program)
    assert run.returncode == 0, run.stderr
    return heaptide.open(cwd / "x.tide")


def by_function(profile: Profile, value: str = "inuse_space") -> dict[str, float]:
    """The flat values of the program's own functions, `map` charged to its caller."""
    profile.check()
    found: dict[str, float] = {}
    for row in range(len(profile)):
        names = [frame.function for frame in profile.frames_of(row)]
        name = next((name for name in names if name and name in PROGRAM and name not in ("map", "main")), None)
        if name and (held := profile.values[value][row].item()):
            found[name] = found.get(name, 0) + held
    return found


@pytest.mark.parametrize("options", [("--exact",), ("--sample", "1KiB"), ()], ids=["exact", "sampled", "default"])
def test_mappings_are_counted_to_the_byte_in_every_mode(tmp_path: Path, program: Path, options: tuple[str]) -> None:
    series = recorded(tmp_path, program, *options)
    assert series.mappings is not None and series.mappings.mode == "exact"
    assert [s.number for s in series.mappings.snapshots] == [s.number for s in series.snapshots]
    assert by_function(series.mappings.at("end")) == IN_USE
    assert by_function(series.mappings.at("end"), "inuse_objects")["keeps"] == 3
    assert by_function(series.mappings.at("end"), "alloc_space")["gives_back"] == 1024 * KIB


def test_blocks_hold_no_mapping(tmp_path: Path, program: Path) -> None:
    series = recorded(tmp_path, program, "--exact")
    assert by_function(series.at("end")) == {"allocates": 5 * 1000 * KIB}
    assert top(series.at("end")).total == series.moment("end").in_use_bytes == 5 * 1000 * KIB


def test_the_command_line_shows_them_apart(tmp_path: Path, program: Path) -> None:
    recorded(tmp_path, program, "--exact")
    document = json.loads(command(tmp_path, "top", "x.tide", "--mmap", "--json").stdout)
    assert document["total"] == sum(IN_USE.values()) and document["error"] == 0
    for verb in ("top", "traces"):
        mapped, blocks = command(tmp_path, verb, "--mmap").stdout, command(tmp_path, verb).stdout
        assert "x.tide: bytes that the program mapped itself" in mapped
        assert "keeps" in mapped and "allocates" not in mapped
        assert "keeps" not in blocks and "allocates" in blocks
    assert command(tmp_path, "graph", "--mmap", "-o", "x.dot").returncode == 0
    assert "keeps" in (tmp_path / "x.dot").read_text() and "allocates" not in (tmp_path / "x.dot").read_text()
    change = json.loads(command(tmp_path, "top", "--mmap", "--base", "start", "--json").stdout)
    assert change["total"] <= document["total"]


def test_no_mmap_records_none(tmp_path: Path, program: Path) -> None:
    series = recorded(tmp_path, program, "--exact", "--no-mmap")
    assert series.mappings is not None and series.mappings.at("end").total("alloc_space") == 0
    run = command(tmp_path, "top", "--mmap")
    assert run.returncode == 4 and "no mapping was recorded" in run.stderr and run.stdout == ""
