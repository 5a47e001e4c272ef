# SPDX-License-Identifier: Apache-2.0
"""Everything that the page shows of a recording, gathered: one frozen result, which `render.page` writes down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from heaptide._errors import NothingToShow
from heaptide.analysis.births import Births, births
from heaptide.analysis.growth import Growth, judge
from heaptide.analysis.kept_moments import kept_moments, told_moments
from heaptide.analysis.ledger import Ledger, Reading, ledger, timeline
from heaptide.analysis.page_stacks import Kind, PageStacks, page_stacks
from heaptide.analysis.site_curves import SiteCurve, site_curves
from heaptide.analysis.stack_changes import stack_changes
from heaptide.analysis.top import Top, top
from heaptide.model import Profile, Series, Snapshot

Ints = npt.NDArray[np.int64]

_FEWEST_MOMENTS, _MOST_MOMENTS = 120, 500
"""Of a longer recording as many are kept, by how many stacks there are, if what they count leaves room."""
_ENTRIES = 1_000_000
"""Moments times stacks that are worth it."""
ROWS = 20
"""Of the tables that are told in words."""
_STEPS = 10
"""The moments of so many steps are always kept."""

Progress = Callable[[str, float], None]
"""Told what is being done, and how much of all is done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first rows of a table of blocks or mappings."""

    kind: Kind
    table: Top


@dataclass(frozen=True, slots=True)
class Report:
    """See the module's head. The columns of `stacks` and of `top_sites` are the moments `shots`."""

    series: Series
    shots: tuple[Snapshot, ...]
    """The kept moments."""
    told: frozenset[int]
    """Indices of those of `shots` that have to stay."""
    growth: Growth | None
    """None for a file of another profiler."""
    ledger: Ledger | None
    readings: tuple[Reading, ...]
    stacks: tuple[PageStacks, ...]
    """Of blocks, and of mappings where there are any."""
    top_sites: tuple[SiteCurve, ...]
    births: Births | None
    tables: tuple[Head, ...]
    """At `end`, by function: what is in use and what was allocated, and what is mapped, where the recording tells."""

    def thinned(self, limit: int) -> Report:
        """The same with at most so many moments."""
        keep = kept_moments(self.shots, self.told, limit)
        if len(keep) == len(self.shots):
            return self
        return replace(
            self,
            shots=tuple(self.shots[place] for place in keep.tolist()),
            told=frozenset(np.searchsorted(keep, sorted(self.told)).tolist()),
            stacks=tuple(replace(part, changes=part.changes.at(keep)) for part in self.stacks),
            top_sites=tuple(replace(curve, bytes=curve.bytes[keep]) for curve in self.top_sites),
        )


def _silent(what: str, part: float) -> None:
    """Nobody looks."""


def report(
    series: Series, *, limit: int | None = None, also: Sequence[Snapshot] = (), progress: Progress = _silent
) -> Report:
    """Reads and judges a recording for the page.

    Args:
        series: the recording.
        limit: the most moments that are kept, unless more have to be; by itself the fewer, the more stacks there are.
        also: moments that have to be.
        progress: is told how far it is.

    Raises:
        NothingToShow: it holds no snapshot, or no value of a heap.
    """
    progress("judging", 0.0)
    growth = None if _is_foreign(series) else judge(series)
    progress("reading call paths", 0.5)
    told = told_moments(series, _steps(growth), also)
    at = kept_moments(series.snapshots, told, _limit(series) if limit is None else limit)
    blocks = page_stacks(stack_changes(series, at), "heap")
    if not blocks.values:
        raise NothingToShow(f"{series.path} holds no heap values", hint="see: heaptide pprof")
    mapped = None if series.mappings is None else page_stacks(stack_changes(series.mappings, at), "mmap")
    progress("adding up", 0.7)
    return Report(
        series=series,
        shots=tuple(series.snapshots[index] for index in at.tolist()),
        told=frozenset(np.searchsorted(at, sorted(told)).tolist()),
        growth=growth,
        ledger=_ledger(series),
        readings=tuple(timeline(series)),
        stacks=(blocks,) if mapped is None or not len(mapped.paths) else (blocks, mapped),
        top_sites=site_curves(blocks.frames, blocks.site_frame, blocks.changes),
        births=births(series),
        tables=tuple(_heads(series)),
    )


def _limit(series: Series) -> int:
    stacks = len(series.at("end")) if series.snapshots else 0
    return min(_MOST_MOMENTS, max(_FEWEST_MOMENTS, _ENTRIES // max(stacks, 1)))


def _is_foreign(series: Series) -> bool:
    """Of such a file nothing tells how sure its numbers are, and most hold one moment."""
    return bool(series.snapshots) and all(shot.kind == "file" for shot in series.snapshots)


def _heads(series: Series) -> Iterator[Head]:
    """See `Report.tables`."""
    end = series.moment("end")
    mapped = None if series.mappings is None else series.mappings.at(end.number)
    wanted: list[tuple[Kind, Profile | None, str]] = [
        ("heap", series.at(end), "inuse_space"),
        ("heap", series.at(end), "alloc_space"),
        ("mmap", mapped, "inuse_space"),
    ]
    for kind, profile, value in wanted:
        if profile is not None and value in profile.values:
            yield Head(kind, top(profile, value=value, limit=ROWS))


def _steps(growth: Growth | None) -> Sequence[float]:
    """When the largest steps of what acts were."""
    acting = () if growth is None else growth.acting
    steps = [step for one in acting for part in (one, *one.parts) for step in part.steps]
    return [step.t_s for step in sorted(steps, key=lambda step: -step.bytes)[:_STEPS]]


def _ledger(series: Series) -> Ledger | None:
    try:
        return ledger(series)
    except NothingToShow:
        return None
