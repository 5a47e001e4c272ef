# SPDX-License-Identifier: Apache-2.0
"""`python -m tools.palette`: writes the colours of `heaptide.render.palette` for the page, into page/src/palette.ts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from heaptide.render import palette
from heaptide.render.palette import Tone

TYPESCRIPT = Path(__file__).resolve().parent.parent / "page/src/palette.ts"
_HEAD = """\
// SPDX-License-Identifier: Apache-2.0
// Written by `python -m tools.palette` from src/heaptide/render/palette.py, which says what each colour is for.

export interface Tone {
  readonly light: string;
  readonly dark: string;
}
"""


def typescript() -> str:
    """The module's text."""
    return _HEAD + "".join(f"\n{declaration}\n" for declaration in _declarations())


def _declarations() -> Iterator[str]:
    for name, value in vars(palette).items():
        if isinstance(value, Tone):
            yield f"export const {name}: Tone = {_tone(value)};"
        elif name.isupper() and isinstance(value, tuple):
            lines = "".join(f"  {_tone(tone)},\n" for tone in value)
            yield f"export const {name}: readonly Tone[] = [\n{lines}];"
        elif name.isupper():
            lines = "".join(f"  {key}: {_tone(tone)},\n" for key, tone in value.items())
            yield f"export const {name}: Readonly<Record<string, Tone>> = {{\n{lines}}};"


def _tone(tone: Tone) -> str:
    return f'{{ light: "{tone.light}", dark: "{tone.dark}" }}'


if __name__ == "__main__":
    TYPESCRIPT.write_text(typescript())
