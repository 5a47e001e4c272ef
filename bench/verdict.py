# SPDX-License-Identifier: Apache-2.0
"""Is the verdict right? Shapes with known answers under the real agent and recorder, in driven time (design page 0007).

    python -m bench.verdict                              the reported run: every family, both modes, and detection
    python -m bench.verdict --seeds 1:6 --no-detection   a quick look, with seeds meant for tuning
    python -m bench.verdict --family fill-cache --seeds 1:40 --keep /tmp/failures

Seeds below 10000 are for tuning; the reported ones begin at 10000 and are never tuned on.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from collections.abc import Iterator, Sequence
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
DETECTION_POINTS = (5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0)
DETECTED = {"leak-steady": "remember_user", "leak-under-churn": "parse_message"}
"""Families of which detection is measured, and the function that leaks."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.verdict", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    usual = f"{FIRST_REPORTED}:{FIRST_REPORTED + REPORTED_SEEDS}"
    parser.add_argument("--seeds", default=usual, metavar="A:B", help=f"from A up to but not B ({usual})")
    parser.add_argument("--family", action="append", help="only this one; may be repeated")
    parser.add_argument("--mode", choices=MODES, help="only this one")
    parser.add_argument("--no-detection", action="store_true", help="not P(found) against n")
    parser.add_argument("--detection-seeds", type=int, default=DETECTION_SEEDS, help="at each point (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (1)")
    parser.add_argument("--keep", type=Path, help="captures of runs with a wrong answer go here")
    parser.add_argument("--save", type=Path, help="keep the outcomes in this file")
    return parser.parse_args(arguments)


def shape_cases(families: Sequence[str], seeds: range, modes: Sequence[Mode]) -> list[Case]:
    """Every family with every seed in every mode."""
    return [Case(family, seed, mode) for seed in seeds for family in families for mode in modes]


def detection_cases(first_seed: int, count: int) -> list[tuple[str, float, Case]]:
    """For each family and each n, `count` runs that keep n sampling intervals in all."""
    cases = []
    for number, n in enumerate(DETECTION_POINTS):
        for family in DETECTED:
            for seed in range(first_seed + number * count, first_seed + (number + 1) * count):
                kept, sample = n * DETECTION_SAMPLE_BYTES, f"{DETECTION_SAMPLE_BYTES}B"
                cases.append((family, n, Case(family, seed, "sampled", kept, sample)))
    return cases


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


def detect(first_seed: int, count: int, jobs: int) -> tuple[list[Judged], dict[str, dict[float, list[Judged]]]]:
    """Runs for P(found) against n: all of them, and by family and n."""
    planned = detection_cases(first_seed, count)
    runs = run_all([case for _, _, case in planned], jobs, None, "detection")
    points: dict[str, dict[float, list[Judged]]] = {family: {} for family in DETECTED}
    for (family, n, _), run in zip(planned, runs, strict=True):
        points[family].setdefault(n, []).append(run)
    return runs, points


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
    families = [name for name in known if not options.family or name in options.family]
    first, last = map(int, options.seeds.split(":"))
    modes: Sequence[Mode] = [options.mode] if options.mode else MODES
    runs = run_all(shape_cases(families, range(first, last), modes), options.jobs, options.keep, "shapes")
    report(runs, [name for name, leaks in known.items() if not leaks])
    every = list(runs)
    if not options.no_detection:
        more, points = detect(last, options.detection_seeds, options.jobs)
        _print("Detection", verdict_tables.detection(points, DETECTED))
        every += more
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
