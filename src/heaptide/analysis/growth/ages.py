# SPDX-License-Identifier: Apache-2.0
"""When that which each site holds was allocated, and what that says: is what stays long ever freed?

A leak that shares its site with churn frees much and keeps a little: from what is freed alone it looks like a map whose
entries are replaced. Their survivors differ. Of a map's entries less is left the older they are; of a leak's blocks as
much is left of the first quarter of the run as of the third, in proportion to what was allocated in each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from heaptide.analysis.growth.result import Judgement
from heaptide.analysis.growth.sites import Sites
from heaptide.model.histories import Histories
from heaptide.model.survivors import Survivors

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

QUARTERS = 4
_SURE = 1.96
"""Standard deviations."""


@dataclass(frozen=True, slots=True)
class Ages:
    """Survivors of each site by the quarter of the recording in which they were allocated; sites x quarters."""

    at_s: float
    """When the survivors were read, seconds since recording began."""
    bytes: Floats
    variance: Floats
    """Bytes²."""

    def shares(self, site: int) -> tuple[float, ...]:
        """Of what a site holds the parts that were allocated in each quarter; empty where nothing of it was sampled."""
        total = float(self.bytes[site].sum())
        return tuple((self.bytes[site] / total).tolist()) if total > 0 else ()

    def told_apart(self, site: int, judgement: Judgement, histories: Histories) -> Judgement:
        """A site that grows while its blocks are replaced is a leak where what stays is never freed.

        Args:
            site: its row here and in `histories`.
            judgement: what its numbers said, without ages.
            histories: totals at some moments of the recording.
        """
        replaced = judgement.evidence["replaced"] > 1 and not judgement.evidence["container"]
        if judgement.verdict != "growing" or judgement.evidence["kept"] or not replaced:
            return judgement
        marks = np.linspace(0, self.at_s, QUARTERS + 1)
        allocated = np.append(0.0, histories.alloc_bytes[site])
        done = np.diff(np.interp(marks, np.append(0.0, histories.offset_s), allocated))
        if not _is_of_all_ages(self.bytes[site], self.variance[site], done):
            return judgement
        return replace(judgement, verdict="leak", why=f"{judgement.why}, and what stays is of all ages")


def ages_of(survivors: Survivors, ids: Ints, sites: Sites) -> Ages:
    """Survivors by site.

    Args:
        survivors: by stack and birth.
        ids: of the profile's rows, ascending.
        sites: of the same rows.
    """
    row = np.minimum(np.searchsorted(ids, survivors.ids), len(ids) - 1)
    known = ids[row] == survivors.ids
    quarter = np.clip(survivors.born_s / max(survivors.at_s, 1e-9) * QUARTERS, 0, QUARTERS - 1).astype(np.int64)
    cells = (sites.of_row[row] * QUARTERS + quarter)[known]
    count = len(sites.frames) * QUARTERS
    size, variance = (
        np.bincount(cells, column[known], count).reshape(-1, QUARTERS).astype(np.float64)
        for column in (survivors.bytes, survivors.variance)
    )
    return Ages(survivors.at_s, size, variance)


def _is_of_all_ages(size: Floats, variance: Floats, allocated: Floats) -> bool:
    """Whether of the first and of the second quarter something is surely left, and in proportion to what was allocated
    not surely less than of the third. The last quarter holds what lives its usual life."""
    if not (allocated > 0).all():
        return False
    left, error = size / allocated, variance / np.square(allocated)
    old, young = left[:2], left[2]
    there = old > _SURE * np.sqrt(error[:2])
    no_less = old >= young - _SURE * np.sqrt(error[:2] + error[2])
    return bool((there & no_less).all())
