# SPDX-License-Identifier: Apache-2.0
"""The page on one site: figures, verdict with its reasons, source, and the heaviest stack."""

from __future__ import annotations

import textwrap

from rich.text import Text

from heaptide.analysis.growth import ACTING, Judgement
from heaptide.analysis.spots import Close
from heaptide.model import Frame
from heaptide.render import names, pace, units
from heaptide.render.harmless import harmless
from heaptide.render.listing import Lines
from heaptide.tui import words

_AROUND = 2
_LABEL = 12
_TAB = 4


def details(close: Close, lines_of: Lines, width: int) -> Text:
    """The whole page."""
    text = Text()
    _figures(text, close, width)
    judgement = close.spot.judgement
    if judgement is None:
        _line(text, width, "verdict", "not judged: it holds too little, or the recording is too short")
    else:
        _verdict(text, judgement, width)
    _source(text, close.spot.frame, lines_of, width)
    stacks = close.spot.stacks
    text.append(f"\nthe heaviest of {units.count(stacks)} stacks\n" if stacks != 1 else "\nits stack\n", style="bold")
    for frame in close.stack:
        name, source = words.frame_text(frame)
        text.append(f"  {name}")
        text.append(f"  {words.shortened(names.where(frame.file, frame.line, full=True)) or source}\n", style="dim")
    return text


def _figures(text: Text, close: Close, width: int) -> None:
    for label, space, objects in (
        ("in use", "inuse_space", "inuse_objects"),
        ("allocated", "alloc_space", "alloc_objects"),
    ):
        size = units.quantity_with_error(close.values[space], close.errors[space], "bytes")
        _line(text, width, label, f"{size} in {units.blocks(close.values[objects])}")


def _verdict(text: Text, judgement: Judgement, width: int) -> None:
    sure = f", {pace.sureness(judgement.confidence)}" if judgement.verdict in ACTING else ""
    _line(text, width, "verdict", judgement.verdict + sure, words.VERDICT_STYLES.get(judgement.verdict, ""))
    _line(text, width, "why", judgement.why)
    interval = pace.rate_range(judgement.rate_low, judgement.rate_high)
    _line(text, width, "rate", f"{pace.rate(judgement.rate)} (95 %: {interval}) over its last half")
    _line(text, width, "growth", f"{units.size(judgement.growth, signed=True)} over the whole recording")
    if judgement.step_bytes:
        _line(text, width, "steps", ", ".join(units.size(step, signed=True) for step in judgement.step_bytes))
    if judgement.bound is not None:
        _line(text, width, "tends to", units.size(judgement.bound))
    if judgement.verdict not in ACTING:
        _line(text, width, "", f"a leak over {pace.rate(judgement.detectable)} would have shown")


def _line(text: Text, width: int, label: str, said: str, style: str = "") -> None:
    """A label, and what there is to say, broken where it is longer than the page is wide."""
    for number, part in enumerate(textwrap.wrap(said, max(width - _LABEL, _LABEL)) or [""]):
        text.append(f"{'' if number else label:<{_LABEL}}", style="bold")
        text.append(f"{part}\n", style=style)


def _source(text: Text, frame: Frame | None, lines_of: Lines, width: int) -> None:
    """The line and its neighbours; where the file cannot be read here, why."""
    if frame is None or frame.file is None or frame.line is None:
        return
    text.append(f"\n{names.where(frame.file, frame.line, full=True)}\n", style="bold")
    lines = lines_of(frame.file)
    if isinstance(lines, str):
        text.append(f"  {harmless(lines)}\n", style="dim")
        return
    for number in range(max(frame.line - _AROUND, 1), min(frame.line + _AROUND, len(lines)) + 1):
        here = number == frame.line
        content = harmless(lines[number - 1].expandtabs(_TAB))
        text.append(
            words.clip(f"{'>' if here else ' '} {number:>5}  {content}", width) + "\n", "bold" if here else "dim"
        )
