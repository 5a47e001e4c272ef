# SPDX-License-Identifier: Apache-2.0
"""What a view that follows a running program asks again and again: who holds what now, and what verdict forms.

`heaptide growth` judges every site, and callers under which growth is spread. Here only sites that matter are judged,
in the same way and from the same histories, so that a reading costs little however many sites there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from heaptide.analysis.growth.decide import LEAST_SNAPSHOTS, decide
from heaptide.analysis.growth.judge import LEAST_SECONDS
from heaptide.analysis.growth.result import Judgement, Kind
from heaptide.analysis.growth.sites import Sites, sites_of
from heaptide.analysis.growth.stretch import Stretch, stretch_of
from heaptide.analysis.growth.suspects import setting_of
from heaptide.analysis.places import Floats, Ints
from heaptide.model import Profile, Series, Snapshot

LARGEST = 100
"""Judged are so many sites that hold most, and as many that grew most over the last half of the recording."""


@dataclass(frozen=True, slots=True)
class Account:
    """One kind of memory at the newest moment: the allocator's blocks, or what the program mapped itself."""

    kind: Kind
    series: Series
    profile: Profile
    first: Profile
    """At the first snapshot."""
    sites: Sites
    judgements: Mapping[int, Judgement]
    """By site; those that were judged."""

    def by_site(self, column: Ints | Floats) -> Floats:
        """A column of the profile's rows, summed by site."""
        return np.bincount(self.sites.of_row, column, len(self.sites.frames)).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Watch:
    """A recording as it stands."""

    series: Series
    at: Snapshot
    """The newest moment; of a recording that ended, the last before the final fall (`end`)."""
    accounts: tuple[Account, ...]
    too_short: str = ""
    """Why nothing was judged, where nothing was: how much there is."""


def look(series: Series) -> Watch:
    """Who holds what at the newest moment; nothing is judged. Names are looked up, which may be slow the first time.

    Raises:
        NothingToShow: the recording holds no snapshot.
    """
    at = series.moment("end")
    accounts = [_account("heap", series, at)]
    if series.mappings is not None:
        accounts.append(_account("mmap", series.mappings, at))
    return Watch(series, at, tuple(accounts))


def judged(watch: Watch) -> Watch:
    """The same with verdicts."""
    stretch = stretch_of(watch.series, "start", "end")
    if len(stretch.columns) < LEAST_SNAPSHOTS or stretch.length < LEAST_SECONDS:
        return replace(watch, too_short=f"{len(stretch.columns)} snapshots over {stretch.length:.1f} s")
    return replace(watch, accounts=tuple(_judged(account, stretch) for account in watch.accounts))


def _account(kind: Kind, series: Series, at: Snapshot) -> Account:
    profile = series.at(at.number)
    return Account(kind, series, profile, series.at(series.snapshots[0]), sites_of(profile), {})


def _judged(account: Account, stretch: Stretch) -> Account:
    ids = account.profile.ids
    if ids is None or not len(ids):
        return account
    places = _largest(account, stretch, ids)
    group = np.full(len(account.sites.frames), -1)
    group[places] = np.arange(len(places))
    rows = np.flatnonzero(group[account.sites.of_row] >= 0)
    histories = account.series.histories(ids[rows], group[account.sites.of_row[rows]], len(places), stretch.columns)
    setting = setting_of(account.series, stretch, account.profile, 0.0)
    found = decide(histories, stretch.times, setting)
    return replace(account, judgements=dict(zip(places.tolist(), found, strict=True)))


def _largest(account: Account, stretch: Stretch, ids: Ints) -> Ints:
    """The sites worth judging, ascending."""
    count = len(account.sites.frames)
    if count <= 2 * LARGEST:
        return np.arange(count)
    middle = int(np.searchsorted(stretch.times, (stretch.times[0] + stretch.times[-1]) / 2))
    ends = stretch.columns[[min(middle, len(stretch.columns) - 2), -1]]
    in_use = account.series.histories(ids, account.sites.of_row, count, ends).in_use_bytes
    holding = np.argpartition(-in_use[:, 1], LARGEST)[:LARGEST]
    growing = np.argpartition(in_use[:, 0] - in_use[:, 1], LARGEST)[:LARGEST]
    return np.union1d(holding, growing)


def curve(series: Series, figure: str, points: int) -> tuple[float, ...]:
    """A figure of the process while it lived (`statm_resident` ...), or `in_use`, at equal times up to `end`.

    Bytes; empty where no snapshot has it.
    """
    last = series.moment("end").number if series.snapshots else 0
    read = [
        (one.offset_s, one.in_use_bytes if figure == "in_use" else one.memory[figure])
        for one in series.snapshots
        if one.number <= last and (figure == "in_use" or (figure in one.memory and one.kind != "exit"))
    ]
    if not read or points < 1:
        return ()
    times, values = np.array(read, np.float64).T
    return tuple(np.interp(np.linspace(times[0], times[-1], points), times, values).tolist())
