# SPDX-License-Identifier: Apache-2.0
"""Sudden rises that were not given back, and when: which of the steps of a series make a verdict.

A step counts when nearly all of the difference of the levels came about within two snapshots, and when the level has
never since come back to the middle of it (`rises`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heaptide.analysis.growth.features import Features
from heaptide.analysis.growth.rises import Rise, rises_of
from heaptide.model.histories import Histories

Floats = npt.NDArray[np.float64]

_GRAINS = 8.0
"""A step in sampled mode has at least so many samples."""
_NOISES = 6.0
"""... and in any mode so many standard deviations of what happens between two snapshots."""
_WARM = 0.25
"""Steps in the first part of a run are its start."""
_PART = 0.25
"""A step is at least this part of what the site held before it ..."""
_PART_OF_GROWTH = 0.3
"""... and this part of how much it had grown until then: what a pool adds in the end is less."""
_EXPLAINED = 0.7
"""Steps that make up so much of the growth are the growth."""
_OVERDUE = 2.0
"""A geometric series of steps has ceased after so many times its last gap."""
_SERIES, _GEOMETRIC = 4, 0.6
"""So many steps, each by this part of the level before it, are a series of which the next can be foretold."""
_REPLACED = 0.2
_LOUDER = 3.0


@dataclass(frozen=True, slots=True)
class Jumps:
    """The steps of one row, by snapshot index: the first that shows each."""

    index: tuple[int, ...] = ()
    bytes: tuple[float, ...] = ()
    kept: bool = False
    """Few steps that make up the growth and were not given back."""
    overdue: bool = False
    """The steps were geometric, and have ceased."""
    why: str = ""


def jumps_of(histories: Histories, times: Floats, features: Features) -> list[Jumps]:
    """The steps of every row."""
    series = features.series
    steps = np.diff(series, axis=1)
    sampled = bool(histories.alloc_variance.any())
    noise = np.median(np.abs(steps), axis=1) / 0.6745
    worth = np.maximum(_NOISES * noise, _GRAINS * features.quantum if sampled else 1.0)
    sharpest, height = steps.max(axis=1), series.max(axis=1) - series.min(axis=1)
    rows = np.flatnonzero((sharpest >= worth) & (sharpest >= 0.03 * height))
    found = [Jumps()] * len(series)
    for row, rises in zip(rows.tolist(), rises_of(series[rows], worth[rows]), strict=True):
        if rises:
            found[row] = _of_row(histories, times, features, row, rises)
    return found


def _of_row(histories: Histories, times: Floats, features: Features, row: int, rises: Sequence[Rise]) -> Jumps:
    series = features.series[row]
    index, size = tuple(rise.index for rise in rises), tuple(rise.bytes for rise in rises)
    overdue = _overdue(rises, times)
    counted = [rise for rise in rises if _counts(series, times, rise)]
    if not counted:
        return Jumps(index, size, overdue=overdue)
    grown = series[-3:].mean() - np.interp(times[0] + _WARM * (times[-1] - times[0]), times, series)
    explained = sum(rise.bytes for rise in counted) >= _EXPLAINED * grown
    live = [rise for rise in counted if not _is_turnover(histories, times, row, rise)]
    kept = bool(live) and explained and len(counted) <= 3 and not overdue
    why = "it rose at once and never came back" if len(counted) == 1 else "it rose in steps and never came back"
    return Jumps(index, size, kept, overdue, why)


def _counts(series: Floats, times: Floats, rise: Rise) -> bool:
    """Neither part of the start nor the last small step of something that has grown more before."""
    length = times[-1] - times[0]
    late = times[rise.index] - times[0] >= _WARM * length
    if not late or rise.bytes < _PART * rise.before:
        return False
    grown = rise.before - np.interp(times[0] + 0.05 * length, times, series)
    return bool(rise.bytes >= _PART_OF_GROWTH * grown)


def _is_turnover(histories: Histories, times: Floats, row: int, rise: Rise) -> bool:
    """Whether a step is a load that began and goes on: all of it has been replaced since.

    Where the site held something before, its bytes per byte freed tell: a load that is twice as large frees twice as
    much; a jump that is kept frees no more than before.
    """
    freed = histories.free_bytes[row]
    since = freed[-1] - freed[rise.index]
    if since < _REPLACED * rise.bytes:
        return False
    before = freed[rise.index - 1] - freed[0]
    pace_before = before / max(times[rise.index - 1] - times[0], 1e-9)
    pace_since = since / max(times[-1] - times[rise.index], 1e-9)
    if pace_before <= 0:
        return True
    higher = (rise.before + rise.bytes) / max(rise.before, 1e-300)
    return bool(pace_since / pace_before > min(1 + (higher - 1) / 2, _LOUDER))


def _overdue(rises: Sequence[Rise], times: Floats) -> bool:
    """Steps that grow with the level, as a container's do, announce the next: it comes after about twice the gap."""
    if len(rises) < _SERIES:
        return False
    last, previous = rises[-1], rises[-2]
    geometric = all(rise.bytes >= _GEOMETRIC * rise.before for rise in rises[1 - _SERIES :])
    gap = times[last.index] - times[previous.index]
    return bool(geometric and times[-1] - times[last.index] > _OVERDUE * gap)
