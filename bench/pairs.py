# SPDX-License-Identifier: Apache-2.0
"""Added nanoseconds per malloc/free pair of the agent, against the same program without it, in turn in one run.

    python3 bench/pairs.py                  all rows, 5 rounds
    python3 bench/pairs.py --rounds 12 hot  one workload, more rounds

The workloads are `hot` (malloc and free in one loop: the price of interposition itself) and `churn` (random replacement
of live blocks under a deep stack) of the shared bench folder. Each round runs every form once; a row is the minimum
over the rounds and, in brackets, the median, since the machine is shared. `plain` is the program alone, `dormant` the
agent preloaded with nothing to do (pure forwarding), the others record into a capture on disk.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "src" / "heaptide" / "_native"
WORKLOADS = ROOT.parent / "shared" / "bench"
NS = re.compile(r"([0-9.]+) ns/")


@dataclass(frozen=True)
class Workload:
    """One program with its arguments; `name` is what the table calls it."""

    name: str
    program: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """One way to run a workload: a command in front of it and variables around it."""

    name: str
    prefix: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()


def workloads() -> list[Workload]:
    """hot, and churn at the depths, live counts, bursts and threads that the table asks for."""
    rows = [Workload("hot", "hot", ("20000000",))]
    for depth in (5, 20, 60):
        rows.append(Workload(f"churn 1 thread depth {depth}", "churn", ("1", "1000000", str(depth), "10000")))
    rows.append(Workload("churn 1 thread depth 20 burst 64", "churn", ("1", "1000000", "20", "10000", "64")))
    for depth in (5, 20, 60):
        rows.append(Workload(f"churn 2 threads depth {depth}", "churn", ("2", "500000", str(depth), "10000")))
    for depth in (5, 20, 60):
        rows.append(Workload(f"churn 1M live depth {depth}", "churn", ("1", "2000000", str(depth), "1000000")))
    return rows


def forms(folder: Path) -> list[Form]:
    """plain first: the others are compared with it."""
    record = (str(NATIVE / "heaptide-record"), "-o", str(folder / "{pid}.tide"))
    return [
        Form("plain"),
        Form("dormant", environment=(f"LD_PRELOAD={NATIVE / 'libheaptide.so'}",)),
        Form("sampled", prefix=(*record, "--sample", "512KiB", "--")),
        Form("exact", prefix=(*record, "--exact", "--")),
    ]


def build(folder: Path) -> None:
    """Compiles the two programs as their README says."""
    subprocess.run(["gcc", "-O2", "-g", str(WORKLOADS / "hot.c"), "-o", str(folder / "hot")], check=True)
    command = ["g++", "-O2", "-g", "-pthread", str(WORKLOADS / "churn.cpp"), "-o", str(folder / "churn")]
    subprocess.run(command, check=True)


def once(workload: Workload, form: Form, folder: Path) -> float:
    """One run; the nanoseconds per pair that the program itself measured."""
    command = ["env", *form.environment, *form.prefix, str(folder / workload.program), *workload.arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = NS.search(done.stdout)
    if not found:
        raise SystemExit(f"{workload.name} under {form.name} printed no figure: {done.stdout!r} {done.stderr!r}")
    for capture in folder.glob("*.tide"):
        capture.unlink(missing_ok=True)
    return float(found[1])


def table_row(workload: Workload, figures: dict[str, list[float]]) -> str:
    """plain, then what each form adds: minimum (median)."""
    plain = figures["plain"]
    cells = [f"{min(plain):8.1f} ({statistics.median(plain):.1f})"]
    for name, values in figures.items():
        if name != "plain":
            median = statistics.median(values) - statistics.median(plain)
            cells.append(f"{min(values) - min(plain):+8.1f} ({median:+.1f})")
    return f"| {workload.name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", help="workloads whose name contains one of these")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    chosen = [w for w in workloads() if not options.only or any(o in w.name for o in options.only)]
    with tempfile.TemporaryDirectory(prefix="heaptide-bench-") as name:
        folder = Path(name)
        build(folder)
        kinds = forms(folder)
        print("| ns per pair: minimum (median) | plain | " + " | ".join(f"+ {f.name}" for f in kinds[1:]) + " |")
        print("|---" * (len(kinds) + 1) + "|")
        for workload in chosen:
            figures: dict[str, list[float]] = {f.name: [] for f in kinds}
            for _ in range(options.rounds):
                for form in kinds:
                    figures[form.name].append(once(workload, form, folder))
            print(table_row(workload, figures))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
