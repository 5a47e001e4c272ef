# SPDX-License-Identifier: Apache-2.0
"""The view: header, table, one line that says what is shown, and the keys."""

from __future__ import annotations

import asyncio
import re
import signal
from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.filter import LineFilter, NoColor
from textual.widgets import Footer, Input

from heaptide._errors import HeaptideError, NothingToShow
from heaptide.analysis.ledger import ledger
from heaptide.analysis.marks import WHOLE, Generation, Mark, Span, generations, mark_of
from heaptide.analysis.spots import ORDERS, VALUES, Order, Question, Spots, closely
from heaptide.analysis.watch import Watch
from heaptide.model import Series
from heaptide.render.harmless import harmless
from heaptide.render.ledger import short
from heaptide.render.listing import Lines
from heaptide.tui import words
from heaptide.tui.details import details
from heaptide.tui.feed import Feed, News, Standing, Trouble
from heaptide.tui.head import Head, Heading
from heaptide.tui.marks import NONE_YET, MarksPage
from heaptide.tui.pages import HELP, ExportPage, Page
from heaptide.tui.plain import Ascii
from heaptide.tui.seams import BEGINNING, Exporter, ExportKind, Source
from heaptide.tui.status import FilterLine, Status, status_text
from heaptide.tui.table import SiteTable

SNAPSHOT_PATIENCE_S = 2.0
"""So long a mark waits for the snapshot that it asked for."""
_ENDING = (signal.SIGTERM, signal.SIGHUP)
"""What ends the view from outside: the terminal is put right first."""
_OF_THE_VIEW = frozenset(
    ("sort", "order", "value", "filter", "mark", "generations", "pause", "ledger", "export", "help", "leave")
)


class LiveApp(App[None]):
    """`heaptide live`.

    Args:
        source: reads the recording.
        exporter: writes what is shown.
        lines_of: the lines of a source file by its name, or why there are none.
        ascii_only: the terminal shows nothing else.
        colour: the terminal has colours, and they are wanted.
    """

    CSS_PATH = "live.tcss"
    ENABLE_COMMAND_PALETTE = False
    TITLE = "heaptide live"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "sort"),
        Binding("v", "value", "value"),
        Binding("slash", "filter", "filter", key_display="/", priority=True),  # what is typed behind it is the filter's
        Binding("m", "mark", "mark"),
        Binding("g", "generations", "marks"),
        Binding("p,space", "pause", "pause", key_display="p"),
        Binding("r", "ledger", show=False),
        Binding("e", "export", "export"),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("escape", "leave", show=False),
        *(Binding(str(number), f"order('{order}')", show=False) for number, order in enumerate(ORDERS, start=1)),
    ]

    def __init__(
        self, source: Source, exporter: Exporter, lines_of: Lines, *, ascii_only: bool = False, colour: bool = True
    ) -> None:
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self._source, self._exporter, self._lines_of = source, exporter, lines_of
        self._terminal: list[LineFilter] = [Ascii()] if ascii_only else []
        self._terminal += [] if colour else [NoColor()]
        self._feed = Feed(source, self.post_message)
        self._head, self._table, self._status = Head(), SiteTable(), Status()
        self._filter = FilterLine()
        self.series: Series | None = None
        self.shown: Watch | None = None
        self.state = BEGINNING
        self.question = Question()
        self.marks: list[Mark] = []
        self.paused = False
        self._trouble = ""
        self._awaited: int | None = None
        self._said = ""
        self._held: News | None = None

    def get_line_filters(self) -> list[LineFilter]:
        """Textual's own, and what the terminal needs."""
        return [*super().get_line_filters(), *self._terminal]

    def compose(self) -> ComposeResult:
        """Header, table, status, keys."""
        yield self._head
        yield self._table
        yield self._filter
        yield self._status
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Begins to read once the first frame stands."""
        for number in _ENDING:
            asyncio.get_running_loop().add_signal_handler(number, self._end, 128 + number)
        self._filter.display = False
        self._table.focus()
        self.set_interval(1.0, self._draw_head)
        self.call_after_refresh(self._feed.start)

    def _end(self, status: int) -> None:
        self.exit(return_code=status)

    def on_unmount(self) -> None:
        """Stops reading."""
        self._feed.stop()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The view's keys are the view's: not those of a page that covers it, nor what is typed into the filter."""
        if action == "filter" and self._filter.has_focus:
            return False
        return len(self.screen_stack) == 1 or action not in _OF_THE_VIEW

    # ---- What the feed tells -----------------------------------------------------------------------------------------

    def on_news(self, news: News) -> None:
        """The recording as it is now."""
        if self.paused:  # it was under way when the pause began
            self._held = news
            return
        if self.series is not None and self.series.started_realtime_ns != news.series.started_realtime_ns:
            self._begin_anew()
        self.series, self.state, self._trouble = news.series, news.state, ""
        if news.watch is not None:
            self.shown = news.watch
            self._take_awaited()
            self._draw()
            if isinstance(self.screen, Page | MarksPage):
                self.screen.renew()
        self._draw_head()

    def _begin_anew(self) -> None:
        """The process executed another program: what was marked is of the one before."""
        self.marks, self._awaited, self.shown = [], None, None
        self._ask(replace(self.question, span=WHOLE))

    def on_standing(self, standing: Standing) -> None:
        """The program may have ended."""
        self.state = standing.state
        self._draw_head()

    def on_trouble(self, trouble: Trouble) -> None:
        """What was read before stays."""
        self._trouble = harmless(trouble.words)
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
        self._filter.display = True
        self.screen.set_focus(self._filter)

    def action_leave(self) -> None:
        """Leaves the filter; then a generation; then the mark."""
        if self._filter.display or self._filter.value:
            self._filter.value = ""
            self._leave_filter()
        elif self.question.span != WHOLE:
            self._ask(replace(self.question, span=WHOLE))

    def action_pause(self) -> None:
        """Holds what is shown, or goes on."""
        self.paused = not self.paused
        self._feed.pause(self.paused)
        held, self._held = self._held, None
        if held is not None:
            self.on_news(held)
        self._draw_head()

    def action_mark(self) -> None:
        """Takes a mark: at a snapshot made for it where the recorder can be asked, else at the newest."""
        if self.shown is None:
            return
        if not self.paused and self.state.going_on and self._source.take_snapshot():
            self._awaited = self.shown.at.number
            self._feed.hurry()
            self.set_timer(SNAPSHOT_PATIENCE_S, self._await_no_more)
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

    # ---- Pages -------------------------------------------------------------------------------------------------------

    def on_site_table_opened(self, opened: SiteTable.Opened) -> None:
        """Shows everything there is to say of a site."""
        key = opened.row.key

        def content(width: int) -> Text:
            close = closely(self.shown, self.question, key) if self.shown is not None else None
            return details(close, self._lines_of, width) if close is not None else Text("It holds nothing any more.")

        close = closely(self.shown, self.question, key) if self.shown is not None else None
        name, source = words.frame_text(close.spot.frame if close is not None else None)
        self.push_screen(Page(f"{name}  {source}", content))

    def action_help(self) -> None:
        """The keys and the columns."""
        self.push_screen(Page("heaptide live", lambda _width: Text(HELP)))

    def action_ledger(self) -> None:
        """Where the resident memory is."""
        self.push_screen(Page("Resident memory", lambda _width: Text(self._ledger())))

    def action_generations(self) -> None:
        """The list of marks."""
        if self.marks:
            self.push_screen(MarksPage(self._generations), self._show_span)
        else:
            self.push_screen(Page("Generations", lambda _width: Text(NONE_YET)))

    def action_export(self) -> None:
        """Asks what to write."""
        if self.shown is not None:
            self.push_screen(ExportPage(status_text(self.question, self._spots(), self.marks)), self._write)

    def _write(self, kind: ExportKind | None) -> None:
        if kind is None or self.shown is None:
            return
        try:
            self._said = f"wrote {harmless(self._exporter.write(kind, self.shown, self.question))}"
        except HeaptideError as error:
            self._said = harmless(error.message)
        self._draw_status()

    def _ledger(self) -> str:
        try:
            return "\n".join(short(ledger(self.shown.series))) if self.shown is not None else ""
        except NothingToShow as error:
            return harmless(error.message)

    def _generations(self) -> tuple[Generation, ...]:
        return generations(self.shown, self.marks) if self.shown is not None else ()

    def _show_span(self, span: Span | None) -> None:
        if span is not None:
            self._ask(replace(self.question, span=span, order="since"))

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
        self.question, self._said = question, ""
        self._draw()

    def _leave_filter(self) -> None:
        self._filter.display = False
        self._table.focus()
        self._draw_status()

    def _draw(self) -> None:
        self._table.show(self.shown, self.question)
        self._draw_status()

    def _draw_status(self) -> None:
        waiting = "mark: waiting for the recorder's snapshot" if self._awaited is not None else ""
        said = self._said or waiting
        shown = status_text(self.question, self._spots(), self.marks)
        self._status.show(f"{said} | {shown}" if said else shown)

    def _spots(self) -> Spots:
        return self._table.spots

    def _draw_head(self) -> None:
        heading = Heading(self.series, self.shown, self.state, self.paused, self._trouble)
        self._head.show(heading)


def _pattern(text: str) -> re.Pattern[str] | None:
    """What was typed as an expression; as plain text where it is none."""
    if not text.strip():
        return None
    try:
        return re.compile(text.strip(), re.IGNORECASE)
    except re.error:
        return re.compile(re.escape(text.strip()), re.IGNORECASE)
