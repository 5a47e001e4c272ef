# SPDX-License-Identifier: Apache-2.0
"""From the stacks of a series to judged suspects: sites, and callers under which growth is spread."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from heaptide._errors import NothingToShow
from heaptide.analysis.growth.ages import Ages, ages_of
from heaptide.analysis.growth.callers import Spread, spread_growth
from heaptide.analysis.growth.decide import Setting, decide
from heaptide.analysis.growth.result import ACTING, Judgement, Kind, Step, Suspect
from heaptide.analysis.growth.sites import Sites, heaviest_stack, sites_of
from heaptide.analysis.growth.stretch import Stretch
from heaptide.analysis.growth.telling import Telling
from heaptide.model import Profile, Series
from heaptide.model.histories import Histories

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SPARK_POINTS = 32
FLOOR_PART = 0.05
"""The floor of interest: growth over the judged stretch by this part of the process's largest use of memory."""
FLOOR_BYTES = 64 * 1024.0
FLOOR_GRAINS = 10.0
"""... and by so many samples: what is less cannot be told from nothing."""
CLOSE_LOOK = 0.2
"""Where there are many sites, those that grew with a chance of no growth below this are judged from all moments."""
CELLS = 4_000_000
"""Sites times snapshots up to which all are judged from all moments."""
COARSE = 48


@dataclass(frozen=True, slots=True)
class _Case:
    """One series and what is needed to judge any group of its stacks."""

    series: Series
    kind: Kind
    process: int
    stretch: Stretch
    profile: Profile
    ids: Ints
    sites: Sites
    setting: Setting

    def sums(self, columns: Ints, rows: Ints, group: Ints, count: int) -> Histories:
        """Histories of groups of the profile's rows, at some places of the stretch."""
        return self.series.histories(self.ids[rows], group, count, self.stretch.columns[columns])

    def judge(self, columns: Ints, histories: Histories) -> list[Judgement]:
        return decide(histories, self.stretch.times[columns], self.setting)


def suspects_of(
    series: Series, stretch: Stretch, kind: Kind, process: int, min_rate: float, not_mine: re.Pattern[str] | None
) -> list[Suspect]:
    """Every site of a series, judged over a stretch, and the callers under which growth is spread.

    Their ranks and shares, and what depends on other recordings, is `judge`'s to say.
    """
    profile = series.at(series.snapshots[-1])
    if not len(profile) or profile.ids is None:
        return []
    sites = sites_of(profile, not_mine)
    setting = setting_of(series, stretch, profile, min_rate)
    case = _Case(series, kind, process, stretch, profile, profile.ids, sites, setting)
    histories, judgements = _judged(case)
    ages = _ages(case)
    if ages is not None:
        judgements = [ages.told_apart(place, judgement, histories) for place, judgement in enumerate(judgements)]
    growth = _growth_by_row(series, stretch, profile.ids)
    every = np.arange(len(stretch.columns))
    callers = spread_growth(profile, sites, judgements, growth, partial(case.sums, every), partial(case.judge, every))
    members, sparks = _members(sites), _sparks(case.stretch, histories.in_use_bytes)
    told = Telling(profile, sites)
    found = [
        _told(
            _site(case, place, judgement, sparks[place], members[place], growth, ages.shares(place) if ages else ()),
            told,
            (place,),
        )
        for place, judgement in enumerate(judgements)
    ]
    parts = {site for spread in callers for site in spread.sites}
    alone = [suspect for place, suspect in enumerate(found) if place not in parts]
    return [*(_told(_caller(case, spread, found, growth), told, spread.sites) for spread in callers), *alone]


def setting_of(series: Series, stretch: Stretch, profile: Profile, min_rate: float) -> Setting:
    """The floor of interest is a rate; see the constants."""
    largest = max(snapshot.in_use_bytes for snapshot in stretch.snapshots)
    sampled = series.mode == "sampled"
    allocated = profile.total("alloc_space")
    sample = float(profile.variance["alloc_space"].sum()) / allocated if sampled and allocated else 0.0
    floor = max(FLOOR_BYTES, FLOOR_PART * largest, FLOOR_GRAINS * sample) / stretch.length
    return Setting(sampled, max(min_rate, floor), min_rate)


def _judged(case: _Case) -> tuple[Histories, list[Judgement]]:
    """Sites' histories (at all moments, or where there are too many sites at some) and judgements."""
    rows, count = np.arange(len(case.profile)), len(case.sites.frames)
    every = np.arange(len(case.stretch.columns))
    if count * len(every) <= CELLS:
        histories = case.sums(every, rows, case.sites.of_row, count)
        return histories, case.judge(every, histories)
    coarse = case.stretch.thinned(COARSE)
    histories = case.sums(coarse, rows, case.sites.of_row, count)
    judgements = case.judge(coarse, histories)
    close = np.array([_deserves_a_close_look(judgement) for judgement in judgements])
    places = np.flatnonzero(close)
    chosen = close[case.sites.of_row]
    group = np.searchsorted(places, case.sites.of_row[chosen])
    fine = case.judge(every, case.sums(every, rows[chosen], group, len(places)))
    for place, judgement in zip(places.tolist(), fine, strict=True):
        judgements[place] = judgement
    return histories, judgements


def _deserves_a_close_look(judgement: Judgement) -> bool:
    return bool(judgement.steps) or judgement.evidence["p"] < CLOSE_LOOK or judgement.verdict in ACTING


def _growth_by_row(series: Series, stretch: Stretch, ids: Ints) -> Floats:
    """What each stack holds at the end of the stretch more than in its middle, bytes."""
    middle = int(np.searchsorted(stretch.times, (stretch.times[0] + stretch.times[-1]) / 2))
    ends = stretch.columns[[min(middle, len(stretch.columns) - 2), -1]]
    history = series.histories(ids, np.arange(len(ids)), len(ids), ends)
    result: Floats = history.in_use_bytes[:, 1] - history.in_use_bytes[:, 0]
    return result


def _ages(case: _Case) -> Ages | None:
    """None where nobody read them."""
    try:
        survivors = case.series.survivors(case.stretch.snapshots[-1].number)  # mappings have snapshots of their own
    except NothingToShow:
        return None
    return ages_of(survivors, case.ids, case.sites)


def _members(sites: Sites) -> list[Ints]:
    """For each site its rows."""
    order = np.argsort(sites.of_row, kind="stable")
    return np.split(order, np.cumsum(np.bincount(sites.of_row, minlength=len(sites.frames)))[:-1])


def _told(suspect: Suspect, told: Telling, own: Sequence[int]) -> Suspect:
    acts = suspect.judgement.verdict in ACTING
    return replace(suspect, telling=told.frames(suspect.stack, own)) if acts else suspect


def _site(
    case: _Case,
    place: int,
    judgement: Judgement,
    spark: tuple[float, ...],
    rows: Ints,
    growth: Floats,
    ages: tuple[float, ...],
) -> Suspect:
    return Suspect(
        rank=0,
        kind=case.kind,
        process=case.process,
        judgement=judgement,
        site=case.sites.frames[place],
        stack=heaviest_stack(case.profile, case.sites, rows, growth),
        steps=_steps(case.stretch, judgement),
        share=0.0,
        spark=spark,
        stacks=len(rows),
        ages=ages,
    )


def _caller(case: _Case, spread: Spread, sites: Sequence[Suspect], growth: Floats) -> Suspect:
    row = int(spread.rows[np.argmax(growth[spread.rows])])
    frames = case.profile.frames_of(row)
    place = next(i for i, frame in enumerate(frames) if frame.function == spread.frame.function)
    return Suspect(
        rank=0,
        kind=case.kind,
        process=case.process,
        judgement=spread.judgement,
        site=spread.frame,
        stack=frames[place:],
        steps=_steps(case.stretch, spread.judgement),
        share=0.0,
        spark=_sparks(case.stretch, spread.history.in_use_bytes[:1])[0],
        stacks=len(spread.rows),
        parts=tuple(sites[site] for site in spread.sites),
    )


def _steps(stretch: Stretch, judgement: Judgement) -> tuple[Step, ...]:
    rises = zip(judgement.steps, judgement.step_bytes, judgement.step_objects, strict=True)
    return tuple(
        Step(stretch.snapshots[index].offset_s, stretch.snapshots[index].realtime_ns, size, blocks)
        for index, size, blocks in rises
    )


def _sparks(stretch: Stretch, in_use: Floats) -> list[tuple[float, ...]]:
    """One for each row."""
    times = stretch.times if in_use.shape[1] == len(stretch.times) else stretch.times[stretch.thinned(COARSE)]
    moments = np.linspace(stretch.times[0], stretch.times[-1], SPARK_POINTS)
    return [tuple(np.interp(moments, times, row).tolist()) for row in in_use]
