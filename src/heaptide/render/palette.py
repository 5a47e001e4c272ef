# SPDX-License-Identifier: Apache-2.0
"""Colours of pictures and of the page. `tools/palette.py` writes them out for the page; a test holds the two equal.

Each is a pair, for light and for dark surroundings. The strong ones are Okabe's and Ito's eight, which stay apart for
people who confuse red with green (https://jfly.uni-koeln.de/color/); the dark ones are the same hues made lighter. A
change is never told by colour alone: it has a sign, and growth and shrinkage are orange-red and blue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from heaptide.analysis.ledger import Name


class Tone(NamedTuple):
    """One colour as ``#rrggbb``, for light and for dark surroundings."""

    light: str
    dark: str


PARTS: Mapping[Name, Tone] = {
    "in_use": Tone("#0072b2", "#3d9bdc"),
    "rounding": Tone("#8fd0f5", "#8ccbf2"),
    "allocator_free": Tone("#e69f00", "#e69f00"),
    "mapped": Tone("#009e73", "#1f9e78"),
    "stacks": Tone("#d58cb5", "#dc9cc0"),
    "code": Tone("#7f8894", "#7f8894"),
    "files": Tone("#b3bac4", "#59616c"),
    "shared": Tone("#f0e442", "#e8dc4a"),
    "heaptide": Tone("#882255", "#b8507f"),
    "other": Tone("#d5d9df", "#3c434c"),
}
"""The ledger's parts."""

SITES = (
    Tone("#0072b2", "#3d9bdc"),
    Tone("#e69f00", "#e69f00"),
    Tone("#009e73", "#1f9e78"),
    Tone("#d58cb5", "#dc9cc0"),
    Tone("#8fd0f5", "#8ccbf2"),
    Tone("#d55e00", "#ef7d2e"),
    Tone("#f0e442", "#e8dc4a"),
    Tone("#882255", "#b8507f"),
)
"""Sites over time, the largest first."""
REST = Tone("#c9b79c", "#6f6048")
"""Everything else, beside `SITES`."""

MODULES = (
    Tone("#f2b679", "#8a5a1e"),
    Tone("#8fc3e8", "#22618f"),
    Tone("#8fd0b5", "#1f7358"),
    Tone("#e3b0cf", "#85496d"),
    Tone("#e9df84", "#6f661a"),
    Tone("#c9b8e8", "#5c4a91"),
    Tone("#f0a08a", "#8d4433"),
    Tone("#b9d48a", "#556f2a"),
)
"""Boxes of a flame graph by module, the heaviest module first; `INK` is legible on all of them."""
RUNTIME = Tone("#d9dde2", "#3d444d")
"""Boxes of what is not the user's own: allocator, C and C++ runtime, containers."""
WHOLE = Tone("#eceef1", "#2a3037")
"""The box of everything."""

GROWTH = Tone("#e8602c", "#b8481a")
SHRINKAGE = Tone("#4a94d6", "#2a6dab")
NO_CHANGE = Tone("#e3e6ea", "#454c55")
"""What grew as much as it shrank; `mixed` goes from here to one of the two."""

INK = Tone("#14181d", "#f2f4f7")
FAINT = Tone("#5b6470", "#a3acb8")
PAPER = Tone("#ffffff", "#14181d")
LINE = Tone("#d5d9df", "#3c434c")
ALARM = Tone("#c2410c", "#ff9a66")
"""What asks for action: a leak's verdict, a step."""


def mixed(start: Tone, end: Tone, part: float) -> Tone:
    """A colour between two: ``start`` at 0, ``end`` at 1."""
    return Tone(_between(start.light, end.light, part), _between(start.dark, end.dark, part))


def _between(start: str, end: str, part: float) -> str:
    pairs = zip(bytes.fromhex(start[1:]), bytes.fromhex(end[1:]), strict=True)
    return "#" + bytes(round(a + (b - a) * min(max(part, 0.0), 1.0)) for a, b in pairs).hex()
