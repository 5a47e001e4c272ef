# SPDX-License-Identifier: Apache-2.0
"""Sums and differences of profiles. The functions behind `Profile`'s operators.

**The error of a difference.** Between two moments A < B of one series most samples are the same, and their errors
cancel. What remains are the samples allocated between A and B that live at B, and those of A that were freed since. The
counters say how much variance was allocated (dA) and freed (dF) in between, but not how much of it is in both; so each
part is bounded by what can be in it: min(V(B), dA) + min(V(A), dF), row by row. It is an upper bound: the interval is
never too narrow. Profiles of different series are independent: their variances add up.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from heaptide.model.profile import Column, Floats, Ints, Profile
from heaptide.model.tables import StackTable, StackTableBuilder


def select(profile: Profile, rows: npt.NDArray[np.bool_] | Ints) -> Profile:
    """See `Profile.select`."""
    index = np.arange(len(profile))[rows]
    return replace(
        profile,
        stacks=StackTable(profile.stacks.frames, [profile.stacks.stacks[row] for row in index.tolist()]),
        values={name: column[index] for name, column in profile.values.items()},
        ids=None if profile.ids is None else profile.ids[index],
        variance={name: column[index] for name, column in profile.variance.items()},
        samples={name: column[index] for name, column in profile.samples.items()},
        columns=None,
    )


def subtract(new: Profile, old: Profile) -> Profile:
    """See `Profile.__sub__`."""
    _same_columns([new, old])
    joint = _Joint([new, old])
    values = {name: joint.spread(new.values[name], 0) - joint.spread(old.values[name], 1) for name in new.values}
    difference = joint.profile(values, _difference_variance(joint, new, old), joint.sum("samples"))
    difference = replace(difference, at=new.at, base=old.at, is_difference=True)
    moved = np.zeros(len(difference), bool)
    for column in values.values():
        moved |= column != 0
    return select(difference, moved)


def merge_all(profiles: Sequence[Profile]) -> Profile:
    """See `heaptide.model.merge`."""
    if not profiles:
        raise ValueError("nothing to merge")
    _same_columns(profiles)
    joint = _Joint(profiles)
    merged = joint.profile(joint.sum("values"), joint.sum("variance"), joint.sum("samples"))
    return replace(merged, is_difference=any(profile.is_difference for profile in profiles))


def scaled(profile: Profile, factor: float) -> Profile:
    """The same profile with every value times `factor` (above zero).

    Bytes are rounded to whole ones in every row; objects become float64. Its rows are no longer counts of the series,
    so it matches others by frames.
    """
    values: dict[str, Column] = {}
    for name, column in profile.values.items():
        product: Floats = column.astype(np.float64) * factor
        values[name] = product if name.endswith("_objects") else np.rint(product).astype(np.int64)
    variance = {name: column * factor**2 for name, column in profile.variance.items()}
    return replace(profile, values=values, variance=variance, ids=None, series=None, columns=None)


def check(profile: Profile) -> None:
    """See `Profile.check`."""
    rows = len(profile.stacks)
    groups: tuple[tuple[str, Any], ...] = (
        ("values", profile.values),
        ("variance", profile.variance),
        ("samples", profile.samples),
    )
    for group, columns in groups:
        for name, column in columns.items():
            assert column.shape == (rows,), f"{group}[{name!r}] has shape {column.shape}, not ({rows},)"
    if profile.ids is not None:
        assert profile.ids.shape == (rows,), f"ids has shape {profile.ids.shape}, not ({rows},)"
        assert (np.diff(profile.ids) > 0).all(), "ids are not ascending"
    frames = len(profile.stacks.frames)
    for row, stack in enumerate(profile.stacks.stacks):
        assert all(0 <= index < frames for index in stack), f"stack {row} names a frame that is not there"
    for name, column in profile.variance.items():
        assert np.isfinite(column).all() and (column >= 0).all(), f"variance[{name!r}] is not finite and positive"
    if profile.mode == "exact":
        assert not profile.variance and not profile.samples, "exact counts have no error"
    if not profile.is_difference:
        _check_signs(profile)


def _check_signs(profile: Profile) -> None:
    for name, column in profile.values.items():
        assert (column >= 0).all(), f"{name} is negative in row {int(np.argmin(column))}"
    for unit in ("objects", "space"):
        pair = [profile.values.get(f"{kind}_{unit}") for kind in ("inuse", "alloc")]
        if pair[0] is not None and pair[1] is not None and profile.series is not None:
            more = pair[0] > pair[1]
            assert not more.any(), f"more {unit} in use than allocated in row {int(np.argmax(more))}"


def _same_columns(profiles: Sequence[Profile]) -> None:
    """Raises TypeError when the profiles cannot be added up column by column."""
    first = profiles[0]
    for other in profiles[1:]:
        if set(other.values) != set(first.values):
            missing = ", ".join(sorted(set(other.values) ^ set(first.values)))
            raise TypeError(f"the profiles do not hold the same values: only one of them has {missing}")


def _difference_variance(joint: "_Joint", new: Profile, old: Profile) -> dict[str, Floats]:
    summed = joint.sum("variance")
    plain = not new.is_difference and not old.is_difference
    if not (joint.by_id and plain and {"alloc_space", "inuse_space"} <= set(new.variance) & set(old.variance)):
        return summed
    alloc_new, alloc_old = joint.spread(new.variance["alloc_space"], 0), joint.spread(old.variance["alloc_space"], 1)
    live_new, live_old = joint.spread(new.variance["inuse_space"], 0), joint.spread(old.variance["inuse_space"], 1)
    allocated = np.abs(alloc_new - alloc_old)
    freed = np.abs((alloc_new - live_new) - (alloc_old - live_old))
    later_live, earlier_live = live_new, live_old
    if new.at is not None and old.at is not None and new.at.number < old.at.number:
        later_live, earlier_live = live_old, live_new
    bound = np.minimum(later_live, allocated) + np.minimum(earlier_live, freed)
    return summed | {"alloc_space": allocated, "inuse_space": bound}


class _Joint:
    """The union of the stacks of several profiles, and where each profile's rows are in it."""

    def __init__(self, profiles: Sequence[Profile]) -> None:
        self.profiles = profiles
        first = profiles[0]
        self.by_id = all(
            profile.ids is not None and profile.series is not None and profile.series == first.series
            for profile in profiles
        )
        self.ids: Ints | None = None
        keys: list[list[Hashable]]
        if self.by_id:
            keys = [profile.ids.tolist() for profile in profiles if profile.ids is not None]
            order: list[Hashable] = sorted(set().union(*keys))  # type: ignore[type-var]
            self.ids = np.array(order, np.int64)
        else:
            keys = [list(profile.stacks.keys()) for profile in profiles]
            order = list(dict.fromkeys(key for of_one in keys for key in of_one))
        place = {key: row for row, key in enumerate(order)}
        self.rows = [np.array([place[key] for key in of_one], np.int64) for of_one in keys]
        self.stacks = self._stacks(len(order))

    def _stacks(self, count: int) -> StackTable:
        builder = StackTableBuilder()
        stacks: list[tuple[int, ...] | None] = [None] * count
        for profile, rows in zip(self.profiles, self.rows, strict=True):
            local = [builder.frame(frame) for frame in profile.stacks.frames]
            for row, stack in zip(rows.tolist(), profile.stacks.stacks, strict=True):
                if stacks[row] is None:
                    stacks[row] = tuple(local[index] for index in stack)
        return StackTable(builder.frames, [stack or () for stack in stacks])

    def spread(self, column: Any, which: int) -> Any:
        """A column of profile number `which`, on the rows of the union; rows of equal stacks are added up."""
        out = np.zeros(len(self.stacks), column.dtype)
        np.add.at(out, self.rows[which], column)
        return out

    def sum(self, group: str) -> dict[str, Any]:
        """The columns of a group (`values`, `variance`, `samples`), added up over the profiles that have them."""
        out: dict[str, Any] = {}
        for which, profile in enumerate(self.profiles):
            for name, column in getattr(profile, group).items():
                part = self.spread(column, which)
                out[name] = out[name] + part if name in out else part
        return out

    def profile(self, values: dict[str, Column], variance: dict[str, Floats], samples: dict[str, Ints]) -> Profile:
        """A profile on the rows of the union."""
        sampled = any(profile.mode == "sampled" for profile in self.profiles)
        return Profile(
            stacks=self.stacks,
            values=values,
            mode="sampled" if sampled else "exact",
            ids=self.ids,
            variance=variance,
            samples=samples,
            series=self.profiles[0].series if self.by_id else None,
        )
