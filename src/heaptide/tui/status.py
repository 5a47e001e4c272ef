# SPDX-License-Identifier: Apache-2.0
"""The line below the table: what is shown of what there is; and the line where a filter is typed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from heaptide.analysis.marks import Mark
from heaptide.analysis.spots import Question, Spots
from heaptide.render import units
from heaptide.tui import words

ORDER_WORDS = {
    "value": "by {value}",
    "since": "by growth",
    "rate": "by rate",
    "verdict": "by verdict",
    "site": "by name",
}


class Status(Widget):
    """One line."""

    def __init__(self) -> None:
        super().__init__(id="status")
        self._words = ""

    def show(self, said: str) -> None:
        """Draws other words."""
        self._words = said
        self.refresh()

    def render(self) -> Text:
        """The line, cut to the width."""
        return Text(words.clip(self._words, self.size.width), no_wrap=True)


class FilterLine(Input):
    """Where the filter is typed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "keep the filter", key_display="Enter"),
        Binding("escape", "app.leave", "end it", key_display="Esc"),
    ]

    def __init__(self) -> None:
        super().__init__(placeholder="function, file or module: text or a regular expression", id="filter")


def status_text(question: Question, spots: Spots, marks: Sequence[Mark]) -> str:
    """In words: order, span, filter, and how many sites there are."""
    order = ORDER_WORDS[question.order].format(value=words.VALUE_WORDS[question.value])
    parts = [_counts(question, spots), order, _span(question, marks)]
    return " | ".join(part for part in parts if part)


def _counts(question: Question, spots: Spots) -> str:
    if question.pattern is not None:
        return f"{units.count(spots.matching)} of {units.count(spots.total)} sites match {question.pattern.pattern}"
    if len(spots.shown) < spots.matching:
        return f"the first {units.count(len(spots.shown))} of {units.count(spots.total)} sites"
    return f"{units.count(spots.total)} site{'' if spots.total == 1 else 's'}"


def _span(question: Question, marks: Sequence[Mark]) -> str:
    """Which growth is shown."""
    since, until = question.span.since, question.span.until
    if since is None and until is None:
        return ""
    return f"growth from {mark_name(since, marks)} to {mark_name(until, marks, last='now')}"


def mark_name(mark: Mark | None, marks: Sequence[Mark], *, last: str = "start") -> str:
    """A mark by its number and moment; `last` for none."""
    if mark is None:
        return last
    return f"mark {marks.index(mark) + 1} ({units.offset(mark.snapshot.offset_s)})"
