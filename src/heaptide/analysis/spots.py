# SPDX-License-Identifier: Apache-2.0
"""Questions to a `Watch`: its sites in order, with what each gained since a mark, and the callers of a site."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from heaptide.analysis.growth.result import Judgement, Kind
from heaptide.analysis.growth.sites import SiteKey, heaviest_stack
from heaptide.analysis.marks import WHOLE, Span, finds, gained
from heaptide.analysis.places import Floats, Ints
from heaptide.analysis.watch import Account, Watch
from heaptide.model import Frame

Value = Literal["inuse_space", "alloc_space", "inuse_objects"]
VALUES: tuple[Value, ...] = ("inuse_space", "alloc_space", "inuse_objects")
Order = Literal["value", "since", "rate", "verdict", "site"]
ORDERS: tuple[Order, ...] = ("value", "since", "rate", "verdict", "site")

_VERDICTS = ("leak", "growing", "unsure", "filling", "cyclic", "steady")
"""From what asks for action to what does not."""
Key = tuple[Kind, SiteKey]
"""Which site; equal in every reading of a recording."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A site: what it holds, what it gained over the span, and its verdict where it was judged."""

    key: Key
    frame: Frame | None
    """None where a stack is empty."""
    value: float
    error: float
    """Half-width of the 95 % interval; 0 when exact."""
    since: float
    judgement: Judgement | None
    stacks: int


@dataclass(frozen=True, slots=True)
class Spots:
    """Some sites in the order asked for."""

    shown: tuple[Spot, ...]
    matching: int
    """How many match; `shown` has the first of them."""
    total: int
    """How many sites there are."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A frame above a site: what came through it."""

    key: Hashable
    frame: Frame
    value: float
    since: float
    deeper: bool
    """Something called it."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the sites."""

    value: Value = "inuse_space"
    order: Order = "value"
    span: Span = WHOLE
    pattern: re.Pattern[str] | None = None
    """Only sites whose function, file or module it finds."""
    limit: int = 200


@dataclass(frozen=True, slots=True)
class _Sums:
    """An account with the figures asked for, by site."""

    account: Account
    value: Floats
    since: Floats

    def spot(self, place: int, question: Question) -> Spot:
        account = self.account
        rows = np.flatnonzero(account.sites.of_row == place)
        errors = account.profile.errors(question.value)[rows]
        return Spot(
            (account.kind, account.sites.keys[place]),
            account.sites.frames[place],
            float(self.value[place]),
            float(np.sqrt((errors**2).sum())),
            float(self.since[place]),
            account.judgements.get(place),
            len(rows),
        )


def _sums(account: Account, question: Question) -> _Sums:
    since = gained(account, question.value, question.span)
    return _Sums(account, account.by_site(account.profile.column(question.value)), account.by_site(since))


def spots_of(watch: Watch, question: Question) -> Spots:
    """The sites that match, in order."""
    found: list[tuple[tuple[object, ...], _Sums, int]] = []
    matching = 0
    for account in watch.accounts:
        sums = _sums(account, question)
        places = _matching(account, question.pattern)
        matching += len(places)
        found += [(rank, sums, place) for rank, place in _first(sums, places, question)]
    found.sort(key=lambda entry: entry[0])
    shown = [sums.spot(place, question) for _, sums, place in found[: question.limit]]
    return Spots(tuple(shown), matching, sum(len(account.sites.frames) for account in watch.accounts))


def _first(sums: _Sums, places: Ints, question: Question) -> list[tuple[tuple[object, ...], int]]:
    """The first of an account's places with what they are ordered by, ascending."""
    frames = sums.account.sites.frames
    if question.order == "site":
        names = sorted((_name(frames[place]), place) for place in places.tolist())
        return [(name, place) for name, place in names[: question.limit]]
    rank = -_ranks(sums, question.order)
    order = np.lexsort((-sums.value[places], rank[places]))[: question.limit]
    return [((rank[place], -sums.value[place]), place) for place in places[order].tolist()]


def callers_of(watch: Watch, question: Question, key: Key, path: Sequence[Hashable] = ()) -> tuple[Caller, ...]:
    """Who called a site, or a caller of it, the largest first.

    Args:
        watch: the recording as it stands.
        question: `value` and `span` say what is counted.
        key: the site's.
        path: keys of callers, from the site's own upwards; empty for the site.
    """
    located = _locate(watch, key)
    if located is None:
        return ()
    account, rows = located
    value = account.profile.column(question.value)
    since = gained(account, question.value, question.span)
    callers = [
        Caller(frame.key(), frame, float(value[members].sum()), float(since[members].sum()), deeper)
        for frame, members, deeper in _branches(account, rows, path)
    ]
    by_gain = question.order == "since"
    return tuple(sorted(callers, key=lambda caller: -abs(caller.since if by_gain else caller.value)))


def _branches(account: Account, rows: Ints, path: Sequence[Hashable]) -> list[tuple[Frame, list[int], bool]]:
    """The frames above a path of callers; for each the rows that go through it, and whether any goes on."""
    table, depth, height = account.profile.stacks, account.sites.depth, len(path)
    groups: dict[Hashable, tuple[Frame, list[int]]] = {}
    goes_on: set[Hashable] = set()
    for row in rows.tolist():
        above = [table.frames[index] for index in table.stacks[row][int(depth[row]) + 1 :]]
        if len(above) <= height or any(frame.key() != step for frame, step in zip(above, path, strict=False)):
            continue
        step = above[height].key()
        groups.setdefault(step, (above[height], []))[1].append(row)
        if len(above) > height + 1:
            goes_on.add(step)
    return [(frame, members, step in goes_on) for step, (frame, members) in groups.items()]


def _locate(watch: Watch, key: Key) -> tuple[Account, Ints] | None:
    """The account that has a site, and the site's rows."""
    for account in watch.accounts:
        if account.kind == key[0] and key[1] in account.sites.keys:
            return account, np.flatnonzero(account.sites.of_row == account.sites.keys.index(key[1]))
    return None


@dataclass(frozen=True, slots=True)
class Close:
    """Everything there is to say of one site."""

    spot: Spot
    stack: tuple[Frame, ...]
    """The heaviest, from the site to the root."""
    values: Mapping[str, float]
    """By value type, at the newest moment."""
    errors: Mapping[str, float]
    """Half-widths of their 95 % intervals."""


def closely(watch: Watch, question: Question, key: Key) -> Close | None:
    """One site in full; None where it is not there (any more)."""
    located = _locate(watch, key)
    if located is None:
        return None
    account, rows = located
    profile = account.profile
    weight = profile.column(question.value).astype(np.float64)
    return Close(
        _sums(account, question).spot(account.sites.keys.index(key[1]), question),
        heaviest_stack(profile, account.sites, rows, weight),
        {name: float(column[rows].sum()) for name, column in profile.values.items()},
        {name: float(np.sqrt((profile.errors(name)[rows] ** 2).sum())) for name in profile.values},
    )


def _ranks(sums: _Sums, order: Order) -> Floats:
    """What places are ordered by, largest first; those that were not judged have no rate and come last."""
    if order == "since":
        return sums.since
    if order == "value":
        return sums.value
    ranks = np.full(len(sums.value), -np.inf)
    rank: Callable[[Judgement], float] = _by_verdict if order == "verdict" else _by_rate
    for place, judgement in sums.account.judgements.items():
        ranks[place] = rank(judgement)
    return ranks


def _by_verdict(judgement: Judgement) -> float:
    """Verdicts first; among equals the rate, squeezed between two of them."""
    squeezed = np.arctan(judgement.rate_low / 1e6) / 4
    return float(len(_VERDICTS) - _VERDICTS.index(judgement.verdict) + squeezed)


def _by_rate(judgement: Judgement) -> float:
    return judgement.rate


def _matching(account: Account, pattern: re.Pattern[str] | None) -> Ints:
    frames = account.sites.frames
    if pattern is None:
        return np.arange(len(frames))
    found = [place for place, frame in enumerate(frames) if finds(pattern, frame)]
    return np.array(found, np.int64)


def _name(frame: Frame | None) -> tuple[str, str, int, int]:
    if frame is None:
        return "~", "", 0, 0
    return frame.function or "~", frame.file or frame.module or "", frame.line or 0, frame.address or 0
