# SPDX-License-Identifier: Apache-2.0
"""Survivors by birth as a histogram: of what is in use at the end, how much was allocated when, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heaptide._errors import NothingToShow
from heaptide.analysis.places import Place
from heaptide.analysis.site import site_of
from heaptide.analysis.site_curves import SITES, by_place
from heaptide.model import Series, Snapshot
from heaptide.model.profile import Z95

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BINS = 24


@dataclass(frozen=True, slots=True)
class Births:
    """Estimates, in exact mode as well. Births that no snapshot tells apart are in one bin."""

    read: Snapshot
    """Beside which snapshot it was read."""
    edges: Floats
    """Bounds of the bins, seconds since recording began: one more than there are bins."""
    bytes: Floats
    """In use, by bin."""
    error: Floats
    """Half-widths of the 95 % intervals."""
    places: tuple[Place | None, ...]
    """The functions that hold most; the last, None, is everything else."""
    by_place: Floats
    """Functions by bins, bytes."""


def births(series: Series) -> Births | None:
    """Of what is in use at `end`, as last read up to there. None where the recording does not tell."""
    try:
        found = series.survivors("end")
    except NothingToShow:
        return None
    if not len(found.ids):
        return None
    read = series.moment(found.at_number)
    edges = np.linspace(0.0, max(found.at_s, 1e-9), BINS + 1)
    bins = np.clip(np.searchsorted(edges, found.born_s, side="left") - 1, 0, BINS - 1)
    places, group = _places(series, read, found.ids)
    size = np.zeros((len(places), BINS))
    np.add.at(size, (group, bins), found.bytes)
    order = np.argsort(-size.sum(axis=1), kind="stable")
    shown, rest = order[:SITES], order[SITES:]
    return Births(
        read=read,
        edges=edges,
        bytes=size.sum(axis=0),
        error=Z95 * np.sqrt(np.bincount(bins, found.variance, BINS)),
        places=(*(places[place] for place in shown.tolist()), None),
        by_place=np.concatenate((size[shown], size[rest].sum(axis=0, keepdims=True))),
    )


def _places(series: Series, read: Snapshot, ids: Ints) -> tuple[list[Place | None], Ints]:
    """The site's function of each survivor: the distinct ones, and for each of `ids` its place among them."""
    profile = series.born("start", series.snapshots[-1], read)
    assert profile.ids is not None
    stacks = profile.stacks
    sites = [site_of(profile.frames_of(row)) for row in range(len(profile))]
    frames = [site if site is not None else stacks.frames[stacks.stacks[row][0]] for row, site in enumerate(sites)]
    places, of_row = by_place(frames, np.arange(len(frames)))
    return list(places), of_row[np.searchsorted(profile.ids, ids)]
