# SPDX-License-Identifier: Apache-2.0
"""Sudden rises that were not given back, and when.

Binary segmentation of the level (Scott and Knott 1974), with the split where the means of both sides differ most for
their lengths; a split counts as a step when nearly all of that difference came about within two snapshots, and when the
level has never since come back to the middle of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heaptide.analysis.growth.features import Features
from heaptide.model.histories import Histories

Floats = npt.NDArray[np.float64]

_MOST = 12
_ABRUPT = 0.7
"""So much of the difference of the levels lies in the jump itself."""
_LEAST_SIDE = 3
"""Snapshots on each side of a step."""
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


@dataclass(frozen=True, slots=True)
class _Rise:
    index: int
    bytes: float
    before: float


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
    for row in rows.tolist():
        found[row] = _of_row(histories, times, features, row, float(worth[row]))
    return found


def _of_row(histories: Histories, times: Floats, features: Features, row: int, worth: float) -> Jumps:
    series = features.series[row]
    rises = _rises(series, worth)
    if not rises:
        return Jumps()
    index, size = tuple(rise.index for rise in rises), tuple(rise.bytes for rise in rises)
    overdue = _overdue(rises, times)
    counted = [rise for rise in rises if _counts(series, times, rise)]
    grown = series[-3:].mean() - np.interp(times[0] + _WARM * (times[-1] - times[0]), times, series)
    explained = sum(rise.bytes for rise in counted) >= _EXPLAINED * grown
    live = [rise for rise in counted if not _is_turnover(histories, times, row, rise)]
    kept = bool(live) and explained and len(counted) <= 3 and not overdue
    why = "it rose at once and never came back" if len(counted) == 1 else "it rose in steps and never came back"
    return Jumps(index, size, kept, overdue, why)


def _rises(series: Floats, least: float) -> list[_Rise]:
    """The lasting steps up of at least `least` bytes, in order of time."""
    found: list[_Rise] = []
    waiting = [(0, len(series))]
    while waiting and len(found) < _MOST:
        begin, end = waiting.pop(0)
        split = _best_split(series[begin:end])
        if split is None:
            continue
        rise = _rise_at(series, begin, begin + split, end)
        if abs(rise.bytes) < least:
            continue
        waiting += [(begin, begin + split), (begin + split, end)]
        if rise.bytes >= least and _lasting(series, rise):
            found.append(rise)
    return sorted(found, key=lambda rise: rise.index)


def _best_split(part: Floats) -> int | None:
    """The index from which the second mean counts; None where the part is too short or level."""
    count = len(part)
    if count < 2 * _LEAST_SIDE:
        return None
    sums = np.cumsum(part)
    left = np.arange(_LEAST_SIDE, count - _LEAST_SIDE + 1)
    mean_left = sums[left - 1] / left
    mean_right = (sums[-1] - sums[left - 1]) / (count - left)
    gain = np.square(mean_right - mean_left) * left * (count - left)
    best = int(np.argmax(gain))
    return int(left[best]) if gain[best] > 0 else None


def _rise_at(series: Floats, begin: int, index: int, end: int) -> _Rise:
    """The jump near a split, from the medians of a few snapshots on each side, and put where most of it happens."""
    near = np.arange(max(begin + 1, index - 2), min(end, index + 3))
    steps = series[near] - series[near - 1]
    sharp = int(near[np.argmax(steps)])
    before = _median(series[max(begin, sharp - 5) : sharp])
    after = _median(series[sharp : min(end, sharp + 5)])
    return _Rise(sharp, after - before, before)


def _median(few: Floats) -> float:
    """Of a few numbers, of which there is at least one. (np.median takes ten times as long for five of them.)"""
    ordered = sorted(few.tolist())
    half = len(ordered) // 2
    return float(ordered[half]) if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _lasting(series: Floats, rise: _Rise) -> bool:
    low, high = series[max(0, rise.index - 1)], series[min(len(series) - 1, rise.index + 1)]
    abrupt = high - low >= _ABRUPT * rise.bytes
    new = series[: rise.index].max() <= rise.before + rise.bytes / 2
    return bool(abrupt and new and series[rise.index :].min() >= rise.before + rise.bytes / 2)


def _counts(series: Floats, times: Floats, rise: _Rise) -> bool:
    """Neither part of the start nor the last small step of something that has grown more before."""
    length = times[-1] - times[0]
    early = np.interp(times[0] + 0.05 * length, times, series)
    grown = rise.before - early
    late = times[rise.index] - times[0] >= _WARM * length
    return bool(late and rise.bytes >= _PART * rise.before and rise.bytes >= _PART_OF_GROWTH * grown)


def _is_turnover(histories: Histories, times: Floats, row: int, rise: _Rise) -> bool:
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


def _overdue(rises: list[_Rise], times: Floats) -> bool:
    """Steps that grow with the level, as a container's do, announce the next: it comes after about twice the gap."""
    if len(rises) < _SERIES:
        return False
    last, previous = rises[-1], rises[-2]
    geometric = all(rise.bytes >= _GEOMETRIC * rise.before for rise in rises[1 - _SERIES :])
    gap = times[last.index] - times[previous.index]
    return bool(geometric and times[-1] - times[last.index] > _OVERDUE * gap)
