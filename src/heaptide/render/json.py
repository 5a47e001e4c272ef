# SPDX-License-Identifier: Apache-2.0
"""The documents of ``--json``: one object with ``"schema": 1``, keys in the order of the design.

Bytes and blocks are numbers in their base unit; estimates of blocks (sampled mode) may have a fraction. What is not
known is null; then ``unresolved`` says why, and ``address`` (hexadecimal) where.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from heaptide.analysis.places import unit_of
from heaptide.analysis.top import Row, Top
from heaptide.analysis.traces import Trace, Traces
from heaptide.model import Frame

if TYPE_CHECKING:
    from heaptide.analysis.growth.work import Ratio

SCHEMA = 1

_ESCAPED = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What JSON lets stand in a string and a terminal would obey, and bytes that are no UTF-8. Never outside of strings."""


def document(body: Mapping[str, object]) -> str:
    """One document as text, ``schema`` first."""
    text = json.dumps({"schema": SCHEMA, **body}, indent=1, ensure_ascii=False) + "\n"
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def top(table: Top, *, limit: int = 0, reason: str | None = None, ratio: Ratio | None = None) -> str:
    """`top --json`. ``reason``: why there is nothing to show. ``ratio``: what the base was multiplied by."""
    rows = table.rows[:limit] if limit else table.rows
    body: dict[str, object] = {
        "value": table.value,
        "unit": table.unit,
        "total": table.total,
        "error": table.error,
        "rows": [_row(row) for row in rows],
    }
    return document(body | ({"per": _ratio(ratio)} if ratio else {}) | ({"reason": reason} if reason else {}))


def _ratio(ratio: Ratio) -> dict[str, object]:
    unit = "seconds" if ratio.per == "time" else "bytes"
    return {"measure": ratio.per, "unit": unit, "now": ratio.now, "before": ratio.before, "factor": ratio.factor}


def _row(row: Row) -> dict[str, object]:
    place = row.place
    return {
        "flat": row.flat,
        "cum": row.cum,
        "function": place.function,
        "file": row.file,
        "line": row.line,
        "module": row.module,
        "flat_error": row.flat_error,
        "cum_error": row.cum_error,
        "address": None if place.address is None else hex(place.address),
        "unresolved": place.unresolved,
        **({"flat_before": row.before[0], "cum_before": row.before[1]} if row.before is not None else {}),
    }


def traces(found: Traces, *, limit: int = 0, reason: str | None = None) -> str:
    """`traces --json`: every stack with all its values."""
    shown = found.traces[:limit] if limit else found.traces
    body: dict[str, object] = {
        "value": found.value,
        "unit": unit_of(found.value),
        "total": found.total,
        "error": found.error,
        "traces": [_trace(trace) for trace in shown],
    }
    return document(body | ({"reason": reason} if reason else {}))


def _trace(trace: Trace) -> dict[str, object]:
    return {
        "value": trace.value,
        "error": trace.error,
        "values": trace.values,
        "site": trace.site,
        "stack": [frame(f) for f in trace.frames],
    }


def frame(frame: Frame) -> dict[str, object]:
    """One frame, as in every document."""
    return {
        "function": frame.function,
        "file": frame.file,
        "line": frame.line,
        "module": frame.module,
        "address": None if frame.address is None else hex(frame.address),
        "inlined": frame.inlined,
        "unresolved": frame.unresolved,
    }
