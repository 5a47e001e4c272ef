# SPDX-License-Identifier: Apache-2.0
"""Two recordings: before and after a fix, two releases, two settings. What got better, what got worse.

Sites are matched by function and not by address or line, which another build moves; what one function holds at several
lines is added up. Rates are put on a common measure: time, or bytes that the process allocated, which stands for the
work done when the load of the two runs differs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from heaptide.analysis.growth.judge import judge
from heaptide.analysis.growth.result import ACTING, Growth, Kind, Suspect
from heaptide.analysis.growth.stretch import stretch_of
from heaptide.analysis.growth.work import Per, amount
from heaptide.model import Frame, Series

Change = Literal["worse", "better", "unchanged"]


@dataclass(frozen=True, slots=True)
class Side:
    """One function in one recording. Rates in bytes per second, or bytes kept per byte allocated."""

    rate: float
    low: float
    high: float
    """95 % interval."""
    acts: bool
    """One of its sites was told leak or growing."""
    confidence: float


@dataclass(frozen=True, slots=True)
class Pair:
    """One function in both. A side is all zero where the function was not seen."""

    kind: Kind
    site: Frame | None
    change: Change
    before: Side
    after: Side
    difference: float
    low: float
    high: float
    """95 % interval of the difference."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer to: did it help?"""

    before: Growth
    after: Growth
    per: Per
    pairs: tuple[Pair, ...]
    """What got worse first, then what got better, by the size of the difference; then the rest."""

    def changed(self, change: Change) -> tuple[Pair, ...]:
        """The functions that changed so."""
        return tuple(pair for pair in self.pairs if pair.change == change)


_NONE = Side(0.0, 0.0, 0.0, False, 0.0)
_ORDER: tuple[Change, ...] = ("worse", "better", "unchanged")


def compare(
    before: Series,
    after: Series,
    *,
    per: Per = "time",
    start: str = "start",
    end: str = "end",
    not_mine: re.Pattern[str] | None = None,
) -> Comparison:
    """Judges both and compares function by function.

    Args:
        before, after: the recordings.
        per: what rates are divided by.
        start, end: the judged stretch, a moment of each.
        not_mine: as for `judge`.

    Raises:
        UsageError, NothingToShow: as `judge`.
    """
    judged = [judge(series, start=start, end=end, not_mine=not_mine) for series in (before, after)]
    measures = [_measure(series, per, start, end) for series in (before, after)]
    sides = [_by_function(growth.suspects, measure) for growth, measure in zip(judged, measures, strict=True)]
    keys = list(dict.fromkeys([*sides[1], *sides[0]]))
    pairs = [_pair(key[0], sides[0].get(key), sides[1].get(key)) for key in keys]
    pairs.sort(key=lambda pair: (_ORDER.index(pair.change), -abs(pair.difference)))
    return Comparison(judged[0], judged[1], per, tuple(pairs))


def _measure(series: Series, per: Per, start: str, end: str) -> float:
    """What rates in bytes per second are divided by: 1, or bytes allocated per second over the last half."""
    if per == "time":
        return 1.0
    stretch = stretch_of(series, start, end)
    middle = float(stretch.times[0] + stretch.times[-1]) / 2
    return max(amount(stretch, per, middle), 1.0) / max(amount(stretch, "time", middle), 1e-9)


_Key = tuple[Kind, object, object]


def _by_function(suspects: Sequence[Suspect], measure: float) -> dict[_Key, tuple[Frame | None, Side]]:
    grouped: dict[_Key, list[Suspect]] = {}
    for suspect in suspects:
        grouped.setdefault(_key(suspect), []).append(suspect)
    return {key: (group[0].site, _side(group, measure)) for key, group in grouped.items()}


def _key(suspect: Suspect) -> _Key:
    site = suspect.site
    if site is None:
        return (suspect.kind, None, None)
    if site.function is not None:
        return (suspect.kind, site.function, None)
    return (suspect.kind, site.module, site.address)


def _side(group: Sequence[Suspect], measure: float) -> Side:
    """The sum: rates add up, and as they are independent so do the squares of the intervals' arms."""
    told = [suspect.judgement for suspect in group]
    rate = sum(one.rate for one in told)
    down = sum((one.rate - one.rate_low) ** 2 for one in told) ** 0.5
    up = sum((one.rate_high - one.rate) ** 2 for one in told) ** 0.5
    return Side(
        rate / measure,
        (rate - down) / measure,
        (rate + up) / measure,
        any(one.verdict in ACTING for one in told),
        max(one.confidence for one in told),
    )


def _pair(kind: Kind, before: tuple[Frame | None, Side] | None, after: tuple[Frame | None, Side] | None) -> Pair:
    """The interval of a difference from those of its sides (Zou and Donner 2008): arms may differ in length."""
    site = after[0] if after is not None else before[0] if before is not None else None
    old, new = before[1] if before else _NONE, after[1] if after else _NONE
    difference = new.rate - old.rate
    low = difference - ((new.rate - new.low) ** 2 + (old.high - old.rate) ** 2) ** 0.5
    high = difference + ((new.high - new.rate) ** 2 + (old.rate - old.low) ** 2) ** 0.5
    change: Change = "unchanged"
    if new.acts and low > 0:
        change = "worse"
    elif old.acts and high < 0:
        change = "better"
    return Pair(kind, site, change, old, new, difference, low, high)
