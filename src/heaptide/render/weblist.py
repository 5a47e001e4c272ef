# SPDX-License-Identifier: Apache-2.0
"""Annotated source as one HTML page; a click on a line unfolds the machine code that came of it."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Sequence

from heaptide.analysis.listing import NOTHING, Amount, Routine
from heaptide.render import units
from heaptide.render.harmless import harmless
from heaptide.render.listing import Code, Instruction, Lines, code_text, value_or_dot

_STYLE = """
body { font: 13px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222; background: #fff }
h2 { font-size: 1.1em; margin: 1.6em 0 .2em } .file { color: #666; margin: 0 0 .4em }
.lines { font: 12px/1.45 ui-monospace, monospace; white-space: pre; overflow-x: auto }
.lines > div, summary { display: block } summary { cursor: pointer; list-style: none }
summary::-webkit-details-marker { display: none }
.hot { background: #fdecea } summary:hover { background: #eef3fb } .code { color: #555; background: #f6f6f6 }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #1b1b1b } .hot { background: #4a2622 } .code { color: #aaa; background: #262626 }
  summary:hover { background: #2b3646 } .file { color: #999 }
}
"""
_HEAD = (
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>'
)


def page(
    found: Sequence[Routine], code: Sequence[Code], lines_of: Lines, dialect: units.Pprof, labels: Sequence[str]
) -> str:
    """``-weblist``: the functions' source with values; ``labels`` say what the profile is."""
    instructions = _by_line(code)
    title = _text(labels[0] if labels else "heaptide")
    parts = [_HEAD.format(title=title, style=_STYLE), "<body>"]
    parts.append(f"<p>{'<br>'.join(map(_text, labels))}<br>Total: {_text(dialect.value(dialect.whole))}</p>")
    for routine in found:
        total = routine.total
        parts.append(f"<h2>{_text(routine.function)}</h2>")
        share = dialect.share(total.cum)
        sums = f"flat {dialect.value(total.flat)}, cum {dialect.value(total.cum)} ({share})"
        parts.append(f'<p class="file">{_text(routine.file or "no source file is known")}: {_text(sums)}</p>')
        parts += _routine(routine, instructions, lines_of, dialect)
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _by_line(code: Sequence[Code]) -> dict[tuple[str, int], list[Instruction]]:
    found: dict[tuple[str, int], list[Instruction]] = defaultdict(list)
    for symbol in code:
        for one in symbol.instructions:
            for place in dict.fromkeys((place.file, place.line) for place in one.places):
                found[place].append(one)
    return found


def _routine(
    routine: Routine, instructions: dict[tuple[str, int], list[Instruction]], lines_of: Lines, dialect: units.Pprof
) -> list[str]:
    lines = lines_of(routine.file) if routine.file else "no source file is known"
    first, last = routine.span
    parts = ['<div class="lines">']
    if isinstance(lines, str):
        parts.append(f"<div>{_text(lines)}</div>")
        lines = [""] * last
    for number in range(first, min(last, len(lines)) + 1):
        amount = routine.lines.get(number, NOTHING)
        text = f"{_pair(amount, dialect)} {number:6d} {_text(code_text(lines[number - 1]))}"
        hot = ' class="hot"' if amount.cum else ""
        below = instructions.get((routine.file or "", number), [])
        if below:
            parts.append(f"<details><summary{hot}>{text}</summary>{_instructions(below, dialect)}</details>")
        else:
            parts.append(f"<div{hot}>{text}</div>")
    return [*parts, "</div>"]


def _instructions(below: Sequence[Instruction], dialect: units.Pprof) -> str:
    rows = (f"{_pair(one.amount, dialect)} {one.address:14x}  {_text(code_text(one.text))}" for one in below)
    return "".join(f'<div class="code">{row}</div>' for row in rows)


def _pair(amount: Amount, dialect: units.Pprof) -> str:
    return f"{value_or_dot(amount.flat, dialect):>10} {value_or_dot(amount.cum, dialect):>10}"


def _text(text: str) -> str:
    return html.escape(harmless(text))
