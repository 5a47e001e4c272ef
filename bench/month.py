# SPDX-License-Identifier: Apache-2.0
"""A month of a program with 50,000 stacks, through the real recorder with its clock driven (design page 0004).

    python -m bench.month                        a month, a snapshot each minute: size, cost, time to open
    python -m bench.month --motion all --days 1  every stack moves between any two snapshots
    python -m bench.month --kills 100            the recorder killed at 100 random points of rewriting
    python -m bench.month --verdicts             the same verdicts as from the full record

The books are written by workloads/month.c. The recorder's CPU is its own, whatever else the machine does; it is given
for each snapshot, and as a part of a core at one snapshot each 10 s.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from bench.injected import Injected
from bench.month_verdicts import compare_verdicts
from heaptide import build as captures
from heaptide.capture import read
from heaptide.capture.records import SnapshotRecord

ROOT = Path(__file__).resolve().parent.parent
MIB = 1 << 20

OPENING = """
import json, resource, sys, time
import numpy as np
from heaptide import build
cpu, wall = time.process_time(), time.perf_counter()
series = build.load(sys.argv[1])
opened = time.process_time() - cpu, time.perf_counter() - wall
ids = np.arange(int(sys.argv[2])) + 16
group = np.arange(len(ids)) % 500
past = series.histories(ids, group, 500, np.arange(len(series.snapshots)))
most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"cpu_s": opened[0], "wall_s": opened[1], "with_cpu_s": time.process_time() - cpu, "rss_kib": most}))
"""


@dataclass
class Watched:
    """What was seen of a recording from outside, while it was made."""

    most_bytes: int = 0
    files: set[int] = field(default_factory=set)
    """Inodes that had the capture's name."""
    recorder_kib: int = 0
    """The most that the recorder had resident."""


def build_program(folder: Path) -> Path:
    """The program that keeps the books."""
    program = folder / "month"
    sources = [ROOT / "bench" / "workloads" / "month.c", ROOT / "native" / "sys.c"]
    words = ["cc", "-O2", "-g", "-pthread", f"-I{ROOT / 'native'}", *map(str, sources), "-lm", "-ldl"]
    subprocess.run([*words, "-o", str(program)], check=True)
    return program


def watch(folder: Path, pid: int, seen: Watched, over: threading.Event) -> None:
    """Looks at the file and at the recorder a hundred times a second."""
    while not over.wait(0.01):
        for path in folder.glob("*.tide"):
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            seen.most_bytes = max(seen.most_bytes, found.st_size)
            seen.files.add(found.st_ino)
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        seen.recorder_kib = max([seen.recorder_kib, *(int(x.split()[1]) for x in status.splitlines() if "VmHWM" in x)])


def record(folder: Path, program: Path, words: Sequence[str], options: Sequence[str]) -> tuple[Path, dict, Watched]:
    """One run to its end: the capture, its summary, and what was seen meanwhile."""
    seen, over = Watched(), threading.Event()
    with Injected(folder, *options) as recorder:
        looking = threading.Thread(target=watch, args=(folder, recorder.recorder_pid, seen, over))
        looking.start()
        try:
            running = recorder.start([str(program), *words], env={"LD_PRELOAD": ""})
            running.wait()
            summaries, _ = recorder.finish()
        finally:
            over.set()
            looking.join()
    (summary,) = summaries
    return Path(summary["path"]), summary, seen


def months_words(options: argparse.Namespace) -> list[str]:
    """Arguments of month.c."""
    words = (options.stacks, options.days, options.tick, options.motion, options.mode)
    return [str(word) for word in words]


def print_run(options: argparse.Namespace, path: Path, summary: dict, seen: Watched) -> None:
    """What the recording took."""
    recording = read(path.read_bytes())
    kept = [record for record in recording.records if isinstance(record, SnapshotRecord)]
    partial = sum(record.flags & 8 != 0 for record in kept)
    rows = sum(len(record.ids) for record in kept)
    ms = summary["recorder_cpu_ns"] / 1e6 / summary["snapshots"]
    print(
        f"{options.stacks:,} stacks, {options.days:g} days, a snapshot each {options.tick:g} s, {options.mode}, "
        f"motion {options.motion}, budget {options.budget}"
    )
    print(f"  snapshots taken {summary['snapshots']:,}, kept {len(kept)} ({partial} partial), {rows:,} rows")
    print(
        f"  file {summary['file_bytes'] / MIB:.1f} MiB at the end, {seen.most_bytes / MIB:.1f} at most, "
        f"written anew {len(seen.files) - 1} times or more"
    )
    print(
        f"  recorder {ms:.2f} ms of CPU for a snapshot, {ms / 100:.3f} % of a core at one each 10 s, "
        f"{seen.recorder_kib / 1024:.1f} MiB resident at most; {summary['failed_writes']} writes failed"
    )
    print(f"  damage {len(recording.damage)}, complete {recording.complete}")


def print_opening(path: Path, stacks: int) -> None:
    """Time and memory that it takes to open it, in a process of its own."""
    words = [sys.executable, "-c", OPENING, str(path), str(stacks)]
    best = min(
        (json.loads(subprocess.run(words, check=True, capture_output=True).stdout) for _ in range(3)),
        key=lambda found: found["cpu_s"],
    )
    print(
        f"  opens in {best['cpu_s']:.2f} s of CPU ({best['wall_s']:.2f} s by the clock), with 500 histories of all "
        f"snapshots {best['with_cpu_s']:.2f} s, {best['rss_kib'] / 1024:.0f} MiB"
    )


# ---- Killed ----------------------------------------------------------------------------------------------------------


def build_killer(folder: Path) -> Path:
    """native/tests/kill_at.c, to be preloaded into the recorder."""
    library = folder / "kill_at.so"
    source = ROOT / "native" / "tests" / "kill_at.c"
    subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(library), "-ldl"], check=True)
    return library


KILLED_BUDGET, KILLED_TICKS = "16MiB", 60
"""All stacks in motion: rewritten once or twice in so many ticks."""


NOT_REACHED = "this rewriting had fewer calls"


def one_kill(folder: Path, program: Path, options: argparse.Namespace, environment: dict[str, str]) -> str:
    """Records until the recorder is killed; what is wrong with what it left, or nothing."""
    before = folder / "before"
    with Injected(
        folder,
        f"--budget={options.budget}",
        f"--every={options.tick}s",
        env={**environment, "KILL_BEFORE": str(before)},
    ) as recorder:
        running = recorder.start([str(program), *months_words(options)], env={"LD_PRELOAD": ""})
        running.wait()
    if not before.exists():
        return "it was never rewritten"
    (path,) = folder.glob("*.tide")
    was, now = captures.load(before), captures.load(path)
    if now.complete:
        return NOT_REACHED
    problems = [text for text in now.warnings if "cut short" not in text]
    if now.damaged or problems:
        return f"damage: {problems}"
    last, end = was.snapshots[-1], now.snapshots[-1]
    same = (last.number, last.in_use_bytes, last.allocated_bytes) == (end.number, end.in_use_bytes, end.allocated_bytes)
    return "" if same else f"it ends with #{end.number} and not #{last.number}"


def kills(options: argparse.Namespace, folder: Path, program: Path) -> None:
    """Kills at points drawn evenly from all calls of the first rewriting."""
    killer, count = build_killer(folder), folder / "count"
    rng = random.Random(4)
    environment = {"LD_PRELOAD": str(killer), "KILL_COUNT": str(count)}
    place = folder / "counting"
    place.mkdir()
    one_kill(place, program, options, environment)
    calls = int(count.read_text())
    print(f"one rewriting makes {calls} calls", flush=True)
    wrong, killed, tried = [], 0, 0
    while killed < options.kills:
        tried += 1
        place = folder / f"kill{tried}"
        place.mkdir()
        at, after = rng.randrange(1, calls + 1), rng.randrange(2)
        problem = one_kill(place, program, options, {**environment, "KILL_AT": str(at), "KILL_AFTER": str(after)})
        killed += problem != NOT_REACHED
        if problem not in ("", NOT_REACHED):
            wrong.append(f"call {at}, {'after' if after else 'before'} it: {problem}")
        for path in place.iterdir():
            path.unlink()
    print(f"killed {killed} times at random calls: {len(wrong)} wrong")
    print("\n".join(wrong), end="\n" if wrong else "")


# ---- The command -----------------------------------------------------------------------------------------------------


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.month", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--stacks", type=int, default=50_000)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--tick", type=float, default=60, metavar="SECONDS", help="between two snapshots (60)")
    parser.add_argument("--motion", choices=("some", "all"), default="some")
    parser.add_argument("--mode", choices=("exact", "sampled"), default="exact")
    parser.add_argument("--budget", default="64MiB")
    parser.add_argument("--kills", type=int, metavar="N")
    parser.add_argument("--verdicts", action="store_true")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="the capture goes here")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parse(arguments)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="heaptide-month-") as name:
        folder = Path(name)
        program = build_program(folder)
        if options.kills:
            options.budget, options.motion = KILLED_BUDGET, "all"
            options.days = KILLED_TICKS * options.tick / 86400
            kills(options, folder, program)
        elif options.verdicts:
            compare_verdicts(options, folder, program, record, months_words(options))
        else:
            path, summary, seen = record(
                folder, program, months_words(options), [f"--budget={options.budget}", f"--every={options.tick}s"]
            )
            print_run(options, path, summary, seen)
            print_opening(path, options.stacks)
            if options.keep:
                path.rename(options.keep)
    click.echo(f"{time.monotonic() - begun:.0f} s, load {os.getloadavg()[0]:.1f}", err=True)


if __name__ == "__main__":
    main()
