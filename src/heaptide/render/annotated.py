# SPDX-License-Identifier: Apache-2.0
"""Annotated source in heaptide's own dialect, as text and as a document."""

from __future__ import annotations

from collections.abc import Sequence

from heaptide.analysis.graph import CallGraph
from heaptide.analysis.listing import NOTHING, Routine
from heaptide.render import units
from heaptide.render.harmless import harmless
from heaptide.render.json import document
from heaptide.render.listing import Lines, code_text


def source_text(graph: CallGraph, found: Sequence[Routine], lines_of: Lines, heading: Sequence[str]) -> str:
    """Each function's source lines with their flat and cumulative value."""
    unit: units.Unit = "bytes" if graph.unit == "bytes" else "objects"
    dialect = units.Plain(unit, graph.whole, graph.is_difference)
    total = units.quantity_with_error(graph.total, graph.error, unit)
    lines = [*heading, f"{'net change' if graph.is_difference else 'total'} {total}"]
    for routine in found:
        sums = routine.total
        lines += ["", harmless(f"{routine.function}  {routine.file or '(no source file is known)'}")]
        shares = f"{dialect.share(sums.flat)}, {dialect.share(sums.cum)}"
        lines.append(f"flat {dialect.value(sums.flat)}, cum {dialect.value(sums.cum)} ({shares})")
        lines += _lines(routine, lines_of, dialect)
    return "\n".join(lines) + "\n"


def _lines(routine: Routine, lines_of: Lines, dialect: units.Plain) -> list[str]:
    """The source, or where it cannot be read the numbers of the lines that hold something, and why."""
    lines = lines_of(routine.file) if routine.file else "no source file is known"
    reason = [f"  ({harmless(lines)})"] if isinstance(lines, str) else []
    if isinstance(lines, str):
        rows = [(number, "") for number in sorted(routine.lines)]
    else:
        first, last = routine.span
        rows = [(number, code_text(lines[number - 1])) for number in range(first, min(last, len(lines)) + 1)]
    cells = [(_cell(routine, number, dialect), number, text) for number, text in rows]
    width = max((len(cell) for pair, _, _ in cells for cell in pair), default=0)
    shown = (f"  {flat:>{width}}  {cum:>{width}}  {number:5d}  {text}" for (flat, cum), number, text in cells)
    return [*reason, *(line.rstrip() for line in shown)]


def _cell(routine: Routine, number: int, dialect: units.Plain) -> tuple[str, str]:
    amount = routine.lines.get(number, NOTHING)
    return (dialect.value(amount.flat) if amount.flat else "."), (dialect.value(amount.cum) if amount.cum else ".")


def source_json(graph: CallGraph, found: Sequence[Routine], *, reason: str | None = None) -> str:
    """`list --json`: the lines that hold something, by function; no source text."""
    body: dict[str, object] = {
        "value": graph.value,
        "unit": graph.unit,
        "total": graph.total,
        "error": graph.error,
        "rows": [
            {
                "function": routine.function,
                "file": routine.file,
                "flat": routine.total.flat,
                "cum": routine.total.cum,
                "lines": [
                    {"line": number or None, "flat": amount.flat, "cum": amount.cum}
                    for number, amount in sorted(routine.lines.items())
                ],
            }
            for routine in found
        ],
    }
    return document(body | ({"reason": reason} if reason else {}))
