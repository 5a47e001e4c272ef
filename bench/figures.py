# SPDX-License-Identifier: Apache-2.0
"""Statistics of a handful of runs, and the table's text."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.running import Bench

RESAMPLES = 4000


@dataclass(frozen=True)
class Line:
    """One line of the table; a form without a cell shows a dash."""

    what: str
    unit: str
    cells: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """What can be asked for by name. `measure` yields None after each of its `steps`, and lines when they are known."""

    name: str
    steps: Callable[[Bench], int]
    measure: Callable[[Bench], Iterator[Line | None]]


def added(values: Mapping[str, Sequence[float]], digits: int = 1) -> dict[str, str]:
    """`plain` as it is, the others as what they add: minimum and, in brackets, median over the rounds."""
    plain = values["plain"]
    low, middle = min(plain), statistics.median(plain)
    cells = {"plain": f"{low:.{digits}f} ({middle:.{digits}f})"}
    for name, those in values.items():
        if name != "plain":
            cells[name] = f"{min(those) - low:+.{digits}f} ({statistics.median(those) - middle:+.{digits}f})"
    return cells


def medians(values: Mapping[str, Sequence[float]], digits: int = 1) -> dict[str, str]:
    """The median of each."""
    return {name: f"{statistics.median(those):.{digits}f}" for name, those in values.items()}


def ratio_bound(plain: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """How many times as much as `plain`, from runs paired by round: the mean (geometric) and a 95 % upper bound.

    The bound is one-sided, by bootstrap over the pairs: the machine's slow drift falls out within a pair.
    """
    logs = [math.log(b / a) for a, b in zip(plain, other, strict=True)]
    draw = random.Random(1)
    means = sorted(statistics.fmean(draw.choices(logs, k=len(logs))) for _ in range(RESAMPLES))
    return math.exp(statistics.fmean(logs)), math.exp(means[int(0.95 * RESAMPLES)])


def ratios(values: Mapping[str, Sequence[float]], digits: int = 2) -> dict[str, str]:
    """`plain` as its median, the others as ratios with their upper bound."""
    plain = values["plain"]
    cells = {"plain": f"{statistics.median(plain):.{digits}f}"}
    for name, those in values.items():
        if name != "plain":
            mean, bound = ratio_bound(plain, those)
            cells[name] = f"x{mean:.3f} (<= x{bound:.3f})"
    return cells


def header(forms: Sequence[str]) -> str:
    """The table's first two lines."""
    names = ["what", "unit", *forms]
    return f"| {' | '.join(names)} |\n{'|---' * len(names)}|"


def text_of(line: Line, forms: Sequence[str]) -> str:
    """One line of the table."""
    return f"| {' | '.join([line.what, line.unit, *(line.cells.get(name, '-') for name in forms)])} |"
