# SPDX-License-Identifier: Apache-2.0
"""The error bar of sampled totals: how often the 95 % interval covers the truth, and how wide it is.

    python -m bench.error_bars [--seeds 2400] [--sample 64KiB | --adaptive]

A small program with known totals (blocks of 16 B to 64 KiB, a part of them freed) is recorded once for each seed. For
each capture three things are taken at the moment `exit`: the estimate, the half-width of its 95 % interval, and the
Poisson half-width 1.96 sqrt(sum of w^2) over the samples counted, where a sample of weight w stands for w bytes.

The capture holds no w, but each call site of the program asks for blocks of one size: with a fixed interval all samples
of a stack weigh the same, w = bytes / samples, and the sum of squares is bytes^2 / samples, exactly. In adaptive mode
weights differ within a stack, and bytes^2 / samples is less than the sum of their squares (Cauchy and Schwarz): the
comparison is stricter than it need be.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import heaptide
from heaptide import capture
from heaptide.model.profile import Z95, Profile

ROOT = Path(__file__).resolve().parent.parent
NATIVE = ROOT / "src" / "heaptide" / "_native"
VALUES = ("inuse_space", "alloc_space")

SEEDS = 2400
"""Enough to tell 95 % from 93 %: the coverage of 400 seeds has a standard error of 1.1 %, of these 0.4 %."""

# (bytes of a block, blocks kept, blocks freed): about 130 samples live at 64 KiB, each size with its share of them.
SIZES = (
    (16, 20000, 40000),
    (100, 10000, 5000),
    (1000, 2000, 4000),
    (4096, 500, 500),
    (16384, 100, 300),
    (65536, 40, 20),
)
TRUTH = {
    "inuse_space": sum(size * kept for size, kept, _ in SIZES),
    "alloc_space": sum(size * (kept + freed) for size, kept, freed in SIZES),
}

# Sizes take turns, so that an interval that grows on the way meets all of them; a block to be freed lives for a while.
PROGRAM = """
#include <stdlib.h>
enum { LIVES = 64 };
static void *waiting[LIVES];
static unsigned turn;
static void frees_later(void *block) {
    free(waiting[turn %% LIVES]);
    waiting[turn++ %% LIVES] = block;
}
static void keeps(void *block) { __asm__ volatile("" : : "r"(block) : "memory"); }
%s
int main(void) {
    for (unsigned round = 0; round < 1000; round++) {
%s
    }
    for (int i = 0; i < LIVES; i++) free(waiting[i]);
    return 0;
}
"""
SITE = """__attribute__((noinline)) static void site_%d(unsigned round, unsigned kept, unsigned freed) {
    for (unsigned i = round * kept / 1000; i < (round + 1) * kept / 1000; i++) keeps(malloc(%d));
    for (unsigned i = round * freed / 1000; i < (round + 1) * freed / 1000; i++) frees_later(malloc(%d));
}
"""


@dataclass(frozen=True)
class Estimate:
    """One capture's answer for one total, bytes."""

    value: float
    half_width: float
    poisson_half_width: float
    samples: int


@dataclass(frozen=True)
class Summary:
    """What all seeds said of one total."""

    truth: int
    seeds: int
    covered: int
    mean_value: float
    standard_error: float
    mean_samples: float
    worst_width: float
    """The largest half-width over the Poisson one, of all seeds."""

    @property
    def coverage(self) -> float:
        return self.covered / self.seeds

    @property
    def bias_in_standard_errors(self) -> float:
        return (self.mean_value - self.truth) / self.standard_error


def build(folder: Path) -> Path:
    """Compile the program into `folder`."""
    sites = "".join(SITE % (size, size, size) for size, _, _ in SIZES)
    calls = "\n".join(f"        site_{size}(round, {kept}, {freed});" for size, kept, freed in SIZES)
    source, program = folder / "mixed.c", folder / "mixed"
    source.write_text(PROGRAM % (sites, calls))
    subprocess.run([os.environ.get("CC", "cc"), "-O1", "-g", "-o", str(program), str(source)], check=True)
    return program


def record(program: Path, seed: int, sample: str | None, folder: Path, patience_s: float = 20) -> Path:
    """One run with this seed. `sample`: a fixed mean interval, or None for the adaptive one."""
    output = folder / f"seed-{seed}.tide"
    options = ["--sample", sample] if sample else []
    environment = {**os.environ, "HEAPTIDE_SEED": str(seed)}
    command = [str(NATIVE / "heaptide-record"), *options, "-o", str(output), "--", str(program)]
    subprocess.run(command, env=environment, check=True)
    deadline = time.monotonic() + patience_s
    while not (output.exists() and capture.read(output.read_bytes(), live=True).complete):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no finished capture {output}")
        time.sleep(0.002)
    return output


def estimate(profile: Profile, value: str) -> Estimate:
    """What a profile says of one of its totals."""
    column, samples = profile.column(value).astype(float), profile.samples[value]
    rows = samples > 0
    squares = float((column[rows] ** 2 / samples[rows]).sum())
    total = profile.total(value)
    return Estimate(total, profile.error(value), Z95 * squares**0.5, int(samples.sum()))


def estimates(seeds: Iterable[int], sample: str | None) -> dict[str, list[Estimate]]:
    """Record and read one run for each seed, two at a time."""
    answers: dict[str, list[Estimate]] = {value: [] for value in VALUES}
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        folder = Path(name)
        program = build(folder)
        for path in pool.map(lambda seed: record(program, seed, sample, folder), seeds):
            profile = heaptide.open(path).at("exit")
            path.unlink()
            for value in VALUES:
                answers[value].append(estimate(profile, value))
    return answers


def summarise(answers: Sequence[Estimate], truth: int) -> Summary:
    """Coverage, bias and width over all seeds."""
    values = np.array([answer.value for answer in answers])
    return Summary(
        truth=truth,
        seeds=len(answers),
        covered=sum(abs(answer.value - truth) <= answer.half_width for answer in answers),
        mean_value=float(values.mean()),
        standard_error=float(values.std(ddof=1) / len(values) ** 0.5),
        mean_samples=float(np.mean([answer.samples for answer in answers])),
        worst_width=max(answer.half_width / answer.poisson_half_width for answer in answers),
    )


def _row(sample: str | None, value: str, summary: Summary) -> str:
    return (
        f"{sample or 'adaptive':10} {value:12} {summary.seeds:6} {summary.mean_samples:8.0f} "
        f"{100 * summary.coverage:9.1f} {summary.bias_in_standard_errors:+8.2f} {summary.worst_width:10.3f}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs of each mode")
    parser.add_argument("--sample", action="append", help="a fixed mean interval; may be repeated (64KiB)")
    parser.add_argument("--adaptive", action="store_true", help="the interval that grows as samples accumulate")
    options = parser.parse_args(arguments)
    modes: list[str | None] = list(options.sample or ([] if options.adaptive else ["64KiB"]))
    print("interval   total         seeds  samples covered % bias/se  max width/Poisson")
    for sample in [*modes, *([None] if options.adaptive else [])]:
        answers = estimates(range(1, options.seeds + 1), sample)
        for value in VALUES:
            print(_row(sample, value, summarise(answers[value], TRUTH[value])), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
