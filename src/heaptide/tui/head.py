# SPDX-License-Identifier: Apache-2.0
"""The lines above the table: which program, resident memory and memory in use over time, and the worst verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text
from textual.widget import Widget

from heaptide.analysis.growth import ACTING
from heaptide.analysis.spots import Question, Spot, spots_of
from heaptide.analysis.watch import Watch, curve
from heaptide.model import Series
from heaptide.render import names, pace, units
from heaptide.tui import words
from heaptide.tui.seams import BEGINNING, State

_FIGURES = {"RSS": "statm_resident", "in use": "in_use"}
_LEAST_CURVE = 4
_BESIDE_CURVE = 34
"""Columns of a label and two figures: what a curve leaves free."""
_MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Heading:
    """What the lines tell."""

    series: Series | None = None
    watch: Watch | None = None
    state: State = BEGINNING
    paused: bool = False
    trouble: str = ""


class Head(Widget):
    """Four lines; drawn anew each second, for the age of what is shown."""

    def __init__(self) -> None:
        super().__init__(id="head")
        self._heading = Heading()
        self._worst: Spot | None = None

    def show(self, heading: Heading) -> None:
        """Draws other things."""
        if heading.watch is not self._heading.watch:
            self._worst = _worst(heading.watch)
        self._heading = heading
        self.refresh()

    def render(self) -> Text:
        """The four lines."""
        heading, width = self._heading, self.size.width
        lines = [_title(heading, width)]
        lines += [_curve(heading.series, label, figure, width) for label, figure in _FIGURES.items()]
        lines.append(_verdict(heading, self._worst, width))
        return Text("\n", no_wrap=True).join(lines)


def _title(heading: Heading, width: int) -> Text:
    series = heading.series
    what, style = _standing(heading)
    if series is None:
        left = "heaptide live"
    else:
        program = names.base_name(series.command[0]) if series.command else names.base_name(series.path)
        figures = [
            f"pid {series.pid}" if series.pid is not None else "",
            series.mode,
            units.duration(series.duration_s),
            f"{units.count(len(series.snapshots))} snapshots",
        ]
        rest = "  ".join(figure for figure in figures if figure)
        left = f"{words.clip(program, max(width - cell_len(rest) - cell_len(what) - 6, 8))}  {rest}"
    text = Text(words.clip(left, width - cell_len(what) - 2), style="bold", no_wrap=True)
    text.append(" " * max(width - cell_len(text.plain) - cell_len(what), 1))
    text.append(what, style=style)
    return text


def _standing(heading: Heading) -> tuple[str, str]:
    """One word on the state, and its style."""
    if heading.paused:
        return "PAUSED", "bold reverse"
    if not heading.state.going_on:
        return heading.state.words or "ended", "bold"
    if heading.series is None or not heading.series.snapshots:
        return "waiting", ""
    parts = ["following"]
    if heading.state.unnamed:
        parts.append(f"naming {units.count(heading.state.unnamed)} places")
    elif heading.state.words:
        parts.append(heading.state.words)
    age = round(time.time() - heading.series.snapshots[-1].realtime_ns / 1e9)
    if age >= 1:
        parts.append(f"{units.count(age)} s old" if age < _MINUTE_S else f"{units.duration(age)} old")
    return ", ".join(parts), "green"


def _curve(series: Series | None, label: str, figure: str, width: int) -> Text:
    text = Text(f"{label:<7}", no_wrap=True)
    values = curve(series, figure, max(width - _BESIDE_CURVE, _LEAST_CURVE)) if series is not None else ()
    if series is None or not values:
        text.append("not read" if series is not None and series.snapshots else "", style="dim")
        return text
    text.append(f"{units.size(values[-1]):>9}  ", style="bold")
    text.append(pace.spark(values), style="cyan")
    text.append(f"  most {units.size(max(values))}", style="dim")
    text.truncate(width)
    return text


def _verdict(heading: Heading, worst: Spot | None, width: int) -> Text:
    if heading.trouble:
        return Text(words.clip(heading.trouble, width), style="bold red", no_wrap=True)
    series, watch = heading.series, heading.watch
    if heading.state.advice:
        return Text(words.clip(heading.state.advice, width), style="bold yellow", no_wrap=True)
    if series is None:
        return Text("reading the recording ...", style="dim")
    if not series.snapshots:
        return Text("no snapshot has been written yet", style="dim")
    if watch is None:
        return Text("naming the places in the code ...", style="dim")
    if watch.too_short:
        return Text(words.clip(f"too short to judge: {watch.too_short}", width), style="dim", no_wrap=True)
    if worst is None or worst.judgement is None:
        return Text(words.clip("of the sites that were judged none surely grows", width), style="dim", no_wrap=True)
    judgement = worst.judgement
    text = Text(no_wrap=True)
    text.append(f"{judgement.verdict}: ", style=words.VERDICT_STYLES.get(judgement.verdict, ""))
    rest = f" grows by {pace.rate(judgement.rate)}, {pace.sureness(judgement.confidence)}"
    name = words.frame_text(worst.frame)[0].removesuffix(" (inline)")
    source = names.where(worst.frame.file, worst.frame.line) if worst.frame is not None else ""
    where = f" ({source})" if source else ""
    room = width - cell_len(text.plain) - cell_len(rest)
    text.append(words.clip(name, max(room - cell_len(where), 12)) + where + rest)
    text.truncate(width, overflow="ellipsis")
    return text


def _worst(watch: Watch | None) -> Spot | None:
    """The site with the worst verdict, where one asks for action."""
    if watch is None:
        return None
    first = spots_of(watch, Question(order="verdict", limit=1)).shown
    return first[0] if first and first[0].judgement and first[0].judgement.verdict in ACTING else None
