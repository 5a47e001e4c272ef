# SPDX-License-Identifier: Apache-2.0
"""A recording over time as a picture, drawn by matplotlib: layers of memory, the lines above them, the verdict.

matplotlib is an extra (``heaptide[pictures]``). The SVG follows the viewer's choice of light or dark; other formats are
light.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from heaptide._errors import NothingToShow
from heaptide.analysis.growth import Step
from heaptide.analysis.over_time import Curve, Layer, OverTime
from heaptide.analysis.simplify import simple_name
from heaptide.render import names, palette, units
from heaptide.render.axes import size_label, size_ticks, time_ticks
from heaptide.render.growth import headline
from heaptide.render.harmless import shortened
from heaptide.render.ledger import WORDS
from heaptide.render.markup import drawable, marked_up
from heaptide.render.palette import Tone

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "pdf")

_WIDTH, _HEIGHT, _DPI = 1200, 570, 100
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 330, 106, 56
"""Pixels beside the plot: the sizes, the legend, the heading, the times."""
_ENTRY = 22
_LEAST_LAYER = 0.004
"""Of the picture's height: layers that are never higher are put together."""
_STEPS, _LEAST_STEP = 8, 0.02
"""Most steps that are marked, and how much of the picture's height they have to be."""
_LABEL = 0.115
"""Of the plot's width: a label. Those that would overlap stand in two rows, or are left out where both are full."""
_LONGEST_LINE = 130
_LONGEST_NAME = 28
_RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "sans-serif"],
    "font.size": 9.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "heaptide",
    "text.parse_math": False,
    "path.simplify": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_TONES = (*palette.PARTS.values(), *palette.SITES, palette.REST)
_FRAME = (palette.INK, palette.FAINT, palette.PAPER, palette.LINE, palette.ALARM)


@dataclass(frozen=True, slots=True)
class _Band:
    """A layer as it is drawn."""

    words: str
    colour: str
    heights: Any
    """Bytes, float64, one for each moment."""


def picture(found: OverTime, form: str) -> bytes:
    """The picture, in one of `FORMATS`. The same recording gives the same bytes.

    Raises:
        NothingToShow: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise NothingToShow(
            "drawing a timeline needs matplotlib, which is not installed", hint="pip install 'heaptide[pictures]'"
        ) from None
    with matplotlib.rc_context(_RC), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # letters that the font lacks: a box stands for each
        figure = Figure(figsize=(_WIDTH / _DPI, _HEIGHT / _DPI), dpi=_DPI, facecolor=palette.PAPER.light)
        _draw(figure, found)
        drawn = io.BytesIO()
        figure.savefig(drawn, format=form, facecolor=palette.PAPER.light, metadata=_no_metadata(form))
    return _svg(drawn.getvalue().decode(), found) if form == "svg" else drawn.getvalue()


def _no_metadata(form: str) -> dict[str, Any]:
    """Nothing that differs from one day, or one version, to the next."""
    keys = {
        "svg": ("Date", "Creator", "Format", "Type"),
        "png": ("Software",),
        "pdf": ("CreationDate", "Creator", "Producer"),
    }
    return dict.fromkeys(keys[form])


def _draw(figure: Figure, found: OverTime) -> None:
    axes = figure.add_axes(
        (
            _LEFT / _WIDTH,
            _BOTTOM / _HEIGHT,
            1 - (_LEFT + _RIGHT) / _WIDTH,
            1 - (_TOP + _BOTTOM) / _HEIGHT,
        )
    )
    bands = _bands(found)
    if bands:
        axes.stackplot(
            found.t_s,
            [band.heights for band in bands],
            colors=[band.colour for band in bands],
            linewidth=0.4,
            edgecolor=palette.PAPER.light,
        )
    for curve, width, dashes in _lines(found):
        axes.plot(curve.t_s, curve.bytes, color=palette.INK.light, linewidth=width, linestyle=dashes)
    _scale(axes, found, bands)
    marked = _marks(axes, found)
    _heading(figure, found)
    _legend(figure, found, bands, len(found.steps) - marked)


def _bands(found: OverTime) -> list[_Band]:
    """The layers that can be seen, the lowest first, and last all others together."""
    if not found.layers:
        return []
    highest = float(np.sum([layer.bytes for layer in found.layers], axis=0).max(initial=1.0))
    bands, rest = [], np.zeros(len(found.t_s))
    for number, layer in enumerate(found.layers):
        if (layer.part is None and layer.place is None) or layer.bytes.max(initial=0.0) < _LEAST_LAYER * highest:
            rest += layer.bytes
        else:
            bands.append(_Band(_words(layer), _colour(layer, number), layer.bytes))
    return [*bands, _Band("everything else", palette.REST.light, rest)] if rest.any() else bands


def _words(layer: Layer) -> str:
    if layer.part is not None:
        return WORDS[layer.part]
    assert layer.place is not None
    function = layer.place.function
    return drawable(simple_name(function) if function else names.place_name(layer.place))


def _colour(layer: Layer, number: int) -> str:
    tone = palette.PARTS[layer.part] if layer.part is not None else palette.SITES[number % len(palette.SITES)]
    return tone.light


def _lines(found: OverTime) -> list[tuple[Curve, float, Any]]:
    """Resident memory drawn through, in use dashed. Over sites only the second: the first is another scale."""
    in_use = (found.in_use, 1.3, "--")
    return [in_use] if found.resident is None or _of_sites(found) else [(found.resident, 1.5, "-"), in_use]


def _of_sites(found: OverTime) -> bool:
    return bool(found.layers) and found.layers[0].part is None


def _started(found: OverTime) -> datetime:
    return datetime.fromtimestamp(found.series.started_realtime_ns / 1e9).astimezone()


# ---- Axes -------------------------------------------------------------------------------------------------------


def _scale(axes: Axes, found: OverTime, bands: Sequence[_Band]) -> None:
    curves = [curve.bytes for curve, _, _ in _lines(found)]
    stacked = [np.sum([band.heights for band in bands], axis=0)] if bands else []
    highest = max((float(values.max(initial=0.0)) for values in (*curves, *stacked)), default=0.0)
    ticks = size_ticks(highest)
    axes.set_ylim(0, max(ticks[-1], highest * 1.02))
    axes.set_yticks(ticks, [size_label(tick) for tick in ticks])
    times = np.concatenate([found.in_use.t_s, found.t_s])
    first, last = float(times.min()), float(times.max())
    axes.set_xlim(first, max(last, first + 1e-3))
    moments = time_ticks(_started(found), first, last)
    axes.set_xticks([offset for offset, _ in moments], [words for _, words in moments])
    axes.grid(axis="y", color=palette.LINE.light, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=4, color=palette.LINE.light, labelcolor=palette.FAINT.light)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(palette.LINE.light)


def _marks(axes: Axes, found: OverTime) -> int:
    """The large steps and the beginning of the shutdown, as lines from top to bottom with words above. How many steps
    are marked."""
    steps = _large(axes, found)
    marks = [(step.t_s, f"step {units.size(step.bytes, signed=True)}", palette.ALARM) for step in steps]
    if found.shutdown_s is not None:
        marks.append((found.shutdown_s, "shutdown", palette.FAINT))
    first, last = axes.get_xlim()
    ends = [0.0, 0.0]
    for t_s, words, tone in marks:
        dashes: Any = ":" if tone is palette.FAINT else (0, (4, 2))
        axes.axvline(t_s, color=tone.light, linewidth=1, linestyle=dashes)
        place = (t_s - first) / (last - first)
        left = min(max(place - _LABEL / 2, 0.0), 1 - _LABEL)
        row = next((row for row, end in enumerate(ends) if left >= end), None)
        if row is not None:
            ends[row] = left + _LABEL
            _above(axes, left + _LABEL / 2, row, words, tone)
    return len(steps)


def _large(axes: Axes, found: OverTime) -> list[Step]:
    """The steps that can be seen as such, the largest few, by time."""
    visible = [step for step in found.steps if step.bytes >= _LEAST_STEP * axes.get_ylim()[1]]
    largest = sorted(visible, key=lambda step: -step.bytes)[:_STEPS]
    return [step for step in visible if step in largest]


def _above(axes: Axes, middle: float, row: int, words: str, tone: Tone) -> None:
    """Words above the plot, in one of two rows; ``middle``: from 0 to 1."""
    axes.annotate(
        words,
        (middle, 1),
        xycoords="axes fraction",
        xytext=(0, 3 + 11 * row),
        textcoords="offset points",
        ha="center",
        color=tone.light,
        fontsize=8.5,
    )


# ---- Words ------------------------------------------------------------------------------------------------------


def _texts(found: OverTime) -> list[str]:
    """The heading: which recording and what is drawn, the verdict, when it was."""
    what = "in use by site" if _of_sites(found) else "resident memory" if found.layers else "memory"
    first, last = (_started(found) + timedelta(seconds=float(found.in_use.t_s[end])) for end in (0, -1))
    length = units.duration(float(found.in_use.t_s[-1] - found.in_use.t_s[0]))
    when = f"from {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S %Z}, {length}, {found.series.mode}"
    if found.series.live:
        when += ", the recording goes on"
    verdict = (
        headline(found.growth) if found.series.tells_histories else "another profiler's file: growth is not judged"
    )
    return [*map(drawable, (f"{names.base_name(found.series.path)}: {what} over time", verdict)), when]


def _heading(figure: Figure, found: OverTime) -> None:
    title, verdict, when = (shortened(line, _LONGEST_LINE) for line in _texts(found))
    verdict_tone = palette.ALARM if found.growth.acting else palette.INK
    for words, y, size, weight, tone in (
        (title, 24, 12.0, "bold", palette.INK),
        (verdict, 45, 10.5, "normal", verdict_tone),
        (when, 63, 9.0, "normal", palette.FAINT),
    ):
        figure.text(16 / _WIDTH, 1 - y / _HEIGHT, words, fontsize=size, fontweight=weight, color=tone.light)


def _legend(figure: Figure, found: OverTime, bands: Sequence[_Band], unmarked: int) -> None:
    """Right of the plot, in the order in which things stand there, with what each was at the last moment; below it how
    many steps are not marked, and why there are no layers."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    area = figure.add_axes((1 - (_RIGHT - 20) / _WIDTH, 0, (_RIGHT - 20) / _WIDTH, 1))
    area.set_axis_off()
    area.set_xlim(0, _RIGHT - 20)
    area.set_ylim(_HEIGHT, 0)
    at = _legend_moment(found)
    y = float(_TOP)
    area.text(_RIGHT - 36, y - 14, f"at {units.offset(at)}", ha="right", color=palette.FAINT.light, fontsize=8.5)
    for curve, width, dashes in _lines(found):
        area.add_line(Line2D([0, 16], [y, y], color=palette.INK.light, linewidth=width, linestyle=dashes))
        words = "in use, counted" if curve is found.in_use else "resident"
        _entry(area, y, words, _value_at(curve.t_s, curve.bytes, at))
        y += _ENTRY
    for band in reversed(bands):
        area.add_patch(Rectangle((2, y - 6), 12, 12, facecolor=band.colour, linewidth=0))
        _entry(area, y, band.words, _value_at(found.t_s, band.heights, at))
        y += _ENTRY
    notes = [] if found.layers else ["No reading of the process's pages:", "the parts of its memory are not known."]
    notes += [f"{units.count(unmarked)} smaller step{'' if unmarked == 1 else 's'} not marked"] if unmarked else []
    area.text(0, y, "\n".join(notes), va="top", color=palette.FAINT.light, fontsize=8.5)


def _entry(area: Axes, y: float, words: str, value: float) -> None:
    name = words if len(words) <= _LONGEST_NAME else words[: _LONGEST_NAME - 1] + "…"
    area.text(22, y, name, va="center", color=palette.INK.light)
    area.text(_RIGHT - 36, y, units.size(value), va="center", ha="right", color=palette.INK.light)


def _legend_moment(found: OverTime) -> float:
    """The last moment before an ordinary shutdown frees everything, if it is in the picture; else the last."""
    last = float(found.in_use.t_s[-1])
    return min(found.series.moment("end").offset_s, last)


def _value_at(t_s: Any, values: Any, at: float) -> float:
    """What was last read up to a moment."""
    return float(values[max(int(np.searchsorted(t_s, at, side="right")) - 1, 0)])


# ---- SVG --------------------------------------------------------------------------------------------------------


def _svg(drawn: str, found: OverTime) -> bytes:
    """matplotlib's SVG with what it is in words, and with rules for dark surroundings. It names no other file: the
    document type, which would, is left out."""
    begin = drawn.index("<svg ")
    tag, rest = drawn[begin:].split(">", 1)
    tag = re.sub(r'(width|height)="[\d.]+pt"', "", tag)
    title, verdict, when = map(marked_up, _texts(found))
    head = (
        f'{tag} width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-labelledby="title desc">'
        f'<title id="title">{title}</title><desc id="desc">{verdict}. {when}. {marked_up(_values(found))}</desc>'
        f"<style>@media (prefers-color-scheme:dark){{{_dark()}}}</style>"
    )
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}{rest}'.encode()


def _values(found: OverTime) -> str:
    """What stands in the legend, as a sentence."""
    at = _legend_moment(found)
    lines = [
        f"{'in use' if curve is found.in_use else 'resident'} {units.size(_value_at(curve.t_s, curve.bytes, at))}"
        for curve, _, _ in _lines(found)
    ]
    parts = [f"{band.words} {units.size(_value_at(found.t_s, band.heights, at))}" for band in reversed(_bands(found))]
    return f"At {units.offset(at)}: {', '.join(lines + parts)}."


def _dark() -> str:
    """matplotlib writes colours into each element's style; a rule for each colour that looks for it there."""
    rules = []
    for tone in dict.fromkeys((*_FRAME, *_TONES)):
        for what in ("fill", "stroke"):
            rules.append(f'[style*="{what}: {tone.light}"]{{{what}:{tone.dark}!important}}')
    return "".join(rules)
