# SPDX-License-Identifier: Apache-2.0
"""The jump of one night, as other tools see it: what each says of the same program, and how much slower it makes it.

    python -m bench.verdict_peers [--seed N] [--pairs 7] [--haste 300]

The program is grow-overnight-jump of tests/programs/shapes: hours of nothing, 15 MB at once, and an ordinary exit that
frees everything. heaptide sees it in driven time; costs are measured without a clock, at HASTE times the traffic, each
run beside a plain one (A B A B ...): the geometric mean of the ratios, and the least and largest of them.
"""

from __future__ import annotations

import argparse
import math
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import verdict_runs
from heaptide import build, launch
from heaptide.analysis.growth import judge

FAMILY = "grow-overnight-jump"


@dataclass(frozen=True)
class Tool:
    """A profiler, by the words in front of the program; `{folder}` is where it may write."""

    name: str
    words: tuple[str, ...]


TOOLS = (
    Tool("heaptide, sampled", (str(launch.recorder_path()), "-o", "{folder}/ours.tide", "--")),
    Tool("heaptide, exact", (str(launch.recorder_path()), "--exact", "-o", "{folder}/ours.tide", "--")),
    Tool("heaptrack", ("heaptrack", "-o", "{folder}/theirs")),
    Tool("valgrind", ("valgrind", "--leak-check=full")),
)


@dataclass(frozen=True)
class Cost:
    """Of one run, with all processes that it waited for."""

    wall_s: float
    cpu_s: float


def _cost(words: Sequence[str]) -> Cost:
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.monotonic() - began, cpu)


def _ratios(tool: Tool, program: Sequence[str], pairs: int) -> list[tuple[float, float]]:
    """Wall time and CPU time, over those of the plain run before it."""
    ratios = []
    for _ in range(pairs):
        with TemporaryDirectory(prefix="heaptide-peers-") as folder:
            plain = _cost(program)
            with_tool = _cost([*(word.replace("{folder}", folder) for word in tool.words), *program])
        ratios.append((with_tool.wall_s / plain.wall_s, with_tool.cpu_s / plain.cpu_s))
    return ratios


def _spread(values: Sequence[float]) -> str:
    mean = math.exp(math.fsum(map(math.log, values)) / len(values))
    return f"{mean:6.2f} x ({min(values):.2f} to {max(values):.2f})"


def costs(program: Path, seed: int, pairs: int, haste: float) -> None:
    """Print how much slower each makes the program."""
    words = [str(program), FAMILY, str(seed), "0", f"{haste:g}"]
    print(f"\n{'':20}{'wall time':28}user+sys     ({pairs} pairs)")
    for tool in TOOLS:
        if shutil.which(tool.words[0]) is None:
            print(f"{tool.name:20}not installed")
            continue
        ratios = _ratios(tool, words, pairs)
        print(f"{tool.name:20}{_spread([w for w, _ in ratios]):28}{_spread([c for _, c in ratios])}", flush=True)


# ---- What each says --------------------------------------------------------------------------------------------------


def ours(program: Path, seed: int, mode: verdict_runs.Mode) -> str:
    """The verdict on the true site, beside the truth."""
    case = verdict_runs.Case(FAMILY, seed, mode)
    with TemporaryDirectory(prefix="heaptide-peers-") as folder:
        captures, truth = verdict_runs.record(program, case, Path(folder))
        growth = judge(build.load(captures[0]))
    (step,) = truth.steps
    when = f"{step.t_s:.0f} s of {truth.duration_s:.0f} s (a snapshot each {truth.step_s:.0f} s)"
    said = [f"true: {step.function} at {when}"]
    for suspect in growth.acting:
        steps = ", ".join(f"{one.bytes / 1e6:.1f} MB at {one.t_s:.0f} s" for one in suspect.steps)
        told = suspect.judgement
        where = suspect.site.function if suspect.site else None
        said.append(f"told: {told.verdict} ({told.confidence:.3f}), {where}: {steps}")
    return "\n".join(said if len(said) > 1 else [*said, f"told: {growth.verdict}"])


def heaptrack(words: Sequence[str]) -> str:
    """Its lines about what is left at the end."""
    with TemporaryDirectory(prefix="heaptide-peers-") as folder:
        done = subprocess.run(["heaptrack", "-o", f"{folder}/theirs", *words], capture_output=True, text=True)
        data = next(Path(folder).glob("theirs.*"))
        shown = subprocess.run(["heaptrack_print", "-f", str(data)], capture_output=True, text=True).stdout
    lines = re.findall(r"^\s*(?:leaked allocations|total memory leaked).*$", done.stdout + shown, re.MULTILINE)
    return "\n".join(" ".join(line.split()) for line in lines)


def valgrind(words: Sequence[str]) -> str:
    """Its lines about what is left at the end."""
    done = subprocess.run(["valgrind", "--leak-check=full", *words], capture_output=True, text=True)
    telling = r"^==\d+== +((?:in use at exit|All heap blocks|definitely|possibly|still).*)$"
    return "\n".join(re.findall(telling, done.stderr, re.MULTILINE))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.verdict_peers", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seed", type=int, default=10000)
    parser.add_argument("--pairs", type=int, default=7, help="runs of each beside a plain one; 0: no costs")
    parser.add_argument("--haste", type=float, default=300.0)
    options = parser.parse_args(arguments)
    program = verdict_runs.build()
    words = [str(program), FAMILY, str(options.seed)]
    for mode in verdict_runs.MODES:
        print(f"heaptide growth, {mode}\n{ours(program, options.seed, mode)}\n")
    for name, say in (("heaptrack", heaptrack), ("valgrind", valgrind)):
        print(f"{name}\n{say(words) if shutil.which(name) else 'not installed'}\n")
    if options.pairs:
        costs(program, options.seed, options.pairs, options.haste)
    return 0


if __name__ == "__main__":
    sys.exit(main())
