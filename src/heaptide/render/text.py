# SPDX-License-Identifier: Apache-2.0
"""Tables for people: what `top` and `traces` print."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from heaptide.analysis.places import unit_of
from heaptide.analysis.top import Row, Top
from heaptide.analysis.traces import Trace, Traces
from heaptide.render import names, units

_ALL_VALUES = frozenset({"inuse_objects", "inuse_space", "alloc_objects", "alloc_space"})
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def top_table(table: Top, heading: Sequence[str], *, limit: int = 0, colour: bool = False) -> str:
    """The table with its heading; ``limit`` rows of it when that is not 0."""
    shown = table.rows[:limit] if limit else table.rows
    cells = [_titles(table), *_cells(table, shown)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]) - 2)]
    lines = [*heading, _total_line(table, table.unit, sampled=table.sampled), ""]
    for number, row in enumerate(cells):
        left = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=False))
        source = f"  {row[-1]}" if row[-1] else ""
        lines.append(_styled(f"{left}  {row[-2]}", source, number == 0, colour))
    if len(shown) < len(table.rows):
        lines.append(f"... {units.count(len(table.rows) - len(shown))} more rows (-n 0 shows all)")
    notes = names.reasons(row.place for row in shown)
    return "\n".join([*lines, *_notes(notes)]) + "\n"


def _styled(main: str, source: str, heading: bool, colour: bool) -> str:
    if not colour:
        return (main + source).rstrip()
    return f"{_BOLD}{main}{_PLAIN}" if heading else f"{main}{_DIM}{source}{_PLAIN}"


def _titles(table: Top) -> list[str]:
    what = "function" if table.by == "name" else table.by
    if _tells_before(table):
        other = "flat change" if table.cum_order else "cum change"
        error = ["+/-"] if table.sampled else []
        return ["before", "now", "change", *error, "change%", "times", other, what, ""]
    if table.sampled:
        return ["flat", "+/-", "flat%", "sum%", "cum", "+/-", "cum%", what, ""]
    return ["flat", "flat%", "sum%", "cum", "cum%", what, ""]


def _tells_before(table: Top) -> bool:
    return any(row.before is not None for row in table.rows)


def _changes(table: Top, rows: Sequence[Row]) -> list[list[str]]:
    """Rows of a difference: what there was, what there is, the change, and by how much it grew."""
    signed = units.Plain(table.unit, table.whole, signed=True)
    plain = units.Plain(table.unit, table.whole)
    cells = []
    for row in rows:
        flat, cum = row.before or (0, 0)
        change, error, old, other = (
            (row.cum, row.cum_error, cum, row.flat) if table.cum_order else (row.flat, row.flat_error, flat, row.cum)
        )
        cells.append(
            [
                plain.value(old),
                plain.value(old + change),
                signed.value(change),
                *([plain.value(error)] if table.sampled else []),
                signed.share(change),
                units.times(old, old + change),
                signed.value(other),
                *names.row_name(row),
            ]
        )
    return cells


def _cells(table: Top, rows: Sequence[Row]) -> list[list[str]]:
    if _tells_before(table):
        return _changes(table, rows)
    plain = units.Plain(table.unit, table.whole, table.is_difference)
    error = units.Plain(table.unit, table.whole).value
    running = accumulate(row.flat for row in rows)
    cells = []
    for row, reached in zip(rows, running, strict=True):
        flat = [plain.value(row.flat), error(row.flat_error)] if table.sampled else [plain.value(row.flat)]
        cum = [plain.value(row.cum), error(row.cum_error)] if table.sampled else [plain.value(row.cum)]
        cells.append(
            [*flat, plain.share(row.flat), plain.share(reached), *cum, plain.share(row.cum), *names.row_name(row)]
        )
    return cells


def _total_line(found: Top | Traces, unit: units.Unit, *, sampled: bool) -> str:
    total = units.quantity(found.total, unit, signed=found.is_difference)
    what = "blocks" if unit == "objects" else ""
    sure = f" +/- {units.quantity(found.error, unit)} (95 %, sampled)" if sampled else ""
    net = "net change" if found.is_difference else "total"
    return f"{net} {total}{' ' + what if what else ''}{sure}"


def _notes(reasons: Sequence[str]) -> list[str]:
    return ["", "without a name:", *(f"  {reason}" for reason in reasons)] if reasons else []


def trace_list(found: Traces, heading: Sequence[str], *, limit: int = 0, colour: bool = False) -> str:
    """Every stack, leaf first, ``>`` before its site; ``limit`` of them when that is not 0."""
    shown = found.traces[:limit] if limit else found.traces
    unit = unit_of(found.value)
    lines = [*heading, _total_line(found, unit, sampled=found.error > 0)]
    whole = sum(abs(trace.value) for trace in found.traces)
    for number, trace in enumerate(shown, start=1):
        lines += ["", _styled(f"#{number}  {_trace_line(trace, found, whole)}", "", True, colour)]
        lines += _frame_lines(trace, colour)
    if len(shown) < len(found.traces):
        lines += ["", f"... {units.count(len(found.traces) - len(shown))} more stacks (-n 0 shows all)"]
    return "\n".join(lines) + "\n"


def _trace_line(trace: Trace, found: Traces, whole: float) -> str:
    signed, unit = found.is_difference, unit_of(found.value)
    parts = [units.quantity(trace.value, unit, signed=signed)]
    if trace.error > 0:
        parts.append(f"+/- {units.quantity(trace.error, unit)}")
    parts.append(f"({units.percent(trace.value, whole)})")
    if trace.values.keys() >= _ALL_VALUES:
        texts = {name: units.quantity(trace.values[name], unit_of(name), signed=signed) for name in _ALL_VALUES}
        plural = "" if texts["inuse_objects"] == "1" else "s"
        parts.append(f" in use {texts['inuse_space']} in {texts['inuse_objects']} block{plural},")
        parts.append(f"allocated {texts['alloc_space']} in {texts['alloc_objects']}")
    return " ".join(parts)


def _frame_lines(trace: Trace, colour: bool) -> list[str]:
    pairs = [names.frame_name(frame) for frame in trace.frames] or [("(no stack was recorded)", "")]
    width = min(max(len(name) for name, _ in pairs), 60)
    return [
        _styled(
            f"  {'>' if i == trace.site else ' '} {name.ljust(width)}", f"  {source}" if source else "", False, colour
        )
        for i, (name, source) in enumerate(pairs)
    ]
