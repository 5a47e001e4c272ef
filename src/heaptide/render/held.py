# SPDX-License-Identifier: Apache-2.0
"""How much a recording held at its end, and where most of it was asked for, in one sentence."""

from __future__ import annotations

from heaptide.analysis.top import Top, top
from heaptide.model import Series
from heaptide.render import names, units


def sentence(series: Series, table: Top | None = None) -> str:
    """For a person, without a full stop. Raises NothingToShow where there is no snapshot.

    ``table``: what is in use at `end`, where that is at hand.
    """
    end = series.moment("end")
    profile = series.at(end)
    table = table or top(profile)
    if not table.rows:
        if not end.allocated_bytes:
            return "no allocation was sampled: try --exact" if table.sampled else "the program allocated nothing"
        peak = series.moment("peak")
        return (
            f"nothing was held at the end; {units.size(end.allocated_bytes)} were allocated, "
            f"at most {units.size(peak.in_use_bytes)} at a time"
        )
    told = "inuse_objects" in profile.values  # massif tells bytes alone
    blocks = f" in {units.blocks(profile.total('inuse_objects'))}" if told else ""
    total = units.quantity_with_error(table.total, table.error, "bytes")
    first = table.rows[0]
    name, source = names.row_name(first)
    where = f"{name} ({source})" if source else name
    most = "most of it" if first.flat > table.total / 2 else "the largest part"
    part = f"{units.size(first.flat)} ({units.percent(first.flat, table.total)})"
    return f"held at the end: {total}{blocks}; {most}, {part}, at {where}"
