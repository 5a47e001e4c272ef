# SPDX-License-Identifier: Apache-2.0
"""The flame graph: every call path as a box above those that it called, as wide as what it holds.

In a difference a box is as wide as all that changed below it, up or down: what grew and what shrank both show, and a
path that only moved bytes about is wide and without a net change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from heaptide.analysis.call_tree import Paths, paths_of
from heaptide.analysis.places import Flags, Floats, Granularity, Ints, Place, Walks, sums, unit_of, walks
from heaptide.analysis.site import Skip, not_users
from heaptide.model import Frame, Profile
from heaptide.model.profile import Z95, Column
from heaptide.model.roles import Role


@dataclass(frozen=True, slots=True)
class Box:
    """One call path from the root, by the place of its last call. Values in the graph's unit."""

    place: Place
    depth: int
    """0 for a root."""
    parent: int
    """Index of its caller's box; -1 for a root."""
    left: float
    width: float
    """Where it stands and how wide it is, in the graph's unit; a box lies within that of its caller."""
    value: float
    """Sum over the stacks through this path; signed in a difference."""
    own: float
    """The part of it that stands at this path itself, and not below."""
    error: float
    """Half-width of the value's 95 % interval; 0 when exact."""
    module: str | None
    file: str | None
    """Module and source file of the code, also where the place does not tell them apart."""
    role: Role
    inlined: bool
    """In every stack the compiler inlined this call into its caller's."""


@dataclass(frozen=True, slots=True)
class Flame:
    """Boxes by depth, then from left to right, and what was too narrow to be one."""

    value: str
    unit: Literal["bytes", "objects"]
    boxes: tuple[Box, ...]
    total: float
    error: float
    """Half-width of the 95 % interval of the total, in its unit; 0 when exact."""
    width: float
    """Of everything: the sum of the absolute values of all stacks."""
    whole: float
    """What shares are shares of."""
    left_out: int
    """Call paths that are narrower than ``least``."""
    least: float
    sampled: bool
    is_difference: bool
    inverted: bool

    @property
    def depth(self) -> int:
        """Number of rows."""
        return self.boxes[-1].depth + 1 if self.boxes else 0


def flame(
    profile: Profile,
    *,
    value: str = "inuse_space",
    by: Granularity = "function",
    skip: Skip = not_users,
    inverted: bool = False,
    least: float = 0.0,
    whole: float | None = None,
) -> Flame:
    """The flame graph of a profile or of a difference; siblings stand by falling width.

    Args:
        skip: frames that are left out at the leaf end, so that a value stands at its site.
        inverted: each stack read from its leaf: sites are roots, and their callers stand on them.
        least: paths narrower than this part of everything are left out, and with them what they called.
        whole: what shares are shares of, where that is not the sum of the absolute values (a profile that was
            filtered).

    Raises KeyError when the profile does not hold ``value``.
    """
    column = profile.column(value)
    steps = walks(profile, value, by, skip)
    drawn = _drawn(profile, value, _inverted(steps) if inverted else steps)
    everything = float(np.abs(column).sum())
    kept = drawn.width >= max(least * everything, np.finfo(np.float64).tiny)
    return Flame(
        value=value,
        unit=unit_of(value),
        boxes=_boxes(profile, drawn, kept),
        total=profile.total(value),
        error=profile.error(value),
        width=everything,
        whole=everything if whole is None else whole,
        left_out=int(len(kept) - kept.sum()),
        least=least * everything,
        sampled=profile.mode == "sampled",
        is_difference=profile.is_difference,
        inverted=inverted,
    )


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The boxes as columns, one entry for each path."""

    paths: Paths
    places: list[Place]
    frame: Ints
    """A frame that the path ends with; the number of frames for a stack without any."""
    left: Floats
    width: Floats
    value: Column
    own: Column
    error: Floats


def _drawn(profile: Profile, value: str, steps: Walks) -> _Drawn:
    column, variance = profile.column(value), (profile.errors(value) / Z95) ** 2
    paths, of_step = paths_of(steps)
    size = len(paths.place)
    width = sums(of_step, np.abs(column)[steps.row], size).astype(np.float64)
    return _Drawn(
        paths,
        steps.places,
        steps.frame[np.unique(of_step, return_index=True)[1]],
        _lefts(paths, width, _ranks(steps.places)),
        width,
        sums(of_step, column[steps.row], size),
        sums(of_step[steps.leaf], column[steps.rows], size),
        Z95 * np.sqrt(sums(of_step, variance[steps.row], size)),
    )


def _inverted(steps: Walks) -> Walks:
    """Each stack from its leaf to its root."""
    backwards = slice(None, None, -1)
    row = steps.row[backwards]
    leaf = np.flatnonzero(np.append(row[1:] != row[:-1], True)) if len(row) else steps.leaf
    return replace(
        steps,
        place=steps.place[backwards],
        row=row,
        inlined=np.zeros(len(row), bool),
        frame=steps.frame[backwards],
        leaf=leaf,
        rows=row[leaf],
    )


def _ranks(places: list[Place]) -> Ints:
    """The order of siblings that are equally wide: by name, so that a graph looks the same every time."""

    def name(number: int) -> tuple[str, ...]:
        place = places[number]
        numbers = (f"{place.line or 0:09}", f"{place.address or 0:016x}")
        return (place.function or "~", place.file or "", place.module or "", place.unresolved or "", *numbers)

    rank = np.zeros(len(places), np.int64)
    rank[np.array(sorted(range(len(places)), key=name), np.int64)] = np.arange(len(places))
    return rank


def _lefts(paths: Paths, width: Floats, rank: Ints) -> Floats:
    """Where each box begins: behind its wider siblings, level by level."""
    left = np.zeros(len(width))
    levels = np.searchsorted(paths.depth, np.arange(int(paths.depth.max(initial=-1)) + 2))
    for first, end in pairwise(levels.tolist()):
        parent = paths.parent[first:end]
        order = np.lexsort((rank[paths.place[first:end]], -width[first:end], parent))
        ordered_parent, ordered_width = parent[order], width[first:end][order]
        before = np.cumsum(ordered_width) - ordered_width
        starts = np.flatnonzero(np.append(True, ordered_parent[1:] != ordered_parent[:-1]))
        runs = np.diff(np.append(starts, len(order)))
        outer = np.where(ordered_parent < 0, 0.0, left[np.maximum(ordered_parent, 0)])
        left[first + order] = before - np.repeat(before[starts], runs) + outer
    return left


def _boxes(profile: Profile, drawn: _Drawn, kept: Flags) -> tuple[Box, ...]:
    paths = drawn.paths
    chosen = np.flatnonzero(kept)
    chosen = chosen[np.lexsort((drawn.left[chosen], paths.depth[chosen]))]
    number = np.full(len(kept) + 1, -1)  # the last entry is what a root's parent, -1, finds
    number[chosen] = np.arange(len(chosen))
    parents = number[paths.parent[chosen]].tolist()
    frames: list[Frame | None] = [*profile.stacks.frames, None]
    pairs = zip(chosen.tolist(), parents, strict=True)
    return tuple(_box(drawn, path, parent, frames[drawn.frame[path]]) for path, parent in pairs)


def _box(drawn: _Drawn, path: int, parent: int, frame: Frame | None) -> Box:
    paths = drawn.paths
    return Box(
        place=drawn.places[paths.place[path]],
        depth=int(paths.depth[path]),
        parent=parent,
        left=drawn.left[path].item(),
        width=drawn.width[path].item(),
        value=drawn.value[path].item(),
        own=drawn.own[path].item(),
        error=drawn.error[path].item(),
        module=None if frame is None else frame.module,
        file=None if frame is None else frame.file,
        role="user" if frame is None else frame.role,
        inlined=bool(paths.inline[path]),
    )
