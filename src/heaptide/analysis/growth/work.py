# SPDX-License-Identifier: Apache-2.0
"""The common measure of two recordings: the time that passed, or the bytes that the process allocated.

The second stands for the work done where the load of the two runs differs. `compare` divides rates by it; `top` puts
what the earlier run holds on the measure of the later one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from heaptide._errors import NothingToShow
from heaptide.analysis.growth.stretch import Stretch, stretch_of
from heaptide.model import Series

Per = Literal["time", "allocated"]


@dataclass(frozen=True, slots=True)
class Ratio:
    """What two recordings did up to the moments that are compared."""

    per: Per
    before: float
    """Of the earlier recording, from its beginning: seconds awake, or bytes allocated. Above zero."""
    now: float
    """Of the later one."""

    @property
    def factor(self) -> float:
        """What the earlier recording's values are multiplied by."""
        return self.now / self.before


def amount(stretch: Stretch, per: Per, since: float = 0.0) -> float:
    """What was done from a moment (waking time, seconds) to the end of a stretch: seconds awake, or bytes allocated."""
    if per == "time":
        return float(stretch.times[-1]) - since
    allocated = [0.0, *(float(snapshot.allocated_bytes) for snapshot in stretch.snapshots)]
    return allocated[-1] - float(np.interp(since, [0.0, *stretch.times], allocated))


def ratio_of(before: Series, before_at: str, now: Series, now_at: str, per: Per) -> Ratio:
    """What two recordings did from their beginnings to a moment of each.

    Raises:
        UsageError: a moment makes no sense.
        NothingToShow: one of the two did nothing up to its moment, or its file does not tell.
    """
    done = []
    for series, at in ((before, before_at), (now, now_at)):
        done.append(amount(stretch_of(series, "start", at), per))
        if not done[-1] > 0:
            what = "how long it ran" if per == "time" else "what was allocated"
            raise NothingToShow(f"{series.path} does not tell {what} up to {at}", hint="compare without --per")
    return Ratio(per, *done)
