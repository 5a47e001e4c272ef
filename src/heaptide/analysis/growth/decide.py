# SPDX-License-Identifier: Apache-2.0
"""From features to verdicts. The rules stand in the order in which docs/design/0006-the-verdict.md explains them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heaptide.analysis.growth import bends, shape, trend
from heaptide.analysis.growth.bins import bin_count, bin_means
from heaptide.analysis.growth.features import WARM_UP, Features, measure
from heaptide.analysis.growth.jumps import Jumps, jumps_of
from heaptide.analysis.growth.result import Judgement, Verdict
from heaptide.model.histories import Histories

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LEAST_SNAPSHOTS = 6
ALPHA = 2e-3
"""How improbable no growth must be before a site is accused ..."""
ALPHA_KEPT = 1e-2
"""... and one of which nothing is freed: what is live there does not come and go."""
ALPHA_BOTH = 5e-4
"""... and one whose age has surely grown, where load makes what is in use noisy."""
ARRIVALS, LATE_SHARE, LATE_PART = 3, 0.3, 0.25
"""Without that much proof, kept memory is accused that came in so many portions in the last half, was there so large a
part of all growth after the start, and of all that is in use."""
ALPHA_AGE = 1e-3
"""... and before its growth is taken for more than its load's, when load has risen ..."""
ALPHA_SAME_LOAD = 0.2
"""... and when it has not."""
CANDIDATE = 0.025
"""The definition's bound: below it a site is looked at more closely."""
PERHAPS = 0.1
"""Above it a site shows no growth at all."""
GOES_ON = 0.4
"""Growth goes on when its rate over the last half is at least this part of the rate before."""
RECORD = 0.25
"""How far above its past a site must stand, as a part of what the last half's rate amounts to."""
FALLEN = 0.2
"""What has once been given back from so high, as a part of the present level, may be given back again."""
BOUNDED = 0.5
"""Probability of a bound that excuses."""
EARLY_SHARE = 0.3
"""Where less of the growth came in the last half, it runs out unless it surely goes on; but of few portions fewer may
come late by chance."""
LATE, GOES_ON_LATE = 0.35, 0.02
"""Growth that surely goes on after this part of the run is not excused by what was before."""
CONTAINER = 0.3
"""Less than this part of the growth comes from more blocks: the blocks grow."""
SURE, FAIRLY_SURE, PERHAPS_SURE, EXCUSED, EARLIER, OPEN, QUIET = 0.998, 0.98, 0.15, 0.1, 0.04, 0.0045, 0.0002
"""Confidence, by rule: the share of the sites under it that do grow, over thousands of runs of the shapes of
tests/programs/shapes (docs/design/0007 has the counts)."""
FAIRLY = 1e-4
SWING = 0.5
ROUGH = 8.0


@dataclass(frozen=True, slots=True)
class Setting:
    """What a verdict depends on beside the site's own numbers."""

    sampled: bool
    floor: float
    """Bytes per second below which growth is of no interest."""
    min_rate: float = 0.0
    """Bytes per second: what surely grows slower is not accused."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of each row beside its features."""

    p: Floats
    """Probability that the last half did not grow; of all but the warm-up, where growth goes on."""
    p_age: Floats
    """The same of the age of what is in use."""
    record: Floats
    """See `RECORD`."""
    bounded: Floats
    bound: Floats
    container: Flags
    replaced: Floats
    """Bytes freed in the last half for each byte in use in its middle."""
    returns: npt.NDArray[np.int64]
    swing: Floats
    """Range over largest value."""
    rough: Floats
    """Range over the noise from bin to bin."""
    filled: Floats
    """Part of what is in use that came between the first twentieth of the run and its last third."""
    share: Floats
    """Of the growth since the first twentieth of the run, the part of the last half."""
    part: Floats
    """Of what is in use, the part that came in the last half."""
    arrivals: npt.NDArray[np.int64]
    """In the last half, see `shape.arrivals`."""
    fallen: Floats
    """See `shape.fallen`."""
    louder: Flags
    """See `shape.load_rose`."""


@dataclass(frozen=True, slots=True)
class _Known:
    """All that is known of all rows, and what a verdict depends on beside it."""

    histories: Histories
    times: Floats
    features: Features
    facts: Facts
    setting: Setting


def decide(histories: Histories, times: Floats, setting: Setting) -> list[Judgement]:
    """One judgement for each row of `histories`, which hold the judged stretch alone.

    Args:
        histories: totals at each snapshot of the stretch.
        times: the snapshots in waking time, seconds, ascending; at least `LEAST_SNAPSHOTS`.
        setting: mode and floor of interest.
    """
    features = measure(histories, times, setting.sampled)
    facts = _facts(histories, times, features)
    jumps = jumps_of(histories, times, features)
    known = _Known(histories, times, features, facts, setting)
    every = zip(jumps, _evidence_of(features, facts, jumps), strict=True)
    return [_judgement(known, row, found, evidence) for row, (found, evidence) in enumerate(every)]


def _facts(histories: Histories, times: Floats, features: Features) -> Facts:
    begin, length = float(times[0]), float(times[-1] - times[0])
    bins = bin_count(times, begin, float(times[-1]))
    means = features.series @ bin_means(times, begin, float(times[-1]), bins)
    noise = shape.roughness(means)
    later = features.series @ bin_means(times, begin + 0.05 * length, float(times[-1]), bins)
    reach = later.max(axis=1) - later.min(axis=1)
    claimed = np.maximum(features.half.rate * length / 2, 1e-9)
    p = _evidence(features.half, features.main, features.before)
    top = np.maximum(later.max(axis=1), 1e-300)
    risen = means[:, -1] - means[:, bins // 2]
    grown = np.maximum(later[:, -1] - later[:, 0], 1e-9)
    latest = features.series @ bin_means(times, begin + LATE * length, float(times[-1]), bins)
    portions = np.maximum(shape.arrivals(later), 1)
    least = np.minimum(EARLY_SHARE, 0.5 - 1 / np.sqrt(portions))  # two standard deviations below one half
    bounded, bound = _bounds(later, latest, risen < least * grown, p)
    return Facts(
        p=p,
        p_age=_age_evidence(histories, times, features, p),
        record=shape.record(means, noise) / claimed,
        bounded=bounded,
        bound=bound,
        container=_is_container(histories, features),
        replaced=_replaced(histories, features),
        returns=shape.returns(later),
        swing=reach / top,
        rough=reach / np.maximum(noise, 1e-9 * top),
        filled=(later[:, 2 * bins // 3] - later[:, 0]) / top,
        share=risen / grown,
        part=risen / top,
        arrivals=shape.arrivals(means[:, bins // 2 :]),
        fallen=shape.fallen(later),
        louder=np.array(
            [
                shape.load_rose(times, allocated, in_use) if suspected else False
                for allocated, in_use, suspected in zip(
                    histories.alloc_bytes, features.series, p < CANDIDATE, strict=True
                )
            ],
            bool,
        ),
    )


def _bounds(later: Floats, latest: Floats, early: Flags, p: Floats) -> tuple[Floats, Floats]:
    """Probability of a bound, and the bound, for the rows that may have grown (the others: 0, and what they hold).

    Args:
        later, latest: bin means of the run but its first moments, and of its last two thirds.
        early: most of the growth came before the last half.
        p: see `Facts.p`.
    """
    bounded, bound = np.zeros(len(p)), later[:, -1].copy()
    rows = np.flatnonzero(p < PERHAPS)
    if not len(rows):
        return bounded, bound
    whole, late = bends.compare(later[rows]), bends.compare(latest[rows]).bounded
    goes_on = late < GOES_ON_LATE
    probable = np.where(goes_on, np.minimum(late, whole.bounded), whole.bounded)
    bounded[rows] = np.where(~goes_on & early[rows], 1.0, probable)
    bound[rows] = whole.bound
    return bounded, bound


def _evidence(half: trend.Trend, main: trend.Trend, before: trend.Trend) -> Floats:
    """All but the warm-up counts only where growth goes on: a cache that fills has grown as well."""
    goes_on = half.rate >= GOES_ON * before.rate
    return np.minimum(half.below(0.0), np.where(goes_on, main.below(0.0), 1.0))


def _age_evidence(histories: Histories, times: Floats, features: Features, p: Floats) -> Floats:
    """`_evidence` of the age of what is in use, for the rows that are suspected at all."""
    result = np.ones(len(p))
    rows = np.flatnonzero(p < CANDIDATE)
    if not len(rows):
        return result
    aged = np.stack([shape.ages(times, histories.alloc_bytes[row], features.series[row]) for row in rows])
    begin, end = float(times[0]), float(times[-1])
    length = end - begin
    parts = ((begin + length / 2, end), (begin + WARM_UP * length, end), (begin + WARM_UP * length, begin + length / 2))
    fits = []
    for first, last in parts:
        bins = bin_count(times, first, last)
        fits.append(
            trend.fit(aged @ bin_means(times, first, last, bins), (last - first) / bins, np.full(len(rows), 1e-9))
        )
    result[rows] = _evidence(*fits)
    return result


def _is_container(histories: Histories, features: Features) -> Flags:
    """Blocks that grow, and not more blocks."""
    middle = features.series.shape[1] // 2
    grown = features.series[:, -1] - features.series[:, middle]
    objects, in_use = histories.in_use_objects, histories.in_use_bytes
    had = objects[:, middle] >= 0.5
    size = np.divide(in_use[:, middle], objects[:, middle], out=np.zeros(len(grown)), where=had)
    more = (objects[:, -1] - objects[:, middle]) * size
    result: Flags = had & (more < CONTAINER * grown)
    return result


def _replaced(histories: Histories, features: Features) -> Floats:
    middle = features.series.shape[1] // 2
    freed = histories.free_bytes[:, -1] - histories.free_bytes[:, middle]
    result: Floats = freed / np.maximum(features.series[:, middle], 1.0)
    return result


def _judgement(known: _Known, row: int, jumps: Jumps, evidence: dict[str, float]) -> Judgement:
    histories, times, features, setting = known.histories, known.times, known.features, known.setting
    verdict, confidence, why = _verdict(features, known.facts, jumps, row, setting)
    series = features.series[row]
    objects = histories.alloc_objects[row] - histories.free_objects[row]
    half = float(times[-1] - times[0]) / 2
    spread = float(features.half.spread[row])
    grains = float(features.quantum[row]) / half if setting.sampled else 0.0
    return Judgement(
        verdict=verdict,
        confidence=confidence,
        rate=float(features.half.rate[row]),
        rate_low=float(features.low[row]),
        rate_high=float(features.high[row]),
        object_rate=float(objects[-1] - np.interp(times[0] + half, times, objects)) / half,
        growth=float(series[-1] - series[0]),
        in_use=float(histories.alloc_bytes[row, -1] - histories.free_bytes[row, -1]),
        detectable=_detectable(spread, grains),
        why=why,
        steps=jumps.index,
        step_bytes=jumps.bytes,
        step_objects=tuple(float(objects[index] - objects[index - 1]) for index in jumps.index),
        bound=float(known.facts.bound[row]) if verdict == "filling" else None,
        evidence=evidence,
    )


def _evidence_of(features: Features, facts: Facts, jumps: Sequence[Jumps]) -> list[dict[str, float]]:
    """See `Judgement.evidence`; one for each row."""
    columns = {
        "p": facts.p,
        "p_age": facts.p_age,
        "record": facts.record,
        "bounded": facts.bounded,
        "replaced": facts.replaced,
        "swing": facts.swing,
        "rough": facts.rough,
        "fallen": facts.fallen,
        "louder": facts.louder,
        "container": facts.container,
        "kept_all": features.kept,
        "share": facts.share,
        "part": facts.part,
        "arrivals": facts.arrivals,
        "low": features.low > 0,
        "goes_on": features.half.rate / np.maximum(np.abs(features.before.rate), 1e-300),
        "overdue": np.array([one.overdue for one in jumps]),
        "kept": np.array([one.kept for one in jumps]),
    }
    values = zip(*(column.astype(np.float64).tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in values]


_POWER = 3.9 + 1.645
"""Standard errors for nineteen cases in twenty to lie beyond the accusation's bound."""


def _detectable(spread: float, grains: float) -> float:
    """The rate r with r = k sqrt(spread² + r grains): see `Judgement.detectable`."""
    square = _POWER * _POWER
    return (square * grains + float(np.sqrt((square * grains) ** 2 + 4 * square * spread * spread))) / 2


def _verdict(features: Features, facts: Facts, jumps: Jumps, row: int, setting: Setting) -> tuple[Verdict, float, str]:
    low, high = float(features.low[row]), float(features.high[row])
    if jumps.index and jumps.kept:
        return "growing", SURE, jumps.why
    if low > 0 and high > setting.min_rate and _is_proved(features, facts, row):
        excuse = _excuse(facts, jumps, row)
        if excuse is None:
            replaced = facts.replaced[row] > 1 or facts.container[row]
            return ("growing" if replaced else "leak"), _sureness(features, facts, row), "its last half grew"
        return excuse
    return _quiet(features, facts, row, setting)


def _is_proved(features: Features, facts: Facts, row: int) -> bool:
    """Whether growth is sure enough to be accused."""
    if not features.kept[row]:
        both = facts.p[row] < CANDIDATE and facts.p_age[row] < ALPHA_BOTH
        return bool(facts.p[row] < ALPHA or both)
    portions = facts.arrivals[row] >= ARRIVALS and facts.share[row] >= LATE_SHARE and facts.part[row] >= LATE_PART
    return bool(facts.p[row] < ALPHA_KEPT or portions)


def _sureness(features: Features, facts: Facts, row: int) -> float:
    strong = min(facts.p[row], facts.p_age[row]) < FAIRLY or features.kept[row]
    return SURE if strong else FAIRLY_SURE


def _excuse(facts: Facts, jumps: Jumps, row: int) -> tuple[Verdict, float, str] | None:
    """Why a site that surely grew is not accused."""
    if facts.bounded[row] > BOUNDED:
        return "filling", EXCUSED, "its growth runs out"
    if facts.record[row] < RECORD or facts.fallen[row] > FALLEN:
        return "unsure", EXCUSED, "it was high before, and came back"
    if jumps.overdue:
        return "filling", EXCUSED, "its steps have ceased"
    alpha = ALPHA_AGE if facts.louder[row] else ALPHA_SAME_LOAD
    if not facts.container[row] and facts.p_age[row] > alpha:
        return "steady", EXCUSED, "it follows its load: what is in use is no older than before"
    return None


def _quiet(features: Features, facts: Facts, row: int, setting: Setting) -> tuple[Verdict, float, str]:
    if features.low[row] > 0 and facts.bounded[row] <= BOUNDED:
        return "unsure", PERHAPS_SURE, "it may grow, but that is not certain"
    if facts.returns[row] >= 2 and facts.swing[row] > SWING and facts.rough[row] > ROUGH:
        return "cyclic", QUIET, f"it came back to its trough {facts.returns[row]} times"
    if (
        facts.filled[row] > 0.3
        and facts.rough[row] > ROUGH
        and (facts.p[row] > PERHAPS or facts.bounded[row] > BOUNDED)
    ):
        return "filling", EARLIER, "it grew earlier"
    if features.high[row] < setting.floor:
        return "steady", QUIET, "no growth that matters"
    return "unsure", OPEN, "no growth is certain, and not ruled out"
