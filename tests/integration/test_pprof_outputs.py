# SPDX-License-Identifier: Apache-2.0
"""Every output of `heaptide pprof` on every kind of input: a capture at its end, a difference of two moments of it, and
files of other tools; the machine-readable ones are opened by the tools that they are for."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from heaptide.cli import pprof_inputs, pprof_outputs
from heaptide.cli.pprof_flags import SEARCHES, parse

PROGRAM = r"""
#include <stdlib.h>
#include <signal.h>
#include <vector>
static void *keep[4000];
static std::vector<int> *vectors[10];
extern "C" {
#define SITE __attribute__((noinline))
SITE void *plain(int n) { void *p = malloc(n); asm volatile("" ::"r"(p) : "memory"); return p; }
static inline __attribute__((always_inline)) void *wrapped(int n) { return plain(n); }
SITE void work(int i) {
  keep[i] = wrapped(1000);
  if (i % 100 == 0) vectors[i / 100] = new std::vector<int>(100);
  asm volatile("" ::: "memory");
}
SITE void forget(int i) { free(keep[i]); keep[i] = 0; asm volatile("" ::: "memory"); }
__attribute__((destructor)) static void at_exit(void) { for (int i = 0; i < 1000; i++) forget(i); }
}
int main() {
  for (int i = 0; i < 1000; i++) work(i);
  for (int i = 0; i < 500; i++) forget(i);
  return 0;
}
"""
KEPT = 500 * 1000
"""Bytes that are in use at the end and freed before the exit."""
IN_USE = KEPT + 10 * (400 + 24)
ALLOCATED = 1000 * 1000 + 10 * (400 + 24)


@dataclass(frozen=True)
class Made:
    """One program with its source, what heaptide recorded of it, and the same as other files."""

    program: Path
    capture: Path
    heap: Path
    proto: Path
    collapsed: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("outputs")
    (folder / "prog.cpp").write_text(PROGRAM)
    program = folder / "prog"
    subprocess.run(["c++", "-O1", "-g", "-o", str(program), str(folder / "prog.cpp")], check=True)
    capture = folder / "prog.tide"
    heaptide("run", "--exact", "-o", str(capture), "--", str(program))
    agent = heaptide("agent").strip()
    subprocess.run([program], env={**os.environ, "LD_PRELOAD": agent, "HEAPPROFILE": str(folder / "dump")}, check=True)
    files = {name: folder / f"out.{name}" for name in ("pb.gz", "collapsed")}
    files["pb.gz"].write_bytes(ours("-proto", capture))
    files["collapsed"].write_bytes(ours("-collapsed", capture))
    return Made(program, capture, max(folder.glob("dump*.heap")), files["pb.gz"], files["collapsed"])


def heaptide(*arguments: str) -> str:
    run = subprocess.run([sys.executable, "-m", "heaptide", *arguments], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def ours(*arguments: object) -> bytes:
    request = parse([str(argument) for argument in arguments])
    return pprof_outputs.render(request, pprof_inputs.gather(request))


TEXTS = ("top", "tree", "traces", "raw", "callgrind", "collapsed", "dot", "list", "peek", "disasm", "weblist")
BINARY = {
    "proto": b"\x1f\x8b",
    "topproto": b"\x1f\x8b",
    "svg": b"<?xml",
    "pdf": b"%PDF",
    "ps": b"%!PS",
    "png": b"\x89PNG",
}
INPUTS: dict[str, Callable[[Made], list[object]]] = {
    "capture": lambda made: [made.capture],
    "difference": lambda made: ["-base=exit", made.capture],
    "heap": lambda made: ["-alloc_space", made.program, made.heap],
    "proto": lambda made: [made.proto],
}


@pytest.mark.parametrize("what", INPUTS)
@pytest.mark.parametrize("output", TEXTS)
def test_text_outputs(made: Made, need: Callable[..., None], output: str, what: str) -> None:
    if output in ("disasm", "weblist"):
        need("objdump")
    flag = f"-{output}=work|plain" if output in SEARCHES else f"-{output}"
    text = ours(flag, "-nodefraction=0", *INPUTS[what](made)).decode()
    assert "plain" in text and "work" in text


@pytest.mark.parametrize("what", ["difference", "heap"])
@pytest.mark.parametrize("output", BINARY)
def test_binary_outputs(made: Made, output: str, what: str) -> None:
    if output not in ("proto", "topproto"):
        pytest.importorskip("pygraphviz")
    assert ours(f"-{output}", *INPUTS[what](made)).startswith(BINARY[output])


def test_names_alone_are_enough_for_most(made: Made) -> None:
    """Collapsed stacks have no addresses, no lines and one value of no name."""
    for output in ("-top", "-tree", "-traces", "-dot", "-callgrind", "-raw", "-peek=plain"):
        assert "plain" in ours(output, made.collapsed).decode()


def test_frames_of_the_agent_are_not_the_program_s(made: Made) -> None:
    text = ours("-top", "-nodefraction=0", "-alloc_space", made.program, made.heap).decode()
    assert "libheaptide" not in text and "slow_" not in text
    assert "slow_" in ours("-top", "-nodefraction=0", "-alloc_space", "-all_frames", made.program, made.heap).decode()


def test_known_totals(made: Made) -> None:
    known = {"-at=end": IN_USE, "-alloc_space": ALLOCATED, "-at=exit": IN_USE - KEPT, "-base=exit": KEPT}
    for flag, total in known.items():
        text = ours("-top", "-unit=bytes", flag, made.capture).decode()
        assert f"{total}B total" in text
    twice = ours("-top", "-unit=bytes", made.capture, made.capture).decode()
    assert f"{2 * IN_USE}B total" in twice
    halved = ours("-top", "-unit=bytes", "-divide_by=2", made.capture, made.capture).decode()
    assert f"{IN_USE}B total" in halved
    nothing = ours("-top", f"-base={made.capture}", made.capture).decode()
    assert "Showing nodes accounting for 0" in nothing
    mean = ours("-top", "-mean", "-unit=bytes", "-focus=plain", "-sample_index=alloc_space", made.capture).decode()
    assert re.search(r"^ +1000B .* plain$", mean, re.MULTILINE)


def test_the_lines_of_the_source(made: Made) -> None:
    lines = PROGRAM.splitlines()
    text = ours("-list=^(work|wrapped)$", "-unit=bytes", made.capture).decode()
    number = next(i for i, line in enumerate(lines, 1) if "wrapped(1000)" in line)
    assert re.search(rf"^ +\. +500000B +{number}:", text, re.MULTILINE)
    number = next(i for i, line in enumerate(lines, 1) if "wrapped(int n)" in line)
    assert re.search(rf"^ +\. +500000B +{number}:", text, re.MULTILINE)
    ours_own = heaptide("list", "^plain$", str(made.capture))
    number = next(i for i, line in enumerate(lines, 1) if "malloc(n)" in line)
    assert re.search(rf"^ +488 KiB +488 KiB +{number} +SITE void", ours_own, re.MULTILINE)


def test_source_that_was_moved(made: Made, tmp_path: Path) -> None:
    folder = made.program.parent
    (tmp_path / "src" / "deep").mkdir(parents=True)
    shutil.copy(folder / "prog.cpp", tmp_path / "src" / "prog.cpp")
    flags = ("-list=^plain$", f"-trim_path={folder}", f"-source_path={tmp_path / 'src' / 'deep'}")
    assert "malloc(n)" in ours(*flags, made.capture).decode(), "found above a search directory"
    text = ours("-list=^plain$", f"-trim_path={folder}", "-source_path=/nowhere", made.capture).decode()
    assert "Error: prog.cpp is not below /nowhere" in text


def test_values_stand_at_the_calls(made: Made, need: Callable[..., None]) -> None:
    need("objdump")
    text = ours("-disasm=^work$", "-unit=bytes", made.capture).decode()
    assert re.search(r"^ +\. +500000B +[0-9a-f]+: call .*<plain>", text, re.MULTILINE)
    intel = ours("-disasm=^plain$", "-intel_syntax", made.capture).decode()
    assert "rsp" in intel and "%rsp" not in intel


def test_the_page_of_source_and_code(made: Made, need: Callable[..., None]) -> None:
    need("objdump", "xmllint")
    page = ours("-weblist=^work$", made.capture)
    assert b"<details>" in page and b"&lt;plain&gt;" in page
    checked = subprocess.run(["xmllint", "--html", "--noout", "-"], input=page, capture_output=True, check=False)
    errors = [line for line in checked.stderr.decode().splitlines() if "error" in line and "invalid" not in line]
    assert not errors, errors


def test_callgrind_annotate_reads_ours(made: Made, need: Callable[..., None], tmp_path: Path) -> None:
    """pprof writes calls=0, since it does not know how many there were; callgrind_annotate (not kcachegrind) then takes
    the callee's cost for the caller's own. Everything else must be as it reads it."""
    need("callgrind_annotate")
    path = tmp_path / "callgrind.out.1"
    path.write_bytes(ours("-callgrind", "-unit=bytes", made.capture).replace(b"calls=0 ", b"calls=1 "))
    run = subprocess.run(
        ["callgrind_annotate", "--threshold=100", str(path)], capture_output=True, text=True, check=True
    )
    total = re.search(r"([\d,]+) (?:\(100.0%\) )? *PROGRAM TOTALS", run.stdout)
    assert total is not None and int(total[1].replace(",", "")) == IN_USE, run.stdout
    plain = re.search(r"([\d,]+) \([\d.]+%\) .*:plain", run.stdout)
    assert plain is not None and int(plain[1].replace(",", "")) == 500_000


def test_go_opens_what_we_write(made: Made, need: Callable[..., None], tmp_path: Path) -> None:
    need("go")
    text = subprocess.run(
        ["go", "tool", "pprof", "-top", "-unit=B", "-nodefraction=0", str(made.proto)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"of {IN_USE}B total" in text and re.search(r"500000B .* plain$", text, re.MULTILINE)
    assert gzip.decompress(made.proto.read_bytes())


def test_names_for_addresses(made: Made, need: Callable[..., None]) -> None:
    need("nm")
    listed = subprocess.run(["nm", str(made.program)], capture_output=True, text=True, check=True).stdout
    at = {
        name: int(line.split()[0], 16)
        for line in listed.splitlines()
        for name in ("plain", "work")
        if line.endswith(f" {name}")
    }
    base = 0x555555554000
    maps = f"{base:x}-{base + 0x10000:x} r-xp 00000000 08:01 1 {made.program}\n"
    asked = maps + "".join(f"{base + vaddr + 4:#x}\n" for vaddr in at.values()) + "0x10\n"
    run = subprocess.run(
        [sys.executable, "-m", "heaptide", "pprof", "--symbols", str(made.program)],
        input=asked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0 and run.stdout.splitlines() == [*at, "??"], run.stderr


def test_binaries_are_found_by_the_environment(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "binaries"
    folder.mkdir()
    shutil.copy(made.program, folder / "prog")
    gone = tmp_path / "gone.heap"
    gone.write_bytes(made.heap.read_bytes().replace(str(made.program).encode(), b"/nonexistent/prog"))
    assert " work" not in ours("-top", "-alloc_space", gone).decode()
    monkeypatch.setenv("PPROF_BINARY_PATH", str(folder))
    assert " work" in ours("-top", "-alloc_space", gone).decode()
    (folder / "prog").rename(tmp_path / "prog")
    assert " work" not in ours("-top", "-alloc_space", gone).decode()
    (tmp_path / "prog").rename(folder / "prog")
    monkeypatch.delenv("PPROF_BINARY_PATH")
    assert " work" in ours("-top", "-alloc_space", f"--lib_prefix={folder}", gone).decode()


def test_an_answer_into_a_file_and_to_a_viewer(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tmp_path / "top.txt"
    assert heaptide("pprof", "-top", f"-output={written}", str(made.capture)) == ""
    assert "plain" in written.read_text()
    viewer, seen = tmp_path / "viewer", tmp_path / "seen"
    viewer.write_text(f'#!/bin/sh\ncp "$1" {seen}.part && mv {seen}.part {seen}\n')
    viewer.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(viewer))
    run = subprocess.run(
        [sys.executable, "-m", "heaptide", "pprof", "-web", str(made.capture)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    name = re.search(r"wrote (\S+\.svg)", run.stderr)
    assert name is not None and Path(name[1]).read_bytes().startswith(b"<?xml")
    Path(name[1]).unlink()


def test_the_verbs_agree_with_pprof(made: Made) -> None:
    tree = heaptide("tree", str(made.capture))
    assert re.search(r"488 KiB +99\.\d % +488 KiB +99\.\d %  plain ", tree) and "<- wrapped" in tree
    assert "-> plain" in heaptide("peek", "^wrapped", str(made.capture))
    change = heaptide("top", str(made.capture), "--base", "exit")
    assert re.search(r"^ +0 B +488 KiB +\+488 KiB +100 % +new +\+488 KiB  plain ", change, re.MULTILINE), change
