# SPDX-License-Identifier: Apache-2.0
"""In use over time by the functions that hold most: the few that make a picture, and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heaptide.analysis.places import Place, place_of
from heaptide.model import Frame
from heaptide.model.changes import Changes

Ints = npt.NDArray[np.int64]

SITES = 8


@dataclass(frozen=True, slots=True)
class SiteCurve:
    """What one function held at each moment, bytes. No place: everything else."""

    place: Place | None
    bytes: Ints


def by_place(frames: Sequence[Frame], frame: Ints) -> tuple[list[Place], Ints]:
    """The functions that frames belong to: the distinct ones, and for each of `frame` its place among them."""
    found: dict[Place, int] = {}
    places = [found.setdefault(place_of(frames[index], "function"), len(found)) for index in frame.tolist()]
    return list(found), np.array(places, np.int64)


def site_curves(frames: Sequence[Frame], site: Ints, changes: Changes) -> tuple[SiteCurve, ...]:
    """The functions with most in use, summed over the moments, and last what all others hold.

    Args:
        frames: all of them.
        site: for each stack of `changes` the index of its site's frame.
    """
    places, group = by_place(frames, site)
    if not places or not changes.moments:
        return ()
    steps = np.zeros((len(places), changes.moments), np.int64)
    np.add.at(steps, (group[changes.row], changes.moment), changes.columns["inuse_space"])
    held = np.cumsum(steps, axis=1)
    order = np.argsort(-held.astype(np.float64).sum(axis=1), kind="stable")
    shown = [int(place) for place in order[:SITES] if held[place].any()]
    rest = held.sum(axis=0) - held[shown].sum(axis=0)
    return (*(SiteCurve(places[place], held[place]) for place in shown), SiteCurve(None, rest))
