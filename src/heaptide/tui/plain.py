# SPDX-License-Identifier: Apache-2.0
"""For terminals that show nothing but ASCII: every other character is replaced by one of the same width."""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_LIKE = {
    **dict(zip("▁▂▃▄▅▆▇█", "_.-=+*%#", strict=True)),
    **dict.fromkeys("─━═╌┄", "-"),
    **dict.fromkeys("│┃║▏▎▍▌▋▊▉▐▕", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯╔╗╚╝┏┓┗┛", "+"),
    **dict.fromkeys("▔▀", "-"),
    "…": "~",
    "·": ".",
    "←": "<",
    "→": ">",
    "↑": "^",
    "↓": "v",
    "▸": ">",
    "▾": "v",
    "•": "*",
    "\u00a0": " ",
}


class Ascii(LineFilter):
    """Replaces what is not ASCII; wide characters by two."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """See `LineFilter.apply`."""
        return [
            segment if segment.text.isascii() else Segment(to_ascii(segment.text), segment.style, segment.control)
            for segment in segments
        ]


def to_ascii(text: str) -> str:
    """The text in ASCII, as wide as it was."""
    return "".join(one if one.isascii() else _LIKE.get(one, "?" * cell_len(one)) for one in text)
