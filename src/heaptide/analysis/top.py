# SPDX-License-Identifier: Apache-2.0
"""The flat and cumulative table.

``flat`` is what stands at a place itself (the leaf, or the site when runtime frames are cut off), ``cum`` what stands
there or below it. A place that occurs several times in one stack (recursion) counts once in ``cum``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from heaptide.analysis.places import Flags, Granularity, Ints, Place, Walks, distinct, sums, unit_of, walks
from heaptide.analysis.site import Skip, not_users
from heaptide.model import Profile
from heaptide.model.profile import Z95, Column


@dataclass(frozen=True, slots=True)
class Row:
    """One place with its values, in the table's unit, and the half-widths of their 95 % intervals (0 when exact).

    ``line`` and ``file`` of a row that covers several lines are those of the heaviest; ``lines`` counts them.
    """

    place: Place
    flat: float
    cum: float
    flat_error: float
    cum_error: float
    file: str | None
    line: int | None
    module: str | None
    lines: int
    inlined: bool
    """Every value of this row comes from inlined calls."""
    before: tuple[float, float] | None = None
    """In a difference: flat and cum of what was subtracted, where that is known."""


@dataclass(frozen=True, slots=True)
class Top:
    """The table, sorted. ``total`` and ``error`` are the profile's; percentages refer to ``whole``."""

    value: str
    unit: Literal["bytes", "objects"]
    by: Granularity
    cum_order: bool
    total: float
    error: float
    whole: float
    """Sum of the absolute values of all stacks: what shares are shares of, in differences too."""
    rows: tuple[Row, ...]
    row_count: int
    """With those that a limit left out."""
    sampled: bool
    is_difference: bool


def top(
    profile: Profile,
    *,
    value: str = "inuse_space",
    by: Granularity = "function",
    cum: bool = False,
    skip: Skip = not_users,
    before: Profile | None = None,
    whole: float | None = None,
    limit: int = 0,
) -> Top:
    """Flat and cumulative values by place, largest absolute value first (by ``cum`` when asked, else by flat).

    ``before``: in a difference, what was subtracted; rows then tell what they held before. ``whole``: what shares are
    shares of, where that is not the sum of the absolute values (a profile that was filtered). ``limit``: only so many
    rows are made, the first ones; 0 for all.

    Raises KeyError when the profile does not hold ``value``.
    """
    column = profile.column(value)
    steps = walks(profile, value, by, skip)
    rows, row_count = _rows(profile, value, steps, cum, limit)
    if before is not None:
        held = _held(before, value, walks(before, value, by, skip))
        rows = [replace(row, before=held.get(row.place, (0, 0))) for row in rows]
    rows.sort(key=lambda row: _order(row, cum))
    return Top(
        value=value,
        unit=unit_of(value),
        by=by,
        cum_order=cum,
        total=profile.total(value),
        error=profile.error(value),
        whole=np.abs(column).sum().item() if whole is None else whole,
        rows=tuple(rows[:limit] if limit else rows),
        row_count=row_count,
        sampled=profile.mode == "sampled",
        is_difference=profile.is_difference,
    )


def _held(profile: Profile, value: str, steps: Walks) -> dict[Place, tuple[float, float]]:
    """Flat and cum of each place."""
    size, column = len(steps.places), profile.column(value)
    at, once = _once_per_stack(steps, size)
    flat = sums(steps.place[steps.leaf], column[steps.rows], size)
    cum = sums(at, column[once], size)
    return dict(zip(steps.places, zip(flat.tolist(), cum.tolist(), strict=True), strict=True))


def _order(row: Row, cum: bool) -> tuple[float, float, str, str]:
    first, second = (row.cum, row.flat) if cum else (row.flat, row.cum)
    place = row.place
    return (-abs(first), -abs(second), place.function or "~", f"{row.module}{row.file}{row.line or 0:9}{place.address}")


def _rows(profile: Profile, value: str, steps: Walks, cum_order: bool, limit: int) -> tuple[list[Row], int]:
    """The rows, in any order, and how many there are; with a limit only those that may be among the first."""
    size = len(steps.places)
    column = profile.column(value)
    variance = (profile.errors(value) / Z95) ** 2
    at, once = _once_per_stack(steps, size)
    flat = sums(steps.place[steps.leaf], column[steps.rows], size)
    cum = sums(at, column[once], size)
    flat_error = Z95 * np.sqrt(sums(steps.place[steps.leaf], variance[steps.rows], size))
    cum_error = Z95 * np.sqrt(sums(at, variance[once], size))
    every = distinct(at)
    chosen = _first(every, cum if cum_order else flat, flat if cum_order else cum, limit)
    heaviest = _Heaviest(profile, value, steps, chosen)
    plain = np.zeros(size, bool)
    plain[steps.place[~steps.inlined]] = True
    rows = [
        Row(
            steps.places[i],
            flat[i].item(),
            cum[i].item(),
            flat_error[i].item(),
            cum_error[i].item(),
            *heaviest.of(i),
            inlined=not plain[i],
        )
        for i in chosen.tolist()
    ]
    return rows, len(every)


def _first(places: Ints, first: Column, second: Column, limit: int) -> Ints:
    """Those of the places that stand among the first so many, with all that tie with the last of them."""
    if not limit or len(places) <= limit:
        return places
    keys = np.abs(first[places]), np.abs(second[places])
    last = np.lexsort((-keys[1], -keys[0]))[limit - 1]
    among: Flags = (keys[0] > keys[0][last]) | ((keys[0] == keys[0][last]) & (keys[1] >= keys[1][last]))
    return places[among]


def _once_per_stack(steps: Walks, size: int) -> tuple[Ints, Ints]:
    """Place and row of each step, a place that occurs again in the same stack left out."""
    pairs = distinct(steps.row * size + steps.place)
    return pairs % size, pairs // size


class _Heaviest:
    """For each chosen place the frame that carries most of it, and how many lines it covers."""

    def __init__(self, profile: Profile, value: str, steps: Walks, chosen: Ints) -> None:
        self.frames = profile.stacks.frames
        count = len(self.frames) + 1
        weight = np.abs(profile.column(value).astype(np.float64))
        cum = sums(steps.frame, weight[steps.row], count)
        flat = sums(steps.frame[steps.leaf], weight[steps.rows], count)
        place = np.zeros(count, np.int64)
        place[steps.frame] = steps.place
        wanted = np.zeros(len(steps.places), bool)
        wanted[chosen] = True
        used = distinct(steps.frame)
        used = used[wanted[place[used]]]
        self.frames_of: dict[int, list[int]] = {}
        for frame in used[np.lexsort((-cum[used], -flat[used]))].tolist():
            self.frames_of.setdefault(int(place[frame]), []).append(frame)

    def of(self, place: int) -> tuple[str | None, int | None, str | None, int]:
        """File, line and module of the heaviest frame, and the number of distinct lines."""
        indices = [i for i in self.frames_of[place] if i < len(self.frames)]
        if not indices:
            return None, None, None, 0
        frame = self.frames[indices[0]]
        lines = {(self.frames[i].file, self.frames[i].line) for i in indices if self.frames[i].line is not None}
        return frame.file, frame.line, frame.module, len(lines)
