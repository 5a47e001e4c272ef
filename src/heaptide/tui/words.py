# SPDX-License-Identifier: Apache-2.0
"""How names and figures stand in the view. Names come from files that anybody may have made: they go through
`heaptide.render.names`, which leaves no control character in them, and into `Text`, which obeys no markup."""

from __future__ import annotations

import re

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from heaptide.analysis.places import unit_of
from heaptide.analysis.spots import Value
from heaptide.model import Frame
from heaptide.render import names, units

VALUE_WORDS: dict[Value, str] = {"inuse_space": "in use", "alloc_space": "allocated", "inuse_objects": "blocks"}
VERDICT_STYLES = {"leak": "bold red", "growing": "bold yellow", "filling": "cyan", "cyclic": "cyan"}
_NO_STACK = Frame(None, None, None, None, None, unresolved="no stack was recorded")
_LONGEST = 2000
_NO_TEXT = re.compile("[\ud800-\udfff]")
_LEAST_NAME = 12


def quantity(value: float, kind: Value, *, signed: bool = False) -> str:
    """A figure of the value that is shown."""
    return units.quantity(value, unit_of(kind), signed=signed)


def clip(text: str, width: int) -> str:
    """At most so many cells; what is cut is told by an ellipsis."""
    if width <= 0:
        return ""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def shortened(text: str) -> str:
    """A name of at most 2,000 characters, the middle left out, and with a mark for bytes that are no UTF-8."""
    text = _NO_TEXT.sub("\ufffd", text)
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]} ... {units.count(len(text) - 2 * half)} characters left out ... {text[-half:]}"


def frame_text(frame: Frame | None) -> tuple[str, str]:
    """A frame's name, and its place in the source (file and line), or why it has none."""
    frame = frame or _NO_STACK
    name, source = names.frame_name(frame)
    return shortened(name), shortened(names.where(frame.file, frame.line) or source)


def place(frame: Frame | None, width: int, *, before: str = "") -> Text:
    """A frame on one line of so many cells: the name, then its source line, which is cut last, or why it has none."""
    name, source = frame_text(frame)
    name = name.removesuffix(" (inline)")
    room = width - cell_len(before)
    if source and cell_len(name) + 1 + cell_len(source) > room:
        reason = frame is None or frame.function is None  # and no source line: the name says more
        least = min(cell_len(name), room if reason else max(_LEAST_NAME, room - 1 - cell_len(source)))
        name, source = clip(name, least), clip(source, room - 1 - least)
    text = Text(before + clip(name, room), no_wrap=True)
    if source and room > cell_len(name) + 1:
        text.append(f" {clip(source, room - cell_len(name) - 1)}", style="dim")
    return text
