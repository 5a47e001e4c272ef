# SPDX-License-Identifier: Apache-2.0
"""`judge`: a series in, a `Growth` out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from heaptide.analysis.growth.decide import LEAST_SNAPSHOTS
from heaptide.analysis.growth.limits import Limit, limit_of, seconds_to
from heaptide.analysis.growth.result import ACTING, Growth, Overall, Suspect
from heaptide.analysis.growth.stretch import Stretch, stretch_of
from heaptide.analysis.growth.suppress import Rule, matching
from heaptide.analysis.growth.suspects import suspects_of
from heaptide.model import Series

LEAST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Found:
    stretch: Stretch
    suspects: list[Suspect]
    reason: str


def judge(
    series: Series | Sequence[Series],
    *,
    start: str = "start",
    end: str = "end",
    min_rate: float = 0.0,
    not_mine: re.Pattern[str] | None = None,
    suppress: Sequence[Rule] = (),
) -> Growth:
    """What grows in one recording, or in several of one program (a forking server).

    Args:
        series: recordings; mappings are judged where a series has them.
        start, end: the judged stretch, moments as on the command line.
        min_rate: bytes per second; what surely grows slower is not accused, and it is the least floor of interest.
        not_mine: frames whose function, file or module it matches are no sites.
        suppress: known leaks, which are listed and not counted.

    Raises:
        UsageError: a moment makes no sense.
        NothingToShow: a recording holds no snapshot.
    """
    every = [series] if isinstance(series, Series) else list(series)
    found = [_judge_one(one, number, start, end, min_rate, not_mine) for number, one in enumerate(every)]
    return _growth(every, found, [_known(suspect, suppress) for part in found for suspect in part.suspects])


def _known(suspect: Suspect, rules: Sequence[Rule]) -> Suspect:
    rule = matching(rules, suspect.stack)
    return suspect if rule is None else replace(suspect, suppressed=rule)


def _judge_one(
    series: Series, process: int, start: str, end: str, min_rate: float, not_mine: re.Pattern[str] | None
) -> _Found:
    stretch = stretch_of(series, start, end)
    if len(stretch.columns) < LEAST_SNAPSHOTS or stretch.length < LEAST_SECONDS:
        return _Found(stretch, [], f"{len(stretch.columns)} snapshots over {stretch.length:.1f} s")
    if not series.tells_histories:
        return _Found(stretch, [], "the file has moments, and no history of each call path")
    suspects = suspects_of(series, stretch, "heap", process, min_rate, not_mine)
    if series.mappings is not None:
        suspects += suspects_of(series.mappings, stretch, "mmap", process, min_rate, not_mine)
    return _Found(stretch, suspects, "")


def _growth(every: Sequence[Series], found: Sequence[_Found], suspects: Sequence[Suspect]) -> Growth:
    judged = any(not part.reason for part in found)
    longest = max(found, key=lambda part: part.stretch.length)
    limits = [limit_of(part.stretch) for part in found]
    detectable = [suspect.judgement.detectable for suspect in suspects if not _acts(suspect)]
    return Growth(
        captures=tuple(one.path for one in every),
        mode=every[0].mode,
        started_ns=every[0].started_realtime_ns,
        duration_s=longest.stretch.length,
        snapshots=len(longest.stretch.columns),
        verdict=_overall(suspects) if judged else "too-short",
        detectable=max(detectable, default=0.0) if judged else None,
        suspects=_ranked(suspects, limits),
        limit=min((limit for limit in limits if limit is not None), key=lambda limit: limit.room, default=None),
        asleep_s=longest.stretch.asleep,
        reason="" if judged else longest.reason,
    )


def _acts(suspect: Suspect) -> bool:
    return suspect.judgement.verdict in ACTING and suspect.suppressed is None


def _ranked(suspects: Sequence[Suspect], limits: Sequence[Limit | None]) -> tuple[Suspect, ...]:
    """Acting ones first, by the lower bound of their rate; shares are of what the acting ones grow by."""
    ordered = sorted(
        suspects,
        key=lambda suspect: (
            not _acts(suspect),
            -suspect.judgement.rate_low if _acts(suspect) else 0.0,
            -suspect.judgement.growth,
        ),
    )
    weights = [max(_weight(suspect), 0.0) if _acts(suspect) else 0.0 for suspect in ordered]
    total = sum(weights)
    return tuple(
        replace(
            suspect,
            rank=rank,
            share=weight / total if total > 0 else 0.0,
            limit=limits[suspect.process] if _acts(suspect) else None,
            limit_s=seconds_to(limits[suspect.process], suspect.judgement.rate) if _acts(suspect) else None,
        )
        for rank, (suspect, weight) in enumerate(zip(ordered, weights, strict=True), start=1)
    )


def _weight(suspect: Suspect) -> float:
    """What a suspect's share is made of: the bytes that it grew by."""
    return suspect.judgement.growth


def _overall(suspects: Sequence[Suspect]) -> Overall:
    verdicts = {suspect.judgement.verdict for suspect in suspects if suspect.suppressed is None}
    order: tuple[Overall, ...] = ("leak", "growing", "unsure")
    return next((worst for worst in order if worst in verdicts), "steady")
