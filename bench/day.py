# SPDX-License-Identifier: Apache-2.0
"""24 hours' worth of allocations in one process: is memory flat, is nothing lost, are the totals equal to the byte?

    python -m bench.day                 864 million allocations: plain, sampled, exact (10 minutes)
    python -m bench.day exact --pairs 100000

A day of a server that allocates 10,000 times a second (`--rate`) is 864,000,000 allocations; they are made as fast as
they can be. 864 rounds stand for 100 seconds each. In each of them two threads come, allocate, free each other's blocks
and go, five call paths are new, and a library is opened, allocates, and is closed (workloads/day.c). The exit status is
1 if exact mode's totals differ from the program's own, if anything was lost, or if memory was not flat.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import heaptide
from bench.running import WORKLOADS
from heaptide import capture, launch
from heaptide.capture import format as layout
from heaptide.capture.records import AgentRecord
from heaptide.model import Profile, Series

MODES: dict[str, tuple[str, ...] | None] = {"plain": None, "sampled": ("--sample=512KiB",), "exact": ("--exact",)}
"""Options of the recorder; None: without one."""
ROUNDS, WORKERS, NEW_STACKS = 864, 2, 5
SECONDS = 86_400
COLUMNS = ("alloc_bytes", "alloc_objects", "free_bytes", "free_objects")
PATIENCE_S = 60
BEGUN = 25
"""The hundredth by which every block, thread and table has been used: from there on memory has to be flat."""
FLAT_BYTES = 2 << 20
"""How much more than without us the process may grow from there to the end, beside what new stacks take."""
BYTES_PER_STACK = 1500
"""At most, in exact mode: counters in four buffers of three lanes (384 bytes and what a run of them leaves unused), the
entry of the table, and its place in the log."""


@dataclass(frozen=True)
class Day:
    """One run, as the program itself tells it."""

    mode: str
    wall_s: float
    rss_kib: np.ndarray
    """int64[100]: resident memory after each hundredth."""
    truth: dict[str, tuple[int, int, int, int]]
    """Function -> COLUMNS."""
    path: Path | None
    """The capture."""

    @property
    def allocations(self) -> int:
        return sum(counts[1] for counts in self.truth.values())

    @property
    def growth_bytes(self) -> int:
        """Of resident memory, from BEGUN to the end."""
        return int(self.rss_kib[-1] - self.rss_kib[BEGUN]) << 10


def build(folder: Path) -> list[str]:
    """Compile the program and its two libraries; the words that run it but for its numbers."""
    compile_c = ["gcc", "-O2", "-g", "-pthread"]
    subprocess.run([*compile_c, str(WORKLOADS / "day.c"), "-o", str(folder / "day")], check=True)
    libraries = []
    for name in ("alpha", "beta"):
        libraries.append(str(folder / f"lib{name}.so"))
        shared = ["-shared", "-fPIC", f"-DNAME=day_{name}", str(WORKLOADS / "day_library.c")]
        subprocess.run([*compile_c, *shared, "-o", libraries[-1]], check=True)
    return [str(folder / "day"), *libraries]


def run(built: Sequence[str], mode: str, rounds: int, pairs: int, folder: Path) -> Day:
    """One day to its end, its capture finished."""
    command = [built[0], *map(str, (rounds, pairs, WORKERS, NEW_STACKS)), *built[1:]]
    options, path = MODES[mode], folder / f"{mode}.tide"
    if options is not None:
        command = [str(launch.recorder_path()), *options, "-o", str(path), "--", *command]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wall_s = time.monotonic() - began
    lines = [line.split() for line in done.stdout.splitlines()]
    truth = {name: (int(a), int(b), int(c), int(d)) for name, a, b, c, d in lines[1:]}
    if options is not None:
        _await_end(path)
    rss = np.array(lines[0][1:], dtype=np.int64)
    return Day(mode, wall_s, rss, truth, path if options is not None else None)


def _await_end(path: Path) -> None:
    """The recorder outlives the program a little."""
    deadline = time.monotonic() + PATIENCE_S
    while not (path.exists() and capture.read(path.read_bytes(), live=True).complete):
        if time.monotonic() > deadline:
            raise SystemExit(f"day: no whole capture {path} after {PATIENCE_S} s")
        time.sleep(0.05)


# ---- What the capture says -------------------------------------------------------------------------------------------


def _by_function(profile: Profile, functions: Sequence[str]) -> dict[str, tuple[int, int, int, int]]:
    """COLUMNS of the stacks below each function."""
    sums = {name: np.zeros(4) for name in functions}
    names = ("alloc_space", "alloc_objects", "inuse_space", "inuse_objects")
    columns = np.array([profile.column(name) for name in names], dtype=np.float64)
    for row in range(len(profile)):
        for name in sums.keys() & {frame.function for frame in profile.frames_of(row)}:
            sums[name] += columns[:, row]
    return {
        name: (round(s[0]), round(s[1]), round(s[0]) - round(s[2]), round(s[1]) - round(s[3]))
        for name, s in sums.items()
    }


def differences(day: Day, series: Series) -> dict[str, tuple[int, int, int, int]]:
    """What the capture says of each function, less what the program says. COLUMNS."""
    seen = _by_function(series.at(series.snapshots[-1]), list(day.truth))
    return {name: tuple(a - b for a, b in zip(seen[name], day.truth[name], strict=True)) for name in day.truth}  # type: ignore[misc]


@dataclass(frozen=True)
class Upkeep:
    """What the agent used, as the capture has it: AGENT records, in their order."""

    memory: np.ndarray
    """int64[record]: bytes, all kinds together (map and tables as reserved)."""
    stacks: int
    losses: dict[str, int]
    """Kind -> events, those that happened."""


def upkeep(path: Path) -> Upkeep:
    """Of a capture."""
    records = [r for r in capture.read(path.read_bytes()).records if isinstance(r, AgentRecord)]
    last = records[-1]
    losses = {name: count for name, count in zip(layout.LOSSES, last.losses, strict=False) if count}
    return Upkeep(np.array([sum(r.memory) for r in records]), last.stacks, losses)


BENIGN = ("unknown_free", "unknown_free_bytes", "depth", "unwind_guess")
"""Kinds that take nothing away from the program's account: blocks from before the agent, and notes on stacks."""


def lost(spent: Upkeep) -> dict[str, int]:
    """What was lost that numbers are made of."""
    return {kind: count for kind, count in spent.losses.items() if kind not in BENIGN}


def verdict(day: Day, plain: Day, spent: Upkeep, differ: dict[str, tuple[int, int, int, int]]) -> list[str]:
    """What is wrong with a recorded day; nothing: all is as it should be."""
    wrong = []
    if day.mode == "exact" and any(map(any, differ.values())):
        wrong.append(f"totals differ by {differ}")
    if lost(spent):
        wrong.append(f"lost: {lost(spent)}")
    new_stacks = spent.stacks * (100 - BEGUN) // 100
    allowed = FLAT_BYTES + (new_stacks * BYTES_PER_STACK if day.mode == "exact" else 0)
    if day.growth_bytes - plain.growth_bytes > allowed:
        wrong.append(f"grew by {day.growth_bytes} bytes, {plain.growth_bytes} without us; {allowed} more are allowed")
    return wrong


# ---- Printing --------------------------------------------------------------------------------------------------------


def show(day: Day) -> None:
    """A run: how fast, and its memory on the way."""
    marks = (0, 9, 24, 49, 74, 99)
    rss = ", ".join(f"{day.rss_kib[m] / 1024:.2f} MiB at {m + 1} %" for m in marks)
    print(f"{day.mode}: {day.allocations:,} allocations in {day.wall_s:.0f} s; resident {rss}", flush=True)


def show_recording(day: Day, spent: Upkeep, differ: dict[str, tuple[int, int, int, int]], series: Series) -> None:
    """The same with a capture: against the program's account."""
    assert day.path is not None
    size = day.path.stat().st_size
    print(f"  {spent.stacks:,} stacks, capture {size:,} bytes, {len(series.snapshots)} snapshots, lost {spent.losses}")
    print(f"  the agent's own memory as it counts it: {spent.memory[0]:,} bytes first, {spent.memory[-1]:,} last")
    for name, those in differ.items():
        values = ", ".join(
            f"{column} {true:,} {off:+,}" for column, true, off in zip(COLUMNS, day.truth[name], those, strict=True)
        )
        print(f"  {name}: {values}")
    if day.mode == "sampled":
        error = series.at(series.snapshots[-1]).error("alloc_space")
        print(f"  error bar of alloc_space, 95 %: +/- {error:,.0f} bytes")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.day", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("modes", nargs="*", choices=[[], *MODES], metavar="MODE", help=f"of {', '.join(MODES)}")
    parser.add_argument("--rate", type=int, default=10_000, help="allocations a second that the day stands for")
    parser.add_argument("--pairs", type=int, help="allocations in each round, in place of what the rate gives")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 when something is wrong."""
    options = parse(arguments)
    pairs = options.pairs or options.rate * SECONDS // ROUNDS
    failed = False
    with tempfile.TemporaryDirectory(prefix="heaptide-day-") as name:
        folder = Path(name)
        built = build(folder)
        plain = run(built, "plain", ROUNDS, pairs, folder)
        show(plain)
        for mode in options.modes or ("sampled", "exact"):
            if mode == "plain":
                continue
            day = run(built, mode, ROUNDS, pairs, folder)
            show(day)
            assert day.path is not None
            series, spent = heaptide.open(day.path), upkeep(day.path)
            differ = differences(day, series)
            show_recording(day, spent, differ, series)
            wrong = verdict(day, plain, spent, differ)
            print("  " + ("; ".join(wrong) if wrong else "nothing lost, memory flat"), flush=True)
            failed |= bool(wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
