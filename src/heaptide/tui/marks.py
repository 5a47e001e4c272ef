# SPDX-License-Identifier: Apache-2.0
"""The list of generations: what grew before the first mark, between each two, and since the last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import DataTable, Static

from heaptide.analysis.marks import Generation, Span
from heaptide.render import units

_TITLES = ("generation", "from", "to", "grew by", "blocks", "allocated in it, left now")
_HINT = "Enter shows its sites, Esc back"
NONE_YET = "No mark was taken yet: m takes one. The table then shows what grew since, and this list each generation."


class MarksPage(Screen[Span | None]):
    """Asks which generation to show."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,g", "dismiss(None)", show=False)]

    def __init__(self, generations: Callable[[], Sequence[Generation]]) -> None:
        super().__init__()
        self._generations = generations
        self._listed: list[Generation] = []

    def compose(self) -> ComposeResult:
        """Title, list, hint."""
        yield Static(Text("Generations", style="bold"), classes="title", markup=False)
        yield DataTable[Text](cursor_type="row", cell_padding=1, id="generations")
        yield Static(Text(_HINT), classes="hint", markup=False)

    def on_mount(self) -> None:
        """The newest is chosen first."""
        self.query_one(DataTable).focus()
        self.renew()
        self.query_one(DataTable).move_cursor(row=len(self._listed) - 1)

    def renew(self) -> None:
        """The last generation goes on growing."""
        table = self.query_one(DataTable)
        row = table.cursor_row
        self._listed = list(self._generations())
        table.clear(columns=True)
        table.add_columns(*(Text(title) for title in _TITLES))
        for number, generation in enumerate(self._listed):
            first, *rest = cells(number, len(self._listed), generation)
            table.add_row(Text(first), *(Text(cell, justify="right") for cell in rest))
        table.move_cursor(row=row)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Its sites are shown."""
        self.dismiss(self._listed[event.cursor_row].span)


def cells(number: int, count: int, generation: Generation) -> list[str]:
    """A line of the list."""
    left, error = generation.left_bytes, generation.left_error
    return [
        "until mark 1"
        if number == 0
        else f"since mark {number}"
        if number == count - 1
        else f"mark {number} to {number + 1}",
        units.offset(generation.from_s),
        units.offset(generation.to_s),
        units.size(generation.grew_bytes, signed=True),
        units.count(generation.grew_objects, signed=True),
        "not read" if left is None or error is None else units.quantity_with_error(left, error, "bytes"),
    ]
