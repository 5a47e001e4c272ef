# SPDX-License-Identifier: Apache-2.0
"""A flame graph as an SVG that stands alone: no script, no font, no address of another file.

Names are in the boxes as far as they fit and in full in each box's title, which viewers show under the mouse. Light or
dark is the viewer's choice (a media query); programs that know none of it draw it light.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width

from heaptide.analysis.flame import Box, Flame
from heaptide.analysis.places import Place
from heaptide.analysis.simplify import simple_name
from heaptide.render import names, palette, units
from heaptide.render.flame_colours import Colours, by_change, by_origin
from heaptide.render.harmless import harmless
from heaptide.render.markup import marked_up

WIDTH = 1200
"""Pixels, unless asked otherwise."""

_MARGIN, _ROW, _LINE = 12, 18, 19
_FONT, _LETTER = 12, 7.3
"""Of the fixed-width font in boxes, and how wide its letters are at most (0.602 em in DejaVu Sans Mono), pixels."""
_HEADING_LETTERS_PER_PIXEL = 1 / 7.2
_NAMED_PATHS = 5


@dataclass(frozen=True, slots=True)
class _Canvas:
    """Where things stand, pixels from the upper left corner."""

    width: int
    top: float
    rows: int
    upwards: bool
    scale: float
    """Pixels for one unit of the graph."""

    @property
    def bottom(self) -> float:
        return self.top + self.rows * _ROW

    def x(self, box: Box) -> float:
        return _MARGIN + box.left * self.scale

    def y(self, depth: int) -> float:
        """The upper edge of a row; depth -1 is that of everything."""
        row = depth + 1
        return self.bottom - (row + 1) * _ROW if self.upwards else self.top + row * _ROW


def svg(flame: Flame, heading: Sequence[str], *, width: int = WIDTH, upwards: bool = False) -> str:
    """The picture. ``upwards``: callers at the bottom, as flames have them; else they hang from the top (icicles)."""
    dialect = units.Plain(flame.unit, flame.whole, flame.is_difference)
    lines = [*heading, _total(flame, dialect)]
    inner = width - 2 * _MARGIN
    top = _MARGIN + len(lines) * _LINE + 8
    canvas = _Canvas(width, top, flame.depth + 1, upwards, inner / flame.width if flame.width else 0.0)
    colours = by_change(flame) if flame.is_difference else by_origin(flame)
    foot, height = _foot(flame, colours, canvas)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" '
        f'viewBox="0 0 {width} {height:.0f}" role="img" aria-labelledby="title desc">',
        f'<title id="title">Flame graph: {marked_up(heading[0])}</title>',
        f'<desc id="desc">{marked_up(_description(flame, lines, dialect))}</desc>',
        _style(colours),
        f'<rect class="paper" width="{width}" height="{height:.0f}"/>',
        *_heading(lines, width),
        *_everything(flame, canvas, dialect),
        *(_box(box, colour, flame, canvas, dialect) for box, colour in zip(flame.boxes, colours.of_box, strict=True)),
        *foot,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _total(flame: Flame, dialect: units.Plain) -> str:
    if not flame.is_difference:
        return f"total {units.quantity_with_error(flame.total, flame.error, flame.unit)}"
    error = f" +/- {units.quantity(flame.error, flame.unit)}" if flame.error else ""
    gross = units.quantity(flame.width, flame.unit)
    return f"net change {dialect.value(flame.total)}{error}; as wide as what changed, up or down: {gross} in all"


def _style(colours: Colours) -> str:
    """Rules for both surroundings. Plain rules and no variables: Inkscape and librsvg know no others."""
    fixed = {"paper": palette.PAPER, "ink": palette.INK, "faint": palette.FAINT, "whole": palette.WHOLE}
    tones = {**fixed, **colours.tones}
    light = "".join(f".{name}{{fill:{tone.light}}}" for name, tone in tones.items())
    dark = "".join(f".{name}{{fill:{tone.dark}}}" for name, tone in tones.items())
    return (
        "<style>"
        f'text{{font:{_FONT}px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;white-space:pre}}'
        ".head{font:13px system-ui,sans-serif}.first{font:600 15px system-ui,sans-serif}"
        f".box text{{pointer-events:none}}.box:hover rect{{opacity:.75}}{light}"
        f"@media (prefers-color-scheme:dark){{{dark}}}"
        "</style>"
    )


# ---- Boxes ------------------------------------------------------------------------------------------------------


def _everything(flame: Flame, canvas: _Canvas, dialect: units.Plain) -> Iterator[str]:
    words = f"everything  {dialect.value(flame.total)}"
    shown = words if flame.boxes else "nothing"
    width = canvas.width - 2 * _MARGIN
    yield _drawn("whole", _MARGIN, canvas.y(-1), width, shown, [words])


def _box(box: Box, colour: str, flame: Flame, canvas: _Canvas, dialect: units.Plain) -> str:
    width = box.width * canvas.scale
    label = _label(box, int((width - 6) / _LETTER), dialect)
    return _drawn(colour, canvas.x(box), canvas.y(box.depth), width, label, _title(box, flame, dialect))


def _drawn(colour: str, x: float, y: float, width: float, label: str, title: Sequence[str]) -> str:
    """One box; neighbours stand a pixel apart where there is room."""
    gap = 1.0 if width > 3 else width / 4
    words = "\n".join(map(marked_up, title))
    text = f'<text class="ink" x="{x + 3:.1f}" y="{y + 13:.1f}">{marked_up(label)}</text>' if label else ""
    return (
        f'<g class="box"><title>{words}</title><rect class="{colour}" x="{x:.2f}" y="{y:.1f}" '
        f'width="{width - gap:.2f}" height="{_ROW - 1}" rx="2"/>{text}</g>'
    )


def _label(box: Box, room: int, dialect: units.Dialect) -> str:
    """As much of the name as there is room for (in letters), and the value where both fit."""
    if room < 3:
        return ""
    full, short = _names(box.place)
    value = dialect.value(box.value)
    for name in (full, short):
        for words in (f"{name}  {value}", name):
            if _letters(words) <= room:
                return words
    return _cut(short, room)


def _names(place: Place) -> tuple[str, str]:
    """A place as a box names it, and shorter: without parameters, template arguments and the file."""
    if place.function is None:
        return names.place_name(place), names.place_name(place)
    function = harmless(place.function)
    if place.line is None:
        return function, simple_name(function)
    return f"{function}  {names.where(place.file, place.line)}", f"{simple_name(function)}:{place.line}"


def _letters(text: str) -> int:
    """How many columns of a fixed-width font the text takes."""
    return len(text) if text.isascii() else sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _cut(text: str, room: int) -> str:
    """The text with an ellipsis for what has no room."""
    kept = text[: room - 1]
    while kept and _letters(kept) > room - 1:
        kept = kept[:-1]
    return kept + "…"


def _title(box: Box, flame: Flame, dialect: units.Plain) -> list[str]:
    error = f" +/- {units.quantity(box.error, flame.unit)}" if box.error else ""
    of = "what changed" if flame.is_difference else "everything"
    lines = [names.place_name(box.place), f"{dialect.value(box.value)}{error}, {dialect.share(box.value)} of {of}"]
    if flame.is_difference:
        lines.append(f"{units.quantity(box.width, flame.unit)} changed, up or down")
    if not flame.inverted:
        lines.append(f"{dialect.value(box.own)} of its own")
    if box.place.unresolved is not None:
        lines.append(box.place.unresolved)
    if box.module is not None:
        lines.append(box.module)
    if box.inlined:
        lines.append("inlined into its caller")
    return lines


# ---- Words ------------------------------------------------------------------------------------------------------


def _heading(lines: Sequence[str], width: int) -> Iterator[str]:
    room = int((width - 2 * _MARGIN) * _HEADING_LETTERS_PER_PIXEL)
    for number, line in enumerate(lines):
        kind = "first ink" if number == 0 else "head faint"
        shown = line if len(line) <= room else _cut(line, room)
        yield f'<text class="{kind}" x="{_MARGIN}" y="{_MARGIN + 13 + number * _LINE}">{marked_up(shown)}</text>'


def _foot(flame: Flame, colours: Colours, canvas: _Canvas) -> tuple[list[str], float]:
    """The legend and what is left out, below the boxes; and the picture's height."""
    x, y = float(_MARGIN), canvas.bottom + 10
    parts = []
    for colour, words in colours.legend:
        width = 18 + 7.0 * _letters(words) + 22
        if x > _MARGIN and x + width > canvas.width - _MARGIN:
            x, y = float(_MARGIN), y + _LINE
        shown = _cut(words, 60) if _letters(words) > 60 else words
        parts.append(f'<rect class="{colour}" x="{x:.1f}" y="{y:.1f}" width="12" height="12" rx="2"/>')
        parts.append(f'<text class="head faint" x="{x + 18:.1f}" y="{y + 10.5:.1f}">{marked_up(shown)}</text>')
        x += width
    if flame.left_out:
        y += _LINE
        words = f"left out: {_paths(flame.left_out)} under {units.quantity(flame.least, flame.unit)}"
        parts.append(f'<text class="head faint" x="{_MARGIN}" y="{y + 10.5:.1f}">{words}</text>')
    return parts, y + 12 + _MARGIN


def _paths(count: int) -> str:
    return f"{units.count(count)} call path{'' if count == 1 else 's'}"


def _description(flame: Flame, lines: Sequence[str], dialect: units.Plain) -> str:
    """What the picture shows, for who does not see it: the heaviest paths, by what they hold themselves."""
    heaviest = sorted(flame.boxes, key=lambda box: -abs(box.own))[:_NAMED_PATHS]
    order = "sites with their callers behind them" if flame.inverted else "callers first"
    paths = [f"{dialect.value(box.own)} {_path(box, flame)}" for box in heaviest if box.own]
    return f"{'. '.join(lines)}. The heaviest call paths, {order}: {'; '.join(paths)}."


def _path(box: Box, flame: Flame) -> str:
    steps = [box]
    while steps[-1].parent >= 0:
        steps.append(flame.boxes[steps[-1].parent])
    shown = [_names(step.place)[1] for step in reversed(steps)]
    return " > ".join(shown)
