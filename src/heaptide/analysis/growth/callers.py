# SPDX-License-Identifier: Apache-2.0
"""Growth that is spread: thirty sites, each too weak to be accused, below one caller.

Each caller (a function, whatever its lines) gets the sum of the stacks below it whose sites do not act by themselves,
and is judged like a site. Where many sites act, they are put together below a near caller too. Of callers that act and
hold each other, the one nearest to the sites is named that still has nearly all of the growth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from heaptide.analysis.growth.paths import Paths
from heaptide.analysis.growth.result import ACTING, Judgement
from heaptide.analysis.growth.sites import Sites
from heaptide.model import Frame, Profile
from heaptide.model.histories import Histories

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Sums = Callable[[Ints, Ints, int], Histories]
"""(rows of the profile, their groups, how many groups) -> the groups' histories."""
Judge = Callable[[Histories], list[Judgement]]

_MOST = 48
"""So many callers are looked at, those with the most growth. At most 62: which stacks they have is told by bits."""
_LEAST_PARTS = 3
_LARGEST_PART = 0.6
"""Where one site has more of the growth than this, it is not spread."""
_NEARLY_ALL = 0.8
_MANY, _NEAR = 8, 3
"""So many sites that act by themselves are put together as well, below a caller that stands so near to them."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A caller that acts."""

    frame: Frame
    """The caller, without a line."""
    judgement: Judgement
    history: Histories
    rows: Ints
    """The stacks below it that were counted."""
    sites: tuple[int, ...]
    """Their sites, by growth, descending."""


@dataclass(frozen=True, slots=True)
class _Caller:
    frame: Frame
    rows: Ints
    distance: float


def spread_growth(
    profile: Profile, sites: Sites, judgements: Sequence[Judgement], growth: Floats, sums: Sums, judge: Judge
) -> list[Spread]:
    """The callers under which growth is spread.

    Args:
        profile: all stacks.
        sites: theirs.
        judgements: of the sites.
        growth: for each row of the profile what it holds at the end more than in the middle, bytes.
        sums, judge: the way to histories of any groups of rows, and from histories to judgements.
    """
    weak = np.array([judgement.verdict not in ACTING for judgement in judgements])
    many = int((~weak).sum()) >= _MANY
    reach = np.where(weak, np.inf, _NEAR if many else 0)
    paths = Paths(profile)
    callers = _callers(paths, sites, reach[sites.of_row], growth)
    if not callers:
        return []
    told = judge(_histories(callers, sums))
    acting = [place for place, judgement in enumerate(told) if judgement.verdict in ACTING]
    named = [callers[place] for place in _nearest(callers, acting, growth)]
    if not named:
        return []
    whole = [_with_acting_sites(caller, paths, sites, judgements, growth) for caller in named]
    history = _histories(whole, sums)
    return [
        Spread(
            caller.frame, judgement, history.rows(np.array([place])), caller.rows, _parts(sites, caller.rows, growth)
        )
        for place, (caller, judgement) in enumerate(zip(whole, judge(history), strict=True))
    ]


def _with_acting_sites(
    caller: _Caller, paths: Paths, sites: Sites, judgements: Sequence[Judgement], growth: Floats
) -> _Caller:
    """With the sites below it that chance has made strong enough to act alone: they are parts like the others."""
    most = _LARGEST_PART * growth[caller.rows].sum()
    elsewhere = np.bincount(sites.of_row[~paths.below(caller.frame)], minlength=len(judgements)) > 0
    size = np.bincount(sites.of_row, weights=growth, minlength=len(judgements))
    acts = np.array([judgement.verdict in ACTING for judgement in judgements])
    joins = acts & ~elsewhere & (size <= most)
    return replace(caller, rows=np.union1d(caller.rows, np.flatnonzero(joins[sites.of_row])))


def _callers(paths: Paths, sites: Sites, reach: Floats, growth: Floats) -> list[_Caller]:
    """The callers with most growth from at least `_LEAST_PARTS` sites, none of which has most of it.

    `reach`: for each row how many frames above its site a caller may stand.
    """
    spread = [
        _Caller(frame, rows, float(np.mean(far)))
        for frame, rows, far in paths.callers(sites.depth, reach)
        if _is_spread(sites, rows, growth)
    ]
    most = sorted(spread, key=lambda caller: -growth[caller.rows].sum())[:_MOST]
    return [replace(caller, frame=_whole(caller.frame)) for caller in most]


def _whole(frame: Frame) -> Frame:
    """The function, and none of its lines."""
    return replace(frame, line=None, address=None, inlined=False, unresolved=None)


def _is_spread(sites: Sites, rows: Ints, growth: Floats) -> bool:
    if len(rows) < _LEAST_PARTS or not growth[rows].sum() > 0:
        return False
    shares = _shares(sites, rows, growth)
    grown = shares[shares > 0]
    return bool(len(grown) >= _LEAST_PARTS and grown.max() <= _LARGEST_PART * grown.sum())


def _shares(sites: Sites, rows: Ints, growth: Floats) -> Floats:
    """Growth by site."""
    return np.bincount(sites.of_row[rows], weights=growth[rows]).astype(np.float64)


def _parts(sites: Sites, rows: Ints, growth: Floats) -> tuple[int, ...]:
    shares = _shares(sites, rows, growth)
    order = np.argsort(-shares, kind="stable")
    return tuple(order[shares[order] > 0].tolist())


def _histories(callers: Sequence[_Caller], sums: Sums) -> Histories:
    """One history for each caller. A stack has many: stacks with the same callers are summed first."""
    rows = np.unique(np.concatenate([caller.rows for caller in callers]))
    member = np.zeros((len(rows), len(callers)), bool)
    for place, caller in enumerate(callers):
        member[np.searchsorted(rows, caller.rows), place] = True
    bits = 1 << np.arange(len(callers) - 1, -1, -1)
    patterns, group = np.unique(member @ bits, return_inverse=True)
    base = sums(rows, group, len(patterns))
    return base.combined((patterns & bits[:, None] != 0).astype(np.float64))


def _nearest(callers: Sequence[_Caller], acting: Sequence[int], growth: Floats) -> list[int]:
    """Of callers that hold each other's stacks, the one that is named."""
    waiting = sorted(acting, key=lambda place: -growth[callers[place].rows].sum())
    named: list[int] = []
    while waiting:
        rows = set(callers[waiting[0]].rows.tolist())
        enough = _NEARLY_ALL * growth[callers[waiting[0]].rows].sum()
        inside = [
            place
            for place in waiting
            if rows.issuperset(callers[place].rows.tolist()) and growth[callers[place].rows].sum() >= enough
        ]
        named.append(min(inside, key=lambda place: (len(callers[place].rows), callers[place].distance)))
        waiting = [place for place in waiting if rows.isdisjoint(callers[place].rows.tolist())]
    return named
