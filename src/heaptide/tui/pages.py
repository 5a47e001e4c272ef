# SPDX-License-Identifier: Apache-2.0
"""Pages that cover the view until they are left: a title, text that scrolls, and how to leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from heaptide.tui.seams import ExportKind

Content = Callable[[int], Text]
"""The text for a page of so many cells."""


class Page(Screen[None]):
    """Text made by a function of the width, which is asked again whenever there is news."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "dismiss", "back", show=False),
        Binding("j,down", "scroll('down')", show=False),
        Binding("k,up", "scroll('up')", show=False),
    ]

    def __init__(self, title: str, content: Content, hint: str = "Esc back, up and down scroll") -> None:
        super().__init__()
        self._title, self._content, self._hint = title, content, hint

    def compose(self) -> ComposeResult:
        """Title, text, hint."""
        yield Static(Text(self._title, style="bold", no_wrap=True), classes="title", markup=False)
        with VerticalScroll():
            yield Static("", id="text", markup=False)
        yield Static(Text(self._hint), classes="hint", markup=False)

    def on_mount(self) -> None:
        """The text scrolls by the keys of a list."""
        self.query_one(VerticalScroll).focus()

    def on_resize(self) -> None:
        """The text depends on the width."""
        self.renew()

    def renew(self) -> None:
        """Asks for the text again."""
        self.query_one("#text", Static).update(self._content(max(self.size.width - 3, 20)))

    def action_scroll(self, way: str) -> None:
        """One line."""
        scroll = self.query_one(VerticalScroll)
        (scroll.scroll_down if way == "down" else scroll.scroll_up)(animate=False)


class ExportPage(Screen[ExportKind | None]):
    """Asks what to write."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", show=False),
        Binding("t", "dismiss('text')", show=False),
        Binding("j", "dismiss('json')", show=False),
        Binding("c", "dismiss('collapsed')", show=False),
    ]

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def compose(self) -> ComposeResult:
        """One line for each kind of file."""
        yield Static(Text("Export", style="bold"), classes="title", markup=False)
        yield Static(
            Text(
                f"What is shown goes into a new file in the current directory: {self._what}.\n\n"
                "  t  the table, by source line, as text\n"
                "  j  the same as JSON, every row\n"
                "  c  collapsed stacks, for flame graph tools\n"
            ),
            id="text",
            markup=False,
        )
        yield Static(Text("Esc back"), classes="hint", markup=False)


HELP = """\
Each line of the table is a site: the innermost frame of a stack that is the
program's own code.

  in use      what it holds now; v: what it ever allocated, or its blocks
  from start  what it holds more than at the first snapshot; after m, than
              at the mark
  rate, 95 %  in this interval lies its rate of growth over the last half
              of the recording
  verdict     leak and growing ask for action; filling, cyclic and steady
              do not; unsure is too early to tell. A dash: not judged, for
              of many sites those are that hold or grew most
  sure        how sure leak or growing is (where there are 104 columns)
  +/-         the error of an estimate (where there are 128 columns; the
              details have it too)

  up, down, PgUp, PgDn, Home, End   move
  right, left                       show who called a site, hide it
  Enter                             details: figures, reasons, source, stack
  s; 1 to 5                         sort: value, growth, rate, verdict, name
  v                                 value: in use, allocated, blocks
  /                                 filter by function, file or module
  m                                 mark: the table then shows what grew since
  g                                 list of marks: what grew between each two
  r                                 where the resident memory is
  p, space                          pause, go on
  e                                 export what is shown
  Esc                               end the filter; growth from the start again
  q                                 quit

A mark asks the recorder for a snapshot. Where it cannot be asked (another
user's, or another machine's recording) the newest snapshot is marked.
"""
