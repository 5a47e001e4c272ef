# SPDX-License-Identifier: Apache-2.0
"""The columns of the table of sites: four and the site where there are 80 cells, fewer or more elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from heaptide.analysis.growth import ACTING
from heaptide.analysis.spots import Order, Question, Spot
from heaptide.render import pace, units
from heaptide.tui import words

_LEAST_SITE = 20
_FAIR, _ROOMY, _WIDE = 72, 104, 128


@dataclass(frozen=True, slots=True)
class Column:
    """One column but the last, which is the site's and takes what is left. One cell on its left stays empty."""

    title: str
    width: int
    text: Callable[[Spot], str]
    order: Order | None = None
    """What its title, clicked on, sorts by."""
    side: Literal["left", "right"] = "right"

    def cell(self, spot: Spot) -> Text:
        """What the column says of a site."""
        cell = self.fit(self.text(spot))
        if self.order == "verdict" and spot.judgement is not None:
            cell.stylize(words.VERDICT_STYLES.get(spot.judgement.verdict, ""))
        return cell

    def fit(self, text: str) -> Text:
        """A text at its place in the column."""
        text = words.clip(text, self.width - 1)
        return Text(f" {text:<{self.width - 1}}" if self.side == "left" else f"{text:>{self.width}}", no_wrap=True)


def columns_for(width: int, question: Question, *, sampled: bool) -> list[Column]:
    """The columns that fit into so many cells, before the site's. `sampled`: figures are estimates."""
    value = question.value
    since = "grew" if question.span.until is not None else "since mark" if question.span.since else "from start"
    found = [Column(words.VALUE_WORDS[value], 10, lambda spot: words.quantity(spot.value, value), "value")]
    if width >= _WIDE and sampled:
        found.append(Column("+/-", 9, lambda spot: words.quantity(spot.error, value) if spot.error else ""))
    found.append(Column(since, 11, lambda spot: words.quantity(spot.since, value, signed=True), "since"))
    if width >= _ROOMY:
        found += [Column("rate", 12, _rate, "rate"), Column("95 %", 20, _interval)]
    elif width >= _FAIR:
        found.append(Column("rate, 95 %", 19, _interval, "rate"))
    found.append(Column("verdict", 8, _verdict, "verdict", "left"))
    if width >= _ROOMY:
        found.append(Column("sure", 5, _sureness))
    if width >= _WIDE:
        found.append(Column("stacks", 8, lambda spot: units.count(spot.stacks)))
    return found


def site_width(width: int, columns: list[Column]) -> int:
    """What is left of so many cells for the site, one for the scroll bar left out."""
    return max(width - sum(column.width for column in columns) - 1, _LEAST_SITE)


def _rate(spot: Spot) -> str:
    return pace.rate(spot.judgement.rate, signed=True) if spot.judgement else ""


def _interval(spot: Spot) -> str:
    return pace.rate_range(spot.judgement.rate_low, spot.judgement.rate_high) if spot.judgement else ""


def _verdict(spot: Spot) -> str:
    return spot.judgement.verdict if spot.judgement else "-"


def _sureness(spot: Spot) -> str:
    """Of the verdicts that accuse."""
    if spot.judgement is None or spot.judgement.verdict not in ACTING:
        return ""
    return pace.sureness(spot.judgement.confidence).removesuffix(" sure")
