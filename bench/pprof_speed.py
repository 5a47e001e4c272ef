# SPDX-License-Identifier: Apache-2.0
"""How long `heaptide pprof` takes on a large profile, and how much memory, beside `go tool pprof` on the same file.

    python -m bench.pprof_speed [--stacks 200000] [--depth 30] [--functions 20000] [--rounds 3]

The profile is written anew from a seed: every stack a random walk down a tree of calls, so that near the root stacks
share their frames as those of real programs do, each function on a few lines; values spread over six decades. Both
tools run in turn, from the start of the process to its end, output to a file. Time is the least of the rounds by the
wall clock and as processor time (user and system, all threads); memory is the peak of resident pages (ru_maxrss).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heaptide.formats import pprof
from heaptide.model.columns import Columns, Functions, Locations, Mapped, ValueType

QUESTIONS = ("top", "dot", "proto", "tree", "traces")
LINES_PER_FUNCTION = 3
WAYS = 4
"""Callees of a function on a stack's way down: stacks share their upper frames."""


@dataclass(frozen=True)
class Cost:
    """Of one run: seconds by the clock, processor seconds, peak bytes."""

    wall: float
    cpu: float
    peak: int


def a_profile(stacks: int, depth: int, functions: int, seed: int) -> Columns:
    """A heap profile with four value types."""
    random = np.random.default_rng(seed)
    places = functions * LINES_PER_FUNCTION
    stack = np.zeros((stacks, depth), np.int64)  # root first
    for level in range(1, depth):
        way = random.integers(0, WAYS, stacks)
        mixed = stack[:, level - 1] * 2654435761 + way * 40503 + level * 97
        stack[:, level] = (mixed ^ (mixed >> 15)) % places
    sizes = np.exp(random.uniform(np.log(16), np.log(1e6), stacks)).astype(np.int64)
    counts = random.integers(1, 1000, stacks)
    lines = np.arange(places)
    zeros = np.zeros(places, np.int64)
    return Columns(
        sample_types=tuple(
            ValueType(name, unit)
            for name, unit in zip(
                ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space"), ("count", "bytes") * 2, strict=True
            )
        ),
        values=np.stack([counts * 2, counts * 2 * sizes, counts, counts * sizes]),
        stack_start=np.arange(stacks + 1) * depth,
        stack=stack[:, ::-1].ravel().astype(np.int32),
        locations=Locations(
            address=(0x400000 + 16 * lines).astype(np.uint64),
            mapping=np.zeros(places, np.int32),
            folded=zeros.astype(bool),
            line_start=np.arange(places + 1),
            function=(lines // LINES_PER_FUNCTION).astype(np.int32),
            line=10 + lines % 97,
            column=zeros,
        ),
        functions=Functions(
            names := [f"namespace{i % 37}::Class{i % 411}::method_{i}" for i in range(functions)],
            names,
            [f"/build/src/part{i % 211}.cpp" for i in range(functions)],
            np.zeros(functions, np.int64),
        ),
        mappings=(Mapped(0x400000, 0x400000 + 16 * places + 4096, 0, "/usr/bin/large", "", True, True, True, False),),
        period_type=ValueType("space", "bytes"),
        period=1,
    )


def run(arguments: Sequence[str], output: Path) -> Cost:
    """Runs a command with its output in a file. Raises RuntimeError when it fails."""
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os.execvp(arguments[0], list(arguments))
        finally:
            os._exit(127)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - began
    if status:
        raise RuntimeError(f"{' '.join(arguments)} ended with status {os.waitstatus_to_exitcode(status)}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def go_tool() -> str | None:
    """Go's own pprof as a program: `go tool` only starts it, and its cost would be counted in."""
    found = shutil.which("pprof")
    tools = sorted(Path("/usr/lib").glob("go-*/pkg/tool/*/pprof"))
    return found or (str(tools[-1]) if tools else None)


def best(costs: Sequence[Cost]) -> Cost:
    """The least of each."""
    return Cost(min(c.wall for c in costs), min(c.cpu for c in costs), min(c.peak for c in costs))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("stacks", 200_000), ("depth", 30), ("functions", 20_000), ("rounds", 3), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", nargs="*", default=QUESTIONS, help="of: %(default)s")
    options = parser.parse_args(arguments)
    go = go_tool()
    with tempfile.TemporaryDirectory(prefix="heaptide-bench-") as name:
        profile = Path(name) / "large.pb.gz"
        profile.write_bytes(pprof.dump(a_profile(options.stacks, options.depth, options.functions, options.seed)))
        print(
            f"{options.stacks} stacks of depth {options.depth}, {options.functions} functions, {options.rounds} rounds;"
        )
        print(f"{profile.stat().st_size / 2**20:.1f} MiB; {go or 'Go is not installed'}")
        print(f"{'':<10} {'heaptide':>26} {'go':>26}   ratio")
        print(f"{'':<10} {'s':>8} {'cpu s':>8} {'MiB':>8} {'s':>8} {'cpu s':>8} {'MiB':>8}   {'s':>5} {'MiB':>5}")
        for question in options.only:
            ours, theirs = [], []
            for _ in range(options.rounds):
                flags = [f"-{question}", "-symbolize=none", str(profile)]
                ours.append(run([sys.executable, "-m", "heaptide", "pprof", *flags], Path(name) / "ours"))
                if go:
                    theirs.append(run([go, *flags], Path(name) / "theirs"))
            print(line(f"-{question}", best(ours), best(theirs) if theirs else None), flush=True)


def line(question: str, ours: Cost, theirs: Cost | None) -> str:
    """One row of the table."""
    cells = [f"{c.wall:8.2f} {c.cpu:8.2f} {c.peak / 2**20:8.0f}" for c in (ours, theirs) if c]
    ratio = f"   {ours.wall / theirs.wall:5.2f} {ours.peak / theirs.peak:5.2f}" if theirs else ""
    return f"{question:<10} {' '.join(cells)}{ratio}"


if __name__ == "__main__":
    main()
