# SPDX-License-Identifier: Apache-2.0
"""The same runs counted by Debian's libtcmalloc (HEAPPROFILE) and by us: every stack's four numbers, side by side.

    python -m bench.against_tcmalloc [xmllint | sqlite3 | jq]... [--scale 3]

Per program: stacks compared at the exit dump, those that differ (each is printed), the totals, and how long the program
took by itself, under tcmalloc's profiler and under ours. What may differ, and why: docs/design/0002-truth.md.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TCMALLOC = Path("/usr/lib/x86_64-linux-gnu/libtcmalloc.so.4")
AGENT = ROOT / "src" / "heaptide" / "_native" / "libheaptide.so"
TCMALLOC_DEPTH = 32
"""Frames that a tcmalloc of 2.10 keeps of a stack, leaf first."""

Place = tuple[str, int]
"""A module's file, links resolved, and the offset in it of the call (the return address less one)."""
Stacks = dict[tuple[Place, ...], tuple[int, int, int, int]]
"""In-use objects and bytes, objects and bytes ever allocated."""


@dataclass(frozen=True)
class Workload:
    """A program of the distribution on an input that is the same in every run."""

    name: str
    command: tuple[str, ...]
    stdin: bytes = b""


def xmllint(folder: Path, scale: int) -> Workload:
    """Parses a document. (No --xpath: libxml2 salts those hash tables by the clock, and collisions allocate.)"""
    draw = random.Random(1)
    lines = [
        f'<item id="{i}" kind="k{draw.randrange(50)}"><name>{draw.random()}</name><!-- {"x" * draw.randrange(400)} -->'
        for i in range(1000 * scale)
    ]
    items = "</item>\n".join([*lines, ""])
    (folder / "in.xml").write_text(f"<root>\n{items}</root>\n")
    return Workload("xmllint", ("xmllint", "--noout", str(folder / "in.xml")))


SQL = """CREATE TABLE t(i, b, c);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
    INSERT INTO t SELECT i, printf('%x', i * 2654435761 % 4294967296), 'text' || i FROM n;
CREATE INDEX x ON t(b);
SELECT count(*), sum(length(b)) FROM t;
SELECT sum(a.i) FROM t a JOIN t d ON a.b = d.b ORDER BY 1;
SELECT length(group_concat(c)) FROM (SELECT c FROM t ORDER BY b);"""


def sqlite3(folder: Path, scale: int) -> Workload:
    """A table, an index, a join and a sort in memory: much realloc."""
    return Workload("sqlite3", ("sqlite3", ":memory:", SQL.format(rows=1000 * scale)))


def jq(folder: Path, scale: int) -> Workload:
    """Debian's jq 1.6 with the leak of ltrimstr: much is in use at its end."""
    numbers = "".join(f"{i}\n" for i in range(1000 * scale))
    return Workload("jq", ("jq", '. | ltrimstr("abc")'), numbers.encode())


WORKLOADS = {"xmllint": xmllint, "sqlite3": sqlite3, "jq": jq}


def dumps(workload: Workload, library: Path, prefix: Path, inuse_interval: int = 0) -> list[Path]:
    """Run the workload under a profiler's HEAPPROFILE; the files that it wrote, the exit's last."""
    env = {**os.environ, "LD_PRELOAD": str(library), "HEAPPROFILE": str(prefix)}
    env["HEAP_PROFILE_INUSE_INTERVAL"] = str(inuse_interval)
    subprocess.run(workload.command, input=workload.stdin, env=env, capture_output=True, check=True, timeout=300)
    return sorted(prefix.parent.glob(f"{prefix.name}.*.heap"))


class Maps:
    """Where the addresses of a .heap file lie: from its MAPPED_LIBRARIES."""

    _LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ +\d+ *(.*)")

    def __init__(self, text: str) -> None:
        found = (self._LINE.match(line) for line in text.splitlines())
        self._ranges = sorted((int(m[1], 16), int(m[2], 16), int(m[3], 16), m[4]) for m in found if m)
        self._starts = [start for start, *_ in self._ranges]

    def place(self, address: int) -> Place:
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._ranges[index][1]:
            return "", address
        start, _, offset, name = self._ranges[index]
        return os.path.realpath(name) if name.startswith("/") else name, address - start + offset


_RECORD = re.compile(r"\s*(\d+): +(\d+) \[ *(\d+): +(\d+)\] @(.*)")


def read(path: Path, depth: int = TCMALLOC_DEPTH) -> tuple[Stacks, Maps]:
    """A .heap file's stacks by places, which do not depend on where modules lay; cut to the depth that both keep.

    Not read by our own reader: this is the second opinion.
    """
    body, _, mapped = path.read_text().partition("MAPPED_LIBRARIES:\n")
    maps = Maps(mapped)
    sums: dict[tuple[Place, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for line in body.splitlines()[1:]:
        if match := _RECORD.fullmatch(line):
            key = tuple(maps.place(int(text, 16) - 1) for text in match[5].split()[:depth])
            for column in range(4):
                sums[key][column] += int(match[column + 1])
    return {key: (row[0], row[1], row[2], row[3]) for key, row in sums.items()}, maps


def differences(ours: Stacks, theirs: Stacks) -> list[str]:
    """One line for each stack whose numbers are not the same."""
    nothing = (0, 0, 0, 0)
    return [
        f"ours {ours.get(key, nothing)} theirs {theirs.get(key, nothing)} at "
        + " < ".join(f"{Path(name).name}+{offset:#x}" for name, offset in key)
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key, nothing) != theirs.get(key, nothing)
    ]


def pprof_flat(program: str, heap: Path, value: str) -> dict[Place, int]:
    """Flat bytes by address of `google-pprof --text --addresses`, places instead of addresses."""
    command = ["google-pprof", "--text", "--addresses", "--show_bytes", f"--{value}", program, str(heap)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    maps = read(heap)[1]
    rows = re.findall(r"^ +(\d+) +\S+ +\S+ +\d+ +\S+ ([0-9a-f]{8,}) ", done.stdout, re.MULTILINE)
    flat: dict[Place, int] = defaultdict(int)
    for size, address in rows:
        if int(size):
            flat[maps.place(int(address, 16) - 1)] += int(size)
    return dict(flat)


def pprof_functions(program: str, heap: Path, value: str) -> dict[str, tuple[int, int]]:
    """Flat and cumulative bytes by function of `google-pprof --text`."""
    command = ["google-pprof", "--text", "--show_bytes", f"--{value}", program, str(heap)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    rows = re.findall(r"^ +(\d+) +\S+ +\S+ +(\d+) +\S+ (\S.*)$", done.stdout, re.MULTILINE)
    return {name: (int(flat), int(cum)) for flat, cum, name in rows}


def _seconds(workload: Workload, env: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(workload.command, input=workload.stdin, env={**os.environ, **env}, capture_output=True, check=True)
    return time.perf_counter() - began


def _report(workload: Workload, folder: Path) -> int:
    paths = {
        "tcmalloc": (TCMALLOC, folder / f"{workload.name}-theirs"),
        "heaptide": (AGENT, folder / f"{workload.name}-ours"),
    }
    seconds = [f"alone {_seconds(workload, {}):.2f} s"]
    stacks: dict[str, Stacks] = {}
    for who, (library, prefix) in paths.items():
        began = time.perf_counter()
        stacks[who] = read(dumps(workload, library, prefix)[-1])[0]
        seconds.append(f"{who} {time.perf_counter() - began:.2f} s")
    found = differences(stacks["heaptide"], stacks["tcmalloc"])
    columns = zip(*stacks["heaptide"].values(), strict=True)
    in_use, allocated = [sum(column) for column in columns][1::2]
    totals = f"in use {in_use} B, allocated {allocated} B"
    print(f"{workload.name}: {len(stacks['tcmalloc'])} stacks, {len(found)} differ; {totals}")
    print("    " + ", ".join(seconds), *found, sep="\n    ", flush=True)
    return len(found)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help=f"of {', '.join(WORKLOADS)} (all)")
    parser.add_argument("--scale", type=int, default=3, help="thousands of items in the input")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = options.programs or list(WORKLOADS)
        return 1 if sum(_report(WORKLOADS[program](folder, options.scale), folder) for program in chosen) else 0


if __name__ == "__main__":
    sys.exit(main())
