# SPDX-License-Identifier: Apache-2.0
"""Lasting steps up in many series at once: binary segmentation of the level (Scott and Knott 1974).

A series is split where the means of both sides differ most for their lengths, and each side again, as long as the level
at the split changes by enough. All segments of one generation are split together. Sums of bytes are whole numbers below
2^53, so differences of running sums are exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_MOST = 12
_ABRUPT = 0.7
"""So much of the difference of the levels lies in the jump itself."""
_LEAST_SIDE = 3
"""Snapshots on each side of a step."""
_NEAR = 5
"""Of so many snapshots on each side of a step its levels are the medians."""
_CELLS = 1_000_000
"""So many snapshots of all series are looked at together: a bound for memory."""


@dataclass(frozen=True, slots=True)
class Rise:
    """A step up: the first snapshot that shows it, by how much, and the level before it."""

    index: int
    bytes: float
    before: float


@dataclass(frozen=True, slots=True)
class _Segments:
    """Parts of series: from snapshot `begin` to before `end` of series number `row`."""

    row: Ints
    begin: Ints
    end: Ints

    def __len__(self) -> int:
        return len(self.row)

    def where(self, flags: Flags) -> _Segments:
        return _Segments(self.row[flags], self.begin[flags], self.end[flags])

    def split(self, index: Ints) -> _Segments:
        """Both sides of each, the left one first."""
        return _Segments(
            np.repeat(self.row, 2),
            np.stack([self.begin, index], axis=1).reshape(-1),
            np.stack([index, self.end], axis=1).reshape(-1),
        )


@dataclass(frozen=True, slots=True)
class _Steps:
    """Of each segment the change of level at its split."""

    index: Ints
    bytes: Floats
    before: Floats


def rises_of(series: Floats, least: Floats) -> list[list[Rise]]:
    """For each row its lasting steps up of at least `least` bytes, in order of time; at most `_MOST` of them."""
    found: list[list[Rise]] = []
    block = max(1, _CELLS // series.shape[1])
    for first in range(0, len(series), block):
        rows = slice(first, first + block)
        found += _rises(series[rows], least[rows])
    return found


def _rises(series: Floats, least: Floats) -> list[list[Rise]]:
    count, length = series.shape
    found: list[list[Rise]] = [[] for _ in range(count)]
    open_rows = np.ones(count, bool)
    segments = _Segments(np.arange(count), np.zeros(count, np.int64), np.full(count, length))
    sums = np.concatenate([np.zeros((count, 1)), np.cumsum(series, axis=1)], axis=1)
    highest, lowest = np.maximum.accumulate(series, axis=1), np.minimum.accumulate(series[:, ::-1], axis=1)[:, ::-1]
    while len(segments):
        segments, index = _best_splits(sums, segments)
        steps = _steps_at(series, segments, index)
        counts = np.abs(steps.bytes) >= least[segments.row]
        lasting = counts & (steps.bytes > 0) & _lasting(series, highest, lowest, segments.row, steps)
        for row, rise in _each(segments.row, steps, lasting):
            if len(found[row]) < _MOST:
                found[row].append(rise)
                open_rows[row] = len(found[row]) < _MOST
        segments = segments.where(counts).split(index[counts])
        segments = segments.where(open_rows[segments.row])
    return [sorted(rises, key=attrgetter("index")) for rises in found]


def _each(row: Ints, steps: _Steps, chosen: Flags) -> Iterator[tuple[int, Rise]]:
    columns = (column[chosen].tolist() for column in (row, steps.index, steps.bytes, steps.before))
    for number, index, size, before in zip(*columns, strict=True):
        yield number, Rise(index, size, before)


def _best_splits(sums: Floats, segments: _Segments) -> tuple[_Segments, Ints]:
    """Where the second mean begins; segments that are too short or level are left out.

    `sums`: column j is the sum of a row's first j snapshots.
    """
    segments = segments.where(segments.end - segments.begin >= 2 * _LEAST_SIDE)
    if not len(segments):
        return segments, np.zeros(0, np.int64)
    length = segments.end - segments.begin
    tried = length - 2 * _LEAST_SIDE + 1
    first = np.cumsum(tried) - tried
    segment = np.repeat(np.arange(len(segments)), tried)
    left = np.arange(len(segment)) - first[segment] + _LEAST_SIDE
    right = length[segment] - left
    before = sums[segments.row, segments.begin]
    whole = (sums[segments.row, segments.end] - before)[segment]
    start = segments.row * sums.shape[1] + segments.begin
    sum_left = sums.reshape(-1)[start[segment] + left] - before[segment]
    gain = np.square((whole - sum_left) / right - sum_left / left) * left * right
    best = np.maximum.reduceat(gain, first)
    places = np.flatnonzero(gain == best[segment])
    places = places[np.append(True, np.diff(segment[places]) > 0)]  # the first of each
    level = best <= 0
    return segments.where(~level), (segments.begin + left[places])[~level]


def _steps_at(series: Floats, segments: _Segments, index: Ints) -> _Steps:
    """The jump near a split, from the medians of a few snapshots on each side, and put where most of it happens."""
    row = segments.row[:, None]
    near = index[:, None] + np.arange(1 - _LEAST_SIDE, _LEAST_SIDE)
    sharp = index + 1 - _LEAST_SIDE + np.argmax(series[row, near] - series[row, near - 1], axis=1)
    before = _medians(series, segments.row, np.maximum(segments.begin, sharp - _NEAR), sharp)
    after = _medians(series, segments.row, sharp, np.minimum(segments.end, sharp + _NEAR))
    return _Steps(sharp, after - before, before)


def _medians(series: Floats, row: Ints, begin: Ints, end: Ints) -> Floats:
    """Of one to `_NEAR` snapshots of each row."""
    places = begin[:, None] + np.arange(_NEAR)
    inside = places < end[:, None]
    values = np.where(inside, series[row[:, None], np.minimum(places, series.shape[1] - 1)], np.inf)
    values.sort(axis=1)
    which, count = np.arange(len(row)), end - begin
    result: Floats = (values[which, (count - 1) // 2] + values[which, count // 2]) / 2
    return result


def _lasting(series: Floats, highest: Floats, lowest: Floats, row: Ints, steps: _Steps) -> Flags:
    """Abrupt, never so high before, and never half undone since.

    `highest`, `lowest`: up to and from each snapshot on.
    """
    low = series[row, np.maximum(steps.index - 1, 0)]
    high = series[row, np.minimum(steps.index + 1, series.shape[1] - 1)]
    middle = steps.before + steps.bytes / 2
    result: Flags = (
        (high - low >= _ABRUPT * steps.bytes)
        & (highest[row, steps.index - 1] <= middle)
        & (lowest[row, steps.index] >= middle)
    )
    return result
