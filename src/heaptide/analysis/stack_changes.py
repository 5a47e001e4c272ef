# SPDX-License-Identifier: Apache-2.0
"""All stacks of a recording at some of its moments: their frames, and what each allocated and held in between.

What a page needs that adds up any range by itself. A capture matches its stacks by their ids; of other files, and of
profiles that were filtered, stacks with the same frames are the same.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heaptide.model import VALUES, Profile, Series, StackTable, StackTableBuilder
from heaptide.model.changes import COUNTERS, Changes, changes_of_totals

Ints = npt.NDArray[np.int64]

_ESTIMATE = 1 << 16
"""What objects are multiplied by where they are no whole numbers, as in a capture."""


@dataclass(frozen=True, slots=True)
class StackChanges:
    """Stacks and their numbers; the rows of `changes` are those of `stacks`."""

    stacks: StackTable
    changes: Changes
    values: tuple[str, ...]
    """Which of the four value types the recording tells; the others mean nothing."""


def stack_changes(series: Series, at: Ints) -> StackChanges:
    """Of a recording at the snapshots of these indices (ascending; the last one has to be among them)."""
    changes = series.changes(at)
    if changes is None:
        return stack_changes_of([series.at(series.snapshots[index]) for index in at.tolist()])
    profile = series.at(series.snapshots[-1])
    return StackChanges(profile.stacks, changes, tuple(VALUES))


def stack_changes_of(profiles: Sequence[Profile]) -> StackChanges:
    """Of profiles, one for each moment, in the order of time. Stacks match by their frames.

    What a profile does not tell was allocated is taken to be what is in use.
    """
    builder, rows = StackTableBuilder(), dict[tuple[Hashable, ...], int]()
    of_moment = [_rows(profile, builder, rows) for profile in profiles]
    told = [value for value in VALUES if all(value in profile.values for profile in profiles)]
    scale = 1 if all(_is_whole(profile) for profile in profiles) else _ESTIMATE
    shape = (len(rows), len(profiles))
    totals = {name: np.zeros(shape, np.int64) for name in COUNTERS}
    for moment, (profile, place) in enumerate(zip(profiles, of_moment, strict=True)):
        for name, column in _counters(profile, scale).items():
            np.add.at(totals[name][:, moment], place, column)
    row, moments = (grid.reshape(-1) for grid in np.indices(shape))
    flat = {name: matrix.reshape(-1) for name, matrix in totals.items()}
    changes = changes_of_totals(*shape, row, moments, flat, {}, scale)
    return StackChanges(builder.table(), _with_variances(changes, profiles), tuple(told))


def _rows(profile: Profile, builder: StackTableBuilder, rows: dict[tuple[Hashable, ...], int]) -> Ints:
    """For each row of a profile its row in the table of all; new ones are added."""
    out = np.zeros(len(profile), np.int64)
    for row, key in enumerate(profile.stacks.keys()):
        if key not in rows:
            rows[key] = builder.add(profile.frames_of(row))
        out[row] = rows[key]
    return out


def _is_whole(profile: Profile) -> bool:
    return all(profile.values[name].dtype.kind == "i" for name in VALUES if name in profile.values)


def _counters(profile: Profile, scale: int) -> dict[str, Ints]:
    """The values as whole numbers, objects times `scale`; see `stack_changes_of` for those that are not told."""
    found: dict[str, Ints] = {}
    zero = np.zeros(len(profile), np.int64)
    for unit, factor in (("space", 1), ("objects", scale)):
        in_use = profile.values.get(f"inuse_{unit}")
        allocated = profile.values.get(f"alloc_{unit}", zero if in_use is None else in_use)
        held = zero if in_use is None else in_use
        for name, column in ((f"alloc_{unit}", allocated), (f"inuse_{unit}", held)):
            found[name] = np.rint(column * factor).astype(np.int64)
    return found


def _with_variances(changes: Changes, profiles: Sequence[Profile]) -> Changes:
    """With the profiles' own variances, such that the difference of both sums is that of what is in use."""
    if not any(profile.variance for profile in profiles):
        return changes
    zero = np.zeros(1)
    allocated = np.array([profile.variance.get("alloc_space", zero).sum() for profile in profiles])
    live = np.array([profile.variance.get("inuse_space", zero).sum() for profile in profiles])
    return Changes(
        changes.stacks,
        changes.moment,
        changes.row,
        changes.columns,
        changes.object_scale,
        np.maximum(allocated, live),
        np.maximum(allocated, live) - live,
    )
