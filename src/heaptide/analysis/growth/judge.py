# SPDX-License-Identifier: Apache-2.0
"""`judge`: a series in, a `Growth` out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from heaptide.analysis.growth.clock import waking
from heaptide.analysis.growth.decide import LEAST_SNAPSHOTS, Setting, decide
from heaptide.analysis.growth.result import ACTING, Growth, Judgement, Kind, Overall, Step, Suspect
from heaptide.analysis.growth.sites import Sites, heaviest_stack, sites_of
from heaptide.analysis.growth.suppress import Rule, matching
from heaptide.model import Profile, Series, Snapshot
from heaptide.model.histories import Histories

Floats = npt.NDArray[np.float64]

LEAST_SECONDS = 1.0
SPARK_POINTS = 32
FLOOR_PART = 0.02
"""The floor of interest: growth over the judged stretch by this part of the process's largest use of memory."""
FLOOR_BYTES = 64 * 1024.0
FLOOR_GRAINS = 10.0
"""... and by so many samples: what is less cannot be told from nothing."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of a recording that is judged."""

    snapshots: tuple[Snapshot, ...]
    columns: npt.NDArray[np.int64]
    """Their indices in the series."""
    times: Floats
    """Their moments in waking time, seconds."""

    @property
    def length(self) -> float:
        """Seconds awake."""
        return float(self.times[-1] - self.times[0]) if len(self.times) else 0.0


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
        min_rate: bytes per second; sites that surely grow slower are steady, and it is the floor of interest.
        not_mine: frames whose function, file or module it matches are no sites.
        suppress: known leaks, which are listed and not counted.

    Raises:
        UsageError: a moment makes no sense.
        NothingToShow: a recording holds no snapshot.
    """
    every = [series] if isinstance(series, Series) else list(series)
    found = [_judge_one(one, number, start, end, min_rate, not_mine) for number, one in enumerate(every)]
    suspects = [suspect for part in found for suspect in part.suspects]
    return _growth(every, found, _ranked(_suppressed(suspects, suppress)))


@dataclass(frozen=True, slots=True)
class _Found:
    stretch: Stretch
    suspects: list[Suspect]
    reason: str


def _judge_one(
    series: Series, process: int, start: str, end: str, min_rate: float, not_mine: re.Pattern[str] | None
) -> _Found:
    stretch = stretch_of(series, start, end)
    if len(stretch.columns) < LEAST_SNAPSHOTS or stretch.length < LEAST_SECONDS:
        reason = f"{len(stretch.columns)} snapshots over {stretch.length:.1f} s"
        return _Found(stretch, [], reason)
    suspects = _suspects(series, stretch, "heap", process, min_rate, not_mine)
    if series.mappings is not None and len(series.mappings.at("exit")):
        suspects += _suspects(series.mappings, stretch, "mmap", process, min_rate, not_mine)
    return _Found(stretch, suspects, "")


def stretch_of(series: Series, start: str, end: str) -> Stretch:
    """The snapshots from `start` to `end`, and their moments in waking time."""
    first, last = series.moment(start), series.moment(end)
    picked = [
        (index, snapshot)
        for index, snapshot in enumerate(series.snapshots)
        if first.number <= snapshot.number <= last.number
    ]
    # Two snapshots of one moment (a growth snapshot beside one by time) are one: the later counts.
    kept = [
        pair
        for pair, following in zip(picked, [*picked[1:], None], strict=False)
        if following is None or following[1].offset_s > pair[1].offset_s
    ]
    offsets = np.array([snapshot.offset_s for _, snapshot in kept])
    allocated = np.array([float(snapshot.allocated_bytes) for _, snapshot in kept])
    return Stretch(
        tuple(snapshot for _, snapshot in kept),
        np.array([index for index, _ in kept], np.int64),
        waking(offsets, allocated),
    )


def _suspects(
    series: Series,
    stretch: Stretch,
    kind: Kind,
    process: int,
    min_rate: float,
    not_mine: re.Pattern[str] | None,
) -> list[Suspect]:
    profile = series.at("exit") if series.snapshots else None
    if profile is None or not len(profile) or profile.ids is None:
        return []
    sites = sites_of(profile, not_mine)
    histories = series.histories(profile.ids, sites.of_row, len(sites.frames), stretch.columns)
    sampled = series.mode == "sampled"
    floor = max(min_rate, floor_of(stretch, histories, sampled))
    judgements = decide(histories, stretch.times, Setting(sampled, floor))
    return [
        _suspect(profile, sites, histories, row, judgement, stretch, kind, process)
        for row, judgement in enumerate(judgements)
    ]


def floor_of(stretch: Stretch, histories: Histories, sampled: bool) -> float:
    """The rate below which growth is of no interest, bytes per second."""
    largest = max((snapshot.in_use_bytes for snapshot in stretch.snapshots), default=0)
    allocated = histories.alloc_bytes[:, -1].sum()
    sample = histories.alloc_variance[:, -1].sum() / allocated if sampled and allocated else 0.0
    return float(max(FLOOR_BYTES, FLOOR_PART * largest, FLOOR_GRAINS * sample) / stretch.length)


def _suspect(
    profile: Profile,
    sites: Sites,
    histories: Histories,
    row: int,
    judgement: Judgement,
    stretch: Stretch,
    kind: Kind,
    process: int,
) -> Suspect:
    rows = np.flatnonzero(sites.of_row == row)
    weight = profile.column("inuse_space").astype(np.float64)
    in_use = histories.in_use_bytes[row]
    moments = np.linspace(stretch.times[0], stretch.times[-1], SPARK_POINTS)
    rises = zip(judgement.steps, judgement.step_bytes, judgement.step_objects, strict=True)
    return Suspect(
        rank=0,
        kind=kind,
        process=process,
        judgement=judgement,
        site=sites.frames[row],
        stack=heaviest_stack(profile, sites, rows, weight),
        steps=tuple(
            Step(stretch.snapshots[index].offset_s, stretch.snapshots[index].realtime_ns, size, blocks)
            for index, size, blocks in rises
        ),
        share=0.0,
        spark=tuple(np.interp(moments, stretch.times, in_use).tolist()),
        stacks=len(rows),
    )


def _suppressed(suspects: Sequence[Suspect], rules: Sequence[Rule]) -> list[Suspect]:
    return [replace(suspect, suppressed=matching(rules, suspect.stack)) for suspect in suspects]


def _acts(suspect: Suspect) -> bool:
    return suspect.judgement.verdict in ACTING and suspect.suppressed is None


def _ranked(suspects: Sequence[Suspect]) -> list[Suspect]:
    ordered = sorted(
        suspects,
        key=lambda suspect: (
            not _acts(suspect),
            -suspect.judgement.rate_low if _acts(suspect) else 0.0,
            -suspect.judgement.growth,
        ),
    )
    total = sum(suspect.judgement.rate for suspect in ordered if _acts(suspect))
    return [
        replace(suspect, rank=rank, share=suspect.judgement.rate / total if _acts(suspect) and total > 0 else 0.0)
        for rank, suspect in enumerate(ordered, start=1)
    ]


def _growth(every: Sequence[Series], found: Sequence[_Found], suspects: Sequence[Suspect]) -> Growth:
    judged = [part for part in found if not part.reason]
    longest = max(found, key=lambda part: part.stretch.length)
    detectable = [suspect.judgement.detectable for suspect in suspects if not _acts(suspect)]
    return Growth(
        captures=tuple(one.path for one in every),
        mode=every[0].mode,
        started_ns=every[0].started_realtime_ns,
        duration_s=longest.stretch.length,
        snapshots=len(longest.stretch.columns),
        verdict=_overall(suspects) if judged else "too-short",
        detectable=max(detectable, default=0.0) if judged else None,
        suspects=tuple(suspects),
        reason="" if judged else longest.reason,
    )


def _overall(suspects: Sequence[Suspect]) -> Overall:
    verdicts = {suspect.judgement.verdict for suspect in suspects if suspect.suppressed is None}
    order: tuple[Overall, ...] = ("leak", "growing", "unsure")
    return next((worst for worst in order if worst in verdicts), "steady")
