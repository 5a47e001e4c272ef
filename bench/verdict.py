# SPDX-License-Identifier: Apache-2.0
"""Is the verdict right? Shapes with known answers under the real agent and recorder, in driven time (design page 0007).

    python -m bench.verdict --seeds 1:6                  a quick look, with seeds meant for tuning
    python -m bench.verdict --family fill-cache --seeds 1:40 --keep /tmp/recordings
    python -m bench.verdict --seeds 1:1 --detect leak-steady --point 20 --point 30
    python -m bench.verdict --detect leak-steady         the reported run: every family, both modes, and detection

Seeds below 10000 are for tuning; the reported ones begin at 10000 and are never tuned on.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import click

from bench import verdict_runs, verdict_tables
from bench.verdict_runs import MODES, Case, Judged, Mode

FIRST_REPORTED = 10000
REPORTED_SEEDS = 16
DETECTION_SEEDS = 100
DETECTION_SAMPLE_BYTES = 64 << 10
DETECTION_POINTS = (10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0)
DETECTED = {"leak-steady": "remember_user", "leak-under-churn": "parse_message"}
"""Families of which detection can be measured, and the function that leaks."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.verdict", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    usual = f"{FIRST_REPORTED}:{FIRST_REPORTED + REPORTED_SEEDS}"
    parser.add_argument("--seeds", default=usual, metavar="A:B", help=f"from A up to but not B ({usual})")
    parser.add_argument("--family", action="append", help="only this one; may be repeated")
    parser.add_argument("--leaking-seeds", type=int, metavar="N", help="only N seeds for families that grow")
    parser.add_argument("--mode", choices=MODES, help="only this one")
    parser.add_argument(
        "--detect", action="append", choices=DETECTED, metavar="FAMILY", help="P(found) against n of it"
    )
    parser.add_argument("--point", action="append", type=float, metavar="N", help="only at this n; may be repeated")
    parser.add_argument("--detection-seeds", type=int, default=DETECTION_SEEDS, help="at each point (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (1)")
    parser.add_argument("--keep", type=Path, help="recordings stay here; what is there is judged, not recorded again")
    parser.add_argument("--save", type=Path, help="keep the outcomes in this file")
    return parser.parse_args(arguments)


def shape_cases(
    families: Mapping[str, bool], seeds: range, leaking_seeds: int | None, modes: Sequence[Mode]
) -> list[Case]:
    """Every family with every seed in every mode; the first few seeds alone for those that leak, where so asked."""
    few = seeds[:leaking_seeds]
    return [
        Case(family, seed, mode)
        for seed in seeds
        for family, leaks in families.items()
        if not leaks or seed in few
        for mode in modes
    ]


def detection_cases(family: str, points: Sequence[float], first_seed: int, count: int) -> list[Case]:
    """At each n, `count` runs that keep n sampling intervals in all."""
    sample = f"{DETECTION_SAMPLE_BYTES}B"
    return [
        Case(family, first_seed + number * count + k, "sampled", n * DETECTION_SAMPLE_BYTES, sample)
        for number, n in enumerate(points)
        for k in range(count)
    ]


def run_all(cases: Sequence[Case], jobs: int, keep: Path | None, what: str) -> list[Judged]:
    """Every case, in order, with a bar on a terminal."""
    program = verdict_runs.build()
    one = partial(verdict_runs.run, program, keep=keep)

    def results() -> Iterator[Judged]:
        if jobs == 1:
            yield from map(one, cases)
            return
        with ProcessPoolExecutor(jobs) as pool:
            yield from pool.map(one, cases, chunksize=4)

    judged = []
    with click.progressbar(length=len(cases), label=what, file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
        for result in results():
            judged.append(result)
            bar.update(1)
    return judged


def detect(options: argparse.Namespace, first_seed: int) -> tuple[list[Judged], dict[str, dict[float, list[Judged]]]]:
    """Runs for P(found) against n: all of them, and by family and n."""
    every: list[Judged] = []
    points: dict[str, dict[float, list[Judged]]] = {}
    for family in options.detect or ():
        cases = detection_cases(family, options.point or DETECTION_POINTS, first_seed, options.detection_seeds)
        runs = run_all(cases, options.jobs, options.keep, family)
        points[family] = {}
        for run in runs:
            points[family].setdefault(run.case.kept_bytes / DETECTION_SAMPLE_BYTES, []).append(run)
        every += runs
    return every, points


def _print(title: str, lines: Iterator[str]) -> None:
    print(f"\n## {title}")
    for line in lines:
        print(line, flush=True)


def report(runs: Sequence[Judged], leakless: Sequence[str]) -> None:
    """Everything that the shapes show."""
    _print("True and told, by site", verdict_tables.confusion(runs))
    _print("Sites that act against those that should", verdict_tables.precision_and_recall(runs))
    _print("What was missed", verdict_tables.missed(runs))
    _print("False alarms", verdict_tables.false_alarms(runs, leakless))
    _print("Steps", verdict_tables.step_times(runs))
    _print("The rate's interval", verdict_tables.coverage(runs))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print."""
    options = parse(arguments)
    began = time.monotonic()
    known = verdict_runs.families(verdict_runs.build())
    families = {name: leaks for name, leaks in known.items() if not options.family or name in options.family}
    first, last = map(int, options.seeds.split(":"))
    modes: Sequence[Mode] = [options.mode] if options.mode else MODES
    cases = shape_cases(families, range(first, last), options.leaking_seeds, modes)
    runs = run_all(cases, options.jobs, options.keep, "shapes")
    if runs:
        report(runs, [name for name, leaks in known.items() if not leaks])
    more, points = detect(options, last)
    if points:
        _print("Detection", verdict_tables.detection(points, DETECTED))
    every = [*runs, *more]
    _print("Confidence", verdict_tables.reliability(every))
    if options.save:
        options.save.write_bytes(pickle.dumps(every))
    seconds = time.monotonic() - began
    print(
        f"\n{len(every)} runs, seeds from {first}; {seconds:.0f} s, {1000 * seconds / max(1, len(every)):.0f} ms each"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
