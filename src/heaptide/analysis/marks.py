# SPDX-License-Identifier: Apache-2.0
"""Marks: moments of a recording that is being followed, taken down to compare with later.

A mark keeps the profile of its moment, so it holds whatever becomes of that snapshot in the file: a capture within its
budget thins out its past. Stacks keep their ids in all readings of one recording.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from heaptide._errors import NothingToShow
from heaptide.analysis.growth.result import Kind
from heaptide.analysis.growth.sites import sites_of
from heaptide.analysis.places import Floats
from heaptide.analysis.watch import Account, Watch
from heaptide.model import Frame, Profile, Snapshot
from heaptide.model.profile import Z95


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment that was taken down."""

    snapshot: Snapshot
    profiles: Mapping[Kind, Profile]


@dataclass(frozen=True, slots=True)
class Span:
    """From one mark to another; None as `since` is the beginning of the recording, as `until` the newest moment."""

    since: Mark | None = None
    until: Mark | None = None


WHOLE = Span()


@dataclass(frozen=True, slots=True)
class Generation:
    """What came to be between two marks: the allocator's blocks, mappings left out."""

    span: Span
    from_s: float
    to_s: float
    """Seconds since recording began."""
    grew_bytes: float
    grew_objects: float
    """What was in use at its end more than at its beginning."""
    left_bytes: float | None
    """Of what was allocated in it, what is in use: an estimate from samples. None where births were not read since."""
    left_error: float | None
    """Half-width of its 95 % interval."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A profile that is to be written, less what was subtracted."""

    profile: Profile
    before: Profile | None


def mark_of(watch: Watch) -> Mark:
    """The newest moment, to compare with later."""
    return Mark(watch.at, {account.kind: account.profile for account in watch.accounts})


def gained(account: Account, value: str, span: Span) -> Floats:
    """For each row of the account's profile what it gained over the span, in the value's unit."""
    return _column(account, value, span.until, at_end=True) - _column(account, value, span.since, at_end=False)


def _column(account: Account, value: str, mark: Mark | None, *, at_end: bool) -> Floats:
    """A value at one end of a span, for each row of the account's profile."""
    if mark is None and at_end:
        return account.profile.column(value).astype(np.float64)
    profile = account.first if mark is None else mark.profiles.get(account.kind)
    ids = account.profile.ids
    if profile is None or profile.ids is None or ids is None or not len(profile.ids):
        return np.zeros(len(account.profile))
    row = np.minimum(np.searchsorted(profile.ids, ids), len(profile.ids) - 1)
    return np.where(profile.ids[row] == ids, profile.column(value)[row].astype(np.float64), 0.0)


def generations(watch: Watch, marks: Sequence[Mark]) -> tuple[Generation, ...]:
    """What came before the first mark, between each and the next, and since the last."""
    ends = [None, *marks, None]
    return tuple(_generation(watch, Span(*pair)) for pair in pairwise(ends))


def _generation(watch: Watch, span: Span) -> Generation:
    heap = watch.accounts[0]
    first, last = watch.series.snapshots[0], span.until.snapshot if span.until else watch.at
    left = _left(watch, span)
    return Generation(
        span,
        (span.since.snapshot if span.since else first).offset_s,
        last.offset_s,
        float(gained(heap, "inuse_space", span).sum()),
        float(gained(heap, "inuse_objects", span).sum()),
        *(left or (None, None)),
    )


def _left(watch: Watch, span: Span) -> tuple[float, float] | None:
    """What is left of a span's births, and the half-width of its 95 % interval."""
    until = span.until.snapshot.number if span.until else watch.at.number
    try:
        survivors = watch.series.survivors(watch.at.number)
    except NothingToShow:
        return None
    if survivors.at_number < until:
        return None
    born = survivors.born_between(span.since.snapshot.number if span.since else 0, until)
    return float(born.bytes.sum()), float(Z95 * np.sqrt(born.variance.sum()))


def cut(watch: Watch, span: Span, pattern: re.Pattern[str] | None) -> Cut:
    """The blocks of the sites that a pattern finds: what they hold, or over a span with marks what they gained."""
    heap = watch.accounts[0]
    now = _matching(heap.profile if span.until is None else span.until.profiles["heap"], pattern)
    if span == WHOLE:
        return Cut(now, None)
    then = heap.first if span.since is None else span.since.profiles["heap"]
    before = _matching(replace(then, series=now.series), pattern)  # the ids are those of one recording
    return Cut(now - before, before)


def _matching(profile: Profile, pattern: re.Pattern[str] | None) -> Profile:
    if pattern is None:
        return profile
    sites = sites_of(profile)
    found = np.array([finds(pattern, frame) for frame in sites.frames], bool)
    return profile.select(found[sites.of_row] if len(profile) else np.zeros(0, bool))


def finds(pattern: re.Pattern[str], frame: Frame | None) -> bool:
    """Whether a site's function, file or module matches."""
    texts = (frame.function, frame.file, frame.module) if frame is not None else ()
    return any(pattern.search(text) for text in texts if text is not None)
