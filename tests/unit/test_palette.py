# SPDX-License-Identifier: Apache-2.0
"""The colours: the same in pictures and on the page, all legible, and apart for every eye."""

from __future__ import annotations

from itertools import pairwise

import pytest

from heaptide.analysis import ledger
from heaptide.render import palette
from heaptide.render.palette import Tone
from tools.palette import TYPESCRIPT, typescript

BOXES = (
    *palette.MODULES,
    palette.RUNTIME,
    palette.WHOLE,
    palette.GROWTH,
    palette.SHRINKAGE,
    palette.NO_CHANGE,
    palette.REST,
)


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [part / 255 for part in bytes.fromhex(colour[1:])]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio (WCAG 2.2): 4.5 is asked for text, 3 for what is not text."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_page_has_the_same_colours() -> None:
    assert TYPESCRIPT.read_text() == typescript(), "run: python -m tools.palette"


def test_every_part_of_the_ledger_has_a_colour() -> None:
    assert set(palette.PARTS) == set(ledger._ORDER)


@pytest.mark.parametrize("box", BOXES)
def test_names_in_boxes_are_legible(box: Tone) -> None:
    assert contrast(box.light, palette.INK.light) >= 4.5
    assert contrast(box.dark, palette.INK.dark) >= 4.5


@pytest.mark.parametrize("ink", [palette.INK, palette.FAINT, palette.ALARM])
def test_text_is_legible(ink: Tone) -> None:
    assert contrast(ink.light, palette.PAPER.light) >= 4.5
    assert contrast(ink.dark, palette.PAPER.dark) >= 4.5


def test_stacked_neighbours_are_told_apart_without_hue() -> None:
    for one, other in pairwise(palette.PARTS.values()):
        assert contrast(one.light, other.light) > 1.1 and contrast(one.dark, other.dark) > 1.1


def test_no_light_colour_has_two_dark_ones() -> None:
    tones = {*palette.PARTS.values(), *palette.SITES, *palette.MODULES, palette.REST, palette.LINE, palette.INK}
    assert len({tone.light for tone in tones}) == len(tones)


def test_mixing_goes_from_one_to_the_other() -> None:
    start, end = Tone("#000000", "#ffffff"), Tone("#ff8000", "#000000")
    assert palette.mixed(start, end, 0.0) == start
    assert palette.mixed(start, end, 2.0) == end
    assert palette.mixed(start, end, 0.5) == Tone("#804000", "#808080")
