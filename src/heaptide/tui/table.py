# SPDX-License-Identifier: Apache-2.0
"""The table of sites, and under each site that is unfolded its callers as a tree."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import DataTable

from heaptide.analysis.spots import Caller, Key, Order, Question, Spot, Spots, callers_of, spots_of
from heaptide.analysis.watch import Watch
from heaptide.tui import words
from heaptide.tui.columns import Column, columns_for, site_width

Path = tuple[Hashable, ...]
_CHAIN = 64
"""Callers that are unfolded at once, as long as each has but one."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a line of the table stands for: a site, or one of its callers."""

    key: Key
    path: Path = ()


class SiteTable(DataTable[Text]):
    """Shows the answer to a question, and keeps its cursor on the same site when the answer changes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,plus,l", "unfold", "callers", show=False),
        Binding("left,minus,h", "fold", "fold", show=False),
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
    ]

    class Opened(Message):
        """A site's details are wanted."""

        def __init__(self, row: Row) -> None:
            super().__init__()
            self.row = row

    class SortWanted(Message):
        """A column's title was clicked."""

        def __init__(self, order: Order) -> None:
            super().__init__()
            self.order = order

    def __init__(self) -> None:
        super().__init__(cursor_type="row", cell_padding=0, id="sites")
        self.spots = Spots((), 0, 0)
        self._watch_shown: Watch | None = None
        self._question = Question()
        self._open: set[Row] = set()
        self._lines: list[Row] = []
        self._columns: list[Column] = []

    def show(self, watch: Watch | None, question: Question) -> None:
        """Draws the answer anew."""
        self._watch_shown, self._question = watch, question
        self.spots = spots_of(watch, question) if watch is not None else Spots((), 0, 0)
        self._draw()

    @property
    def chosen(self) -> Row | None:
        """What the cursor stands on."""
        return self._lines[self.cursor_row] if 0 <= self.cursor_row < len(self._lines) else None

    def action_unfold(self) -> None:
        """Shows who called; a chain of single callers is unfolded at once."""
        row = self.chosen
        for _ in range(_CHAIN):
            if row is None:
                break
            self._open.add(row)
            callers = self._callers(row)
            alone = len(callers) == 1 and callers[0].deeper and callers[0].frame.role == "user"
            row = Row(row.key, (*row.path, callers[0].key)) if alone else None
        self._draw()

    def action_fold(self) -> None:
        """Hides the callers below the line; on a line without any, goes to the one above it in the tree."""
        row = self.chosen
        if row is None:
            return
        if row in self._open:
            self._open = {each for each in self._open if each.key != row.key or each.path[: len(row.path)] != row.path}
            self._draw()
        elif row.path:
            self.move_cursor(row=self._lines.index(Row(row.key, row.path[:-1])))

    def on_resize(self) -> None:
        """Columns depend on the width."""
        self._draw()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Enter, or a click on the line under the cursor."""
        event.stop()
        if self.chosen is not None:
            self.post_message(self.Opened(self.chosen))

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """A click on a title."""
        event.stop()
        orders = [column.order for column in self._columns]
        order: Order | None = orders[event.column_index] if event.column_index < len(orders) else "site"
        if order is not None:
            self.post_message(self.SortWanted(order))

    def _draw(self) -> None:
        chosen, above = self.chosen, self.scroll_offset.y
        width = self.size.width or 80
        self._columns = columns_for(width, self._question, sampled=self._sampled())
        self._lines = []
        with self.app.batch_update():
            self.clear(columns=True)
            for column in self._columns:
                self.add_column(self._title(column), width=column.width)
            room = site_width(width, self._columns)
            self.add_column(self._mark(Text("  site"), self._question.order == "site"), width=room)
            for spot in self.spots.shown:
                self._add_site(spot, room)
            if chosen in self._lines:
                self.move_cursor(row=self._lines.index(chosen), scroll=False)
            self.scroll_to(y=above, animate=False)

    def _sampled(self) -> bool:
        return self._watch_shown is not None and self._watch_shown.series.mode == "sampled"

    def _title(self, column: Column) -> Text:
        return self._mark(column.fit(column.title), column.order == self._question.order)

    @staticmethod
    def _mark(text: Text, sorts: bool) -> Text:
        """The title that the lines are sorted by is underlined."""
        if sorts:
            start = len(text.plain) - len(text.plain.lstrip())
            text.stylize("underline", start, len(text.plain.rstrip()))
        return text

    def _add_site(self, spot: Spot, room: int) -> None:
        row = Row(spot.key)
        sign = "  ▾ " if row in self._open else "  ▸ "
        kind = "mapped: " if spot.key[0] == "mmap" else ""
        self._lines.append(row)
        self.add_row(
            *(column.cell(spot) for column in self._columns), words.place(spot.frame, room, before=sign + kind)
        )
        if row in self._open:
            self._add_callers(row, room, 1)

    def _add_callers(self, row: Row, room: int, level: int) -> None:
        """Callers are indented where there are several: a chain of single ones stands below one another."""
        callers = self._callers(row)
        level += len(callers) > 1
        for caller in callers:
            below = Row(row.key, (*row.path, caller.key))
            self._lines.append(below)
            sign = ("▾ " if below in self._open else "▸ ") if caller.deeper else "  "
            before = "  " * min(level + 1, room // 4) + sign + "← "
            self.add_row(*self._figures(caller), words.place(caller.frame, room, before=before))
            if below in self._open:
                self._add_callers(below, room, level)

    def _figures(self, caller: Caller) -> list[Text]:
        """What came through a caller; rates and verdicts are the sites'."""
        value = self._question.value
        cells = {
            "value": words.quantity(caller.value, value),
            "since": words.quantity(caller.since, value, signed=True),
        }
        return [column.fit(cells.get(column.order or "", "")) for column in self._columns]

    def _callers(self, row: Row) -> tuple[Caller, ...]:
        if self._watch_shown is None:
            return ()
        return callers_of(self._watch_shown, self._question, row.key, row.path)
