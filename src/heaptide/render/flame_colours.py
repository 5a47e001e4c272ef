# SPDX-License-Identifier: Apache-2.0
"""What the boxes of a flame graph are filled with: where their code comes from, or how they changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from heaptide.analysis.flame import Box, Flame
from heaptide.analysis.simplify import simple_name
from heaptide.render import names, palette
from heaptide.render.harmless import harmless
from heaptide.render.palette import Tone

_SHADES = 5
"""Of growth, and as many of shrinkage."""
_NEARLY_ALL = 0.95
_RUNTIME = "allocator, runtime, containers"


@dataclass(frozen=True, slots=True)
class Colours:
    """Classes and their tones, the class of each box, and the legend."""

    tones: Mapping[str, Tone]
    of_box: Sequence[str]
    legend: Sequence[tuple[str, str]]
    """Class and words."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One way to say where code comes from."""

    word: str
    of: Callable[[Box], str | None]
    name: Callable[[str], str]


_KINDS = (
    _Kind("module", lambda box: box.module, names.base_name),
    _Kind("source file", lambda box: box.file or box.module, names.base_name),
    _Kind("function", lambda box: box.place.function or box.module, lambda name: simple_name(harmless(name))),
)


def by_origin(flame: Flame) -> Colours:
    """By module; by source file where one module fills nearly all, and by function where one file does."""
    for kind in _KINDS:
        filled = _filled(flame, kind.of)
        if max(filled.values(), default=0.0) < _NEARLY_ALL * sum(filled.values()):
            break
    order = sorted(filled, key=lambda origin: (-filled[origin], origin or ""))
    shown = order[: len(palette.MODULES)]
    classes = {origin: f"m{number}" for number, origin in enumerate(shown)}
    of_box = [classes.get(kind.of(box), "others") if box.role == "user" else "runtime" for box in flame.boxes]
    legend = [(classes[name], f"no {kind.word} known" if name is None else kind.name(name)) for name in shown]
    legend += [("others", f"other {kind.word}s")] if len(order) > len(shown) else []
    legend += [("runtime", _RUNTIME)] if "runtime" in of_box else []
    tones = {f"m{number}": tone for number, tone in enumerate(palette.MODULES)}
    return Colours({**tones, "others": palette.REST, "runtime": palette.RUNTIME}, of_box, legend)


def _filled(flame: Flame, origin: Callable[[Box], str | None]) -> dict[str | None, float]:
    """How much of the picture each origin of the user's own code fills."""
    filled: dict[str | None, float] = {}
    for box in flame.boxes:
        if box.role == "user":
            filled[origin(box)] = filled.get(origin(box), 0.0) + box.width
    return filled


def by_change(flame: Flame) -> Colours:
    """By how much of what changed below a box is growth, and how much shrinkage."""
    tones = {"same": palette.NO_CHANGE}
    for step in range(1, _SHADES + 1):
        part = 0.25 + 0.75 * step / _SHADES
        tones[f"up{step}"] = palette.mixed(palette.NO_CHANGE, palette.GROWTH, part)
        tones[f"down{step}"] = palette.mixed(palette.NO_CHANGE, palette.SHRINKAGE, part)
    legend = [
        (f"down{_SHADES}", "shrank (-)"),
        ("same", "as much up as down"),
        (f"up{_SHADES}", "grew (+)"),
    ]
    return Colours(tones, [_change(box) for box in flame.boxes], legend)


def _change(box: Box) -> str:
    step = round(_SHADES * box.value / box.width)
    return f"up{step}" if step > 0 else f"down{-step}" if step < 0 else "same"
