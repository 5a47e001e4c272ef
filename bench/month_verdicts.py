# SPDX-License-Identifier: Apache-2.0
"""Does a thinned month give the verdicts of the full record? Each stack of month.c judged by both, on its own."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from heaptide import build as captures
from heaptide.analysis.growth import ACTING, Judgement
from heaptide.analysis.growth.decide import Setting, decide
from heaptide.model import Series

FLOOR_PART = 0.01
"""Growth over the month by less than this part of the most in use is of no interest."""
Recorder = Callable[[Path, Path, Sequence[str], Sequence[str]], tuple[Path, dict[str, Any], Any]]


def judged(series: Series, ids: np.ndarray) -> tuple[list[Judgement], list[tuple[float, ...]]]:
    """Each of these stacks as a site of its own: what is said of it, and the times of its steps, seconds."""
    at = np.arange(len(series.snapshots))
    histories = series.histories(ids, np.arange(len(ids)), len(ids), at)
    most = max(snapshot.in_use_bytes for snapshot in series.snapshots)
    setting = Setting(series.mode == "sampled", FLOOR_PART * most / series.duration_s)
    found = decide(histories, histories.offset_s, setting)
    return found, [tuple(series.snapshots[step].offset_s for step in one.steps) for one in found]


def agree(full: Judgement, thinned: Judgement) -> bool:
    """Whether the rate of the full record lies in the interval of the thinned one, and the intervals meet."""
    meet = full.rate_low <= thinned.rate_high and thinned.rate_low <= full.rate_high
    return meet and thinned.rate_low <= full.rate <= thinned.rate_high


def compare_verdicts(
    options: argparse.Namespace, folder: Path, program: Path, record: Recorder, words: Sequence[str]
) -> None:
    """Records the same counts with and without a budget, and holds the verdicts against each other by shape."""
    truth = folder / "truth"
    series = {}
    for name, budget in (("full", "0"), ("thinned", options.budget)):
        place = folder / name
        place.mkdir()
        path, summary, _ = record(
            place, program, [*words, str(truth)], [f"--budget={budget}", f"--every={options.tick}s"]
        )
        series[name] = captures.load(path)
        kept, size = len(series[name].snapshots), summary["file_bytes"] / (1 << 20)
        print(f"{name}: {kept} of {summary['snapshots']} snapshots, {size:.1f} MiB")
    shapes = [line.split() for line in truth.read_text().splitlines()]
    ids = np.array([int(number) for number, _ in shapes])
    print_comparison([shape for _, shape in shapes], judged(series["full"], ids), judged(series["thinned"], ids))


def print_comparison(
    shapes: Sequence[str],
    full: tuple[list[Judgement], list[tuple[float, ...]]],
    thinned: tuple[list[Judgement], list[tuple[float, ...]]],
) -> None:
    """One line for each shape, and one for each stack of which the verdict's colour changed."""
    rows: dict[str, Counter[str]] = {}
    changed, late = [], []
    for row, shape in enumerate(shapes):
        one, other = full[0][row], thinned[0][row]
        seen = rows.setdefault(shape, Counter())
        seen["stacks"] += 1
        seen["same label"] += one.verdict == other.verdict
        seen["same colour"] += (one.verdict in ACTING) == (other.verdict in ACTING)
        seen["rates agree"] += agree(one, other)
        if one.verdict != other.verdict:
            changed.append(
                f"  {shape} #{row}: {one.verdict} ({one.confidence:.2f}) became {other.verdict} "
                f"({other.confidence:.2f}); {one.rate * 3600:.0f} and {other.rate * 3600:.0f} B/h"
            )
        if len(full[1][row]) == len(thinned[1][row]):
            late += [abs(a - b) for a, b in zip(full[1][row], thinned[1][row], strict=True)]
    names = ("stacks", "same label", "same colour", "rates agree")
    print(f"{'shape':12}" + "".join(f"{name:>14}" for name in names))
    for shape, seen in rows.items():
        print(f"{shape:12}" + "".join(f"{seen[name]:>14}" for name in names))
    if late:
        print(f"steps found by both: {len(late)}; their times differ by at most {max(late):.0f} s")
    print("\n".join(changed[:40]))
