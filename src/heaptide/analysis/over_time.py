# SPDX-License-Identifier: Apache-2.0
"""A recording over time, as a picture shows it: layers that add up, the lines above them, and what happened when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from heaptide._errors import NothingToShow, UsageError
from heaptide.analysis.growth import Growth, Step, Suspect, judge
from heaptide.analysis.ledger import Name, Reading, timeline
from heaptide.analysis.places import Floats, Ints, Place
from heaptide.analysis.site import site_index
from heaptide.analysis.site_curves import site_curves
from heaptide.analysis.stack_changes import stack_changes
from heaptide.model import Frame, Series, Snapshot

MOMENTS = 600
"""Of a longer recording so many are drawn: two pixels each."""
_RESIDENT = ("rollup_rss", "part_rss", "statm_resident")
"""What the process's resident memory is read from, the most exact figure first."""
_Item = TypeVar("_Item")
_NO_STACK = Frame(None, None, None, None, None, unresolved="no stack was recorded")


@dataclass(frozen=True, slots=True)
class Curve:
    """Bytes at moments."""

    t_s: Floats
    """Seconds since recording began, ascending."""
    bytes: Floats


@dataclass(frozen=True, slots=True)
class Layer:
    """A part of the ledger, a site, or, where neither is named, everything else. All layers share their moments."""

    part: Name | None
    place: Place | None
    bytes: Floats


@dataclass(frozen=True, slots=True)
class OverTime:
    """What is drawn. Times are seconds since recording began."""

    series: Series
    t_s: Floats
    """Of the layers."""
    layers: tuple[Layer, ...]
    """The lowest first; none where the recording has no readings of pages."""
    resident: Curve | None
    in_use: Curve
    growth: Growth
    steps: tuple[Step, ...]
    """Of what is accused and drawn (sites hold no mappings), by time."""
    shutdown_s: float | None
    """When the program began to end in order."""


def over_time(series: Series, *, by_site: bool = False, start: str = "start", end: str = "exit") -> OverTime:
    """A recording between two moments; the verdict is of the same stretch, and never of the fall at the end.

    Args:
        by_site: layers are what the top sites have in use, not the parts of resident memory.
        start, end: moments as on the command line.

    Raises:
        UsageError: a moment makes no sense, or the second is not after the first.
        NothingToShow: the recording holds one moment only.
    """
    shots = _between(series, start, end)
    growth = judge(series, start=start, end="end" if end == "exit" else end)
    accused = [suspect for suspect in growth.acting if suspect.kind == "heap" or not by_site]
    steps = sorted((step for suspect in accused for step in _steps(suspect)), key=lambda step: step.t_s)
    kept = _thinned(shots)
    if by_site:
        t_s, layers = _by_site(series, kept)
    else:
        inside = range(shots[0].number, shots[-1].number + 1)
        t_s, layers = _by_part([reading for reading in timeline(series) if reading.snapshot.number in inside])
    shutdown = [shot.offset_s for shot in shots if shot.kind == "shutdown"]
    return OverTime(
        series=series,
        t_s=t_s,
        layers=layers,
        resident=_resident(shots),
        in_use=_curve([(shot.offset_s, shot.in_use_bytes) for shot in kept]),
        growth=growth,
        steps=tuple(steps),
        shutdown_s=shutdown[0] if shutdown else None,
    )


def _between(series: Series, start: str, end: str) -> list[Snapshot]:
    first, last = series.moment(start), series.moment(end)
    if len(series.snapshots) < 2:
        raise NothingToShow(
            f"{series.path} holds one moment", hint="a timeline needs a capture: heaptide run -- COMMAND"
        )
    if not series.duration_s:
        raise NothingToShow(f"{series.path} does not say when its moments were", hint="a capture does")
    if last.number <= first.number:
        raise UsageError(f"{end} is not after {start}", hint="name two moments: --from 1m --to 10m")
    return [shot for shot in series.snapshots if first.number <= shot.number <= last.number]


def _steps(suspect: Suspect) -> list[Step]:
    return [*suspect.steps, *(step for part in suspect.parts for step in part.steps)]


def _thinned(items: Sequence[_Item]) -> list[_Item]:
    """Evenly chosen ones where there are many, the last always."""
    every = -(-len(items) // MOMENTS)
    return [*items[:-1:every], items[-1]] if items else []


def _by_part(readings: Sequence[Reading]) -> tuple[Floats, tuple[Layer, ...]]:
    shown = _thinned(readings)
    t_s = np.array([reading.snapshot.offset_s for reading in shown], np.float64)
    names: Sequence[Name] = list(shown[0].parts) if shown else []
    layers = [Layer(name, None, np.array([reading.parts[name] for reading in shown], np.float64)) for name in names]
    return t_s, tuple(layers)


def _by_site(series: Series, kept: Sequence[Snapshot]) -> tuple[Floats, tuple[Layer, ...]]:
    place = {shot.number: index for index, shot in enumerate(series.snapshots)}
    indices = [place[shot.number] for shot in kept]
    last = len(series.snapshots) - 1  # it knows every stack, and is taken out again where it was not asked for
    found = stack_changes(series, np.array(sorted({*indices, last}), np.int64))
    frames = [*found.stacks.frames, _NO_STACK]
    curves = site_curves(frames, _sites(found.stacks.stacks, frames), found.changes)
    t_s = np.array([shot.offset_s for shot in kept], np.float64)
    layers = (Layer(None, curve.place, curve.bytes[: len(kept)].astype(np.float64)) for curve in curves)
    return t_s, tuple(layers)


def _sites(stacks: Sequence[tuple[int, ...]], frames: Sequence[Frame]) -> Ints:
    """For each stack its site's frame, or its innermost one where no frame is the user's."""

    def site(stack: tuple[int, ...]) -> int:
        if not stack:
            return len(frames) - 1
        return stack[site_index([frames[frame] for frame in stack]) or 0]

    return np.array([site(stack) for stack in stacks], np.int64)


def _resident(shots: Sequence[Snapshot]) -> Curve | None:
    figures = [next((name for name in _RESIDENT if name in shot.memory), None) for shot in shots]
    points = [(shot.offset_s, shot.memory[name]) for shot, name in zip(shots, figures, strict=True) if name is not None]
    points = [point for point in points if point[1]]  # a process that is gone holds none, which is no reading
    return _curve(_thinned(points)) if points else None


def _curve(points: Sequence[tuple[float, float]]) -> Curve:
    return Curve(np.array([t for t, _ in points], np.float64), np.array([size for _, size in points], np.float64))
