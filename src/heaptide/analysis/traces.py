# SPDX-License-Identifier: Apache-2.0
"""Every stack with its values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heaptide.analysis.site import site_index
from heaptide.model import Frame, Profile


@dataclass(frozen=True, slots=True)
class Trace:
    """One stack, leaf first: its value, the half-width of that value's 95 % interval, and the other columns."""

    value: float
    error: float
    values: dict[str, float]
    frames: tuple[Frame, ...]
    site: int | None
    """Index into ``frames`` of the leaf-most frame that is the user's own; None where there is none."""


@dataclass(frozen=True, slots=True)
class Traces:
    """All stacks whose value is not zero, largest absolute value first."""

    value: str
    total: float
    error: float
    traces: tuple[Trace, ...]
    is_difference: bool


def traces(profile: Profile, *, value: str = "inuse_space") -> Traces:
    """Every stack, by falling absolute value. Raises KeyError when the profile does not hold ``value``."""
    column, errors = profile.column(value), profile.errors(value)
    rows = np.flatnonzero(column)
    rows = rows[np.argsort(-np.abs(column[rows]), kind="stable")]
    return Traces(
        value,
        profile.total(value),
        profile.error(value),
        tuple(_trace(profile, value, row, errors[row].item()) for row in rows.tolist()),
        profile.is_difference,
    )


def _trace(profile: Profile, value: str, row: int, error: float) -> Trace:
    frames = profile.frames_of(row)
    values = {name: column[row].item() for name, column in profile.values.items()}
    return Trace(values[value], error, values, frames, site_index(frames))
