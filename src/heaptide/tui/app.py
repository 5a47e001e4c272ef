# SPDX-License-Identifier: Apache-2.0
"""The view: header, table, one line that says what is shown, and the keys."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.filter import LineFilter, NoColor
from textual.widgets import Footer, Input

from heaptide.analysis.marks import WHOLE, Mark, Span, mark_of
from heaptide.analysis.spots import ORDERS, VALUES, Order, Question
from heaptide.analysis.watch import Watch
from heaptide.model import Series
from heaptide.tui.feed import Feed, News, Standing, Trouble
from heaptide.tui.head import Head, Heading
from heaptide.tui.plain import Ascii
from heaptide.tui.seams import BEGINNING, Exporter, Source
from heaptide.tui.status import Status, status_text
from heaptide.tui.table import SiteTable


class LiveApp(App[None]):
    """`heaptide live`.

    Args:
        source: reads the recording.
        exporter: writes what is shown.
        ascii_only: the terminal shows nothing else.
        colour: the terminal has colours, and they are wanted.
    """

    CSS_PATH = "live.tcss"
    ENABLE_COMMAND_PALETTE = False
    TITLE = "heaptide live"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "sort"),
        Binding("v", "value", "value"),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("m", "mark", "mark"),
        Binding("g", "generations", "marks"),
        Binding("p,space", "pause", "pause", key_display="p"),
        Binding("e", "export", "export"),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("escape", "leave", show=False),
        *(Binding(str(number), f"order('{order}')", show=False) for number, order in enumerate(ORDERS, start=1)),
    ]

    def __init__(self, source: Source, exporter: Exporter, *, ascii_only: bool = False, colour: bool = True) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self._source, self._exporter = source, exporter
        self._terminal: list[LineFilter] = [Ascii()] if ascii_only else []
        self._terminal += [] if colour else [NoColor()]
        self._feed = Feed(source, self.post_message)
        self.series: Series | None = None
        self.shown: Watch | None = None
        self.state = BEGINNING
        self.question = Question()
        self.marks: list[Mark] = []
        self.paused = False
        self._trouble = ""
        self._awaited: int | None = None

    def get_line_filters(self) -> list[LineFilter]:
        """Textual's own, and what the terminal needs."""
        return [*super().get_line_filters(), *self._terminal]

    def compose(self) -> ComposeResult:
        """Header, table, status, keys."""
        yield Head()
        yield SiteTable()
        yield Input(placeholder="function, file or module: text or a regular expression", compact=True, id="filter")
        yield Status()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begins to read once the first frame stands."""
        self.query_one(Input).display = False
        self.query_one(SiteTable).focus()
        self.set_interval(1.0, self._draw_head)
        self.call_after_refresh(self._feed.start)

    def on_unmount(self) -> None:
        """Stops reading."""
        self._feed.stop()

    # ---- What the feed tells -----------------------------------------------------------------------------------------

    def on_news(self, news: News) -> None:
        """The recording as it is now."""
        if self.paused:
            return
        self.series, self.state, self._trouble = news.series, news.state, ""
        if news.watch is not None:
            self.shown = news.watch
            self._take_awaited()
            self._draw()
        self._draw_head()

    def on_standing(self, standing: Standing) -> None:
        """The program may have ended."""
        self.state = standing.state
        self._draw_head()

    def on_trouble(self, trouble: Trouble) -> None:
        """What was read before stays."""
        self._trouble = trouble.words
        self._draw_head()

    # ---- Keys --------------------------------------------------------------------------------------------------------

    def action_sort(self) -> None:
        """The next order."""
        self.action_order(ORDERS[(ORDERS.index(self.question.order) + 1) % len(ORDERS)])

    def action_order(self, order: Order) -> None:
        """Sorts the sites."""
        self._ask(replace(self.question, order=order))

    def action_value(self) -> None:
        """The next value."""
        self._ask(replace(self.question, value=VALUES[(VALUES.index(self.question.value) + 1) % len(VALUES)]))

    def action_filter(self) -> None:
        """Lets a filter be typed."""
        line = self.query_one(Input)
        line.display = True
        line.focus()

    def action_leave(self) -> None:
        """Leaves the filter; then a generation; then the mark."""
        line = self.query_one(Input)
        if line.display or line.value:
            line.value = ""
            self._leave_filter()
        elif self.question.span != WHOLE:
            self._ask(replace(self.question, span=WHOLE))

    def action_pause(self) -> None:
        """Holds what is shown, or goes on."""
        self.paused = not self.paused
        self._feed.pause(self.paused)
        self._draw_head()

    def action_mark(self) -> None:
        """Takes a mark: at a snapshot made for it where the recorder can be asked, else at the newest."""
        if self.shown is None:
            return
        if not self.paused and self.state.going_on and self._source.take_snapshot():
            self._awaited = self.shown.at.number
            self._feed.hurry()
            self.set_timer(2.0, self._await_no_more)
            self._draw_status()
        else:
            self._take_mark()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filters while it is typed."""
        self._ask(replace(self.question, pattern=_pattern(event.value)))

    def on_input_submitted(self) -> None:
        """The filter stays."""
        self._leave_filter()

    def on_site_table_sort_wanted(self, wanted: SiteTable.SortWanted) -> None:
        """A title was clicked."""
        self.action_order(wanted.order)

    # ---- Marks -------------------------------------------------------------------------------------------------------

    def _take_awaited(self) -> None:
        if self._awaited is not None and self.shown is not None and self.shown.at.number > self._awaited:
            self._take_mark()

    def _await_no_more(self) -> None:
        if self._awaited is not None:
            self._take_mark()

    def _take_mark(self) -> None:
        self._awaited = None
        if self.shown is not None:
            self.marks.append(mark_of(self.shown))
            self._ask(replace(self.question, span=Span(self.marks[-1]), order="since"))

    # ---- Drawing -----------------------------------------------------------------------------------------------------

    def _ask(self, question: Question) -> None:
        self.question = question
        self._draw()

    def _leave_filter(self) -> None:
        self.query_one(Input).display = False
        self.query_one(SiteTable).focus()
        self._draw_status()

    def _draw(self) -> None:
        self.query_one(SiteTable).show(self.shown, self.question)
        self._draw_status()

    def _draw_status(self) -> None:
        spots = self.query_one(SiteTable).spots
        self.query_one(Status).show(status_text(self.question, spots, self.marks, waiting=self._awaited is not None))

    def _draw_head(self) -> None:
        heading = Heading(self.series, self.shown, self.state, self.paused, self._trouble)
        self.query_one(Head).show(heading)


def _pattern(text: str) -> re.Pattern[str] | None:
    """What was typed as an expression; as plain text where it is none."""
    if not text.strip():
        return None
    try:
        return re.compile(text.strip(), re.IGNORECASE)
    except re.error:
        return re.compile(re.escape(text.strip()), re.IGNORECASE)
