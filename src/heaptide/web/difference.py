# SPDX-License-Identifier: Apache-2.0
"""What one capture holds on top of another, as `heaptide top --base FILE` computes it, in the texts to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from heaptide._errors import UsageError
from heaptide.analysis.places import Granularity
from heaptide.analysis.top import Row, top
from heaptide.model import Profile, Series
from heaptide.render import names, units
from heaptide.web.opener import Wanted
from heaptide.web.shelf import Capture
from heaptide.web.source import profile_of

BY: Mapping[str, Granularity] = {
    "function": "function",
    "line": "line",
    "file": "file",
    "module": "module",
    "address": "address",
}
"""By what rows can be told apart."""
MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Side:
    """A capture at a moment."""

    capture: Capture
    series: Series
    wanted: Wanted

    def profile(self) -> Profile:
        """Raises as `profile_of`."""
        with self.capture.busy:
            return profile_of(self.series, self.wanted)


def difference(new: Side, old: Side, by: Granularity) -> dict[str, object]:
    """Rows that changed, the largest change first: at most `MOST_ROWS`, ``more`` counts the rest.

    Raises:
        UsageError: one of the two does not hold the value.
        NothingToShow: as `profile_of`.
    """
    before = old.profile()
    try:
        change = new.profile() - before
        table = top(change, value=new.wanted.value, by=by, before=before)
    except (TypeError, KeyError):
        raise UsageError("these two do not hold the same values, so nothing can be subtracted") from None
    unit: units.Unit = "bytes" if table.unit == "bytes" else "objects"
    rows = [row for row in table.rows if row.flat]
    return {
        "total": units.quantity(table.total, unit, signed=True),
        "rows": [_row(row, unit) for row in rows[:MOST_ROWS]],
        "more": max(0, len(rows) - MOST_ROWS),
    }


def _row(row: Row, unit: units.Unit) -> dict[str, object]:
    held = row.before[0] if row.before is not None else 0
    name, place = names.row_name(row)
    return {
        "name": name,
        "place": place,
        "before": units.quantity(held, unit) if held else "",
        "after": units.quantity(held + row.flat, unit) if held + row.flat else "",
        "change": units.quantity(row.flat, unit, signed=True),
        "times": units.times(held, held + row.flat),
        "sign": 1 if row.flat > 0 else -1,
    }
