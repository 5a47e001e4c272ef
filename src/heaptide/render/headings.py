# SPDX-License-Identifier: Apache-2.0
"""The lines above a report: which file, which moment, what is counted."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from heaptide.model import Series, Snapshot
from heaptide.render import names, units
from heaptide.render.harmless import harmless

if TYPE_CHECKING:
    from heaptide.analysis.growth.work import Ratio

VALUE_WORDS = {
    "inuse_space": "bytes in use",
    "inuse_objects": "blocks in use",
    "alloc_space": "bytes ever allocated",
    "alloc_objects": "blocks ever allocated",
}
MAPPED_WORDS = {
    "inuse_space": "bytes that the program mapped itself",
    "inuse_objects": "mappings of the program's own",
    "alloc_space": "bytes that the program ever mapped itself",
    "alloc_objects": "mappings that the program ever made itself",
}


def moment(snapshot: Snapshot) -> str:
    """A moment as snapshot number, wall clock and offset: ``#12 2026-11-22 21:30:11 +00:12.3 (shutdown)``.

    Nothing for a foreign file, which has only one.
    """
    if snapshot.kind == "file":
        return ""
    clock = datetime.fromtimestamp(snapshot.realtime_ns / 1e9).astimezone()
    return f"#{snapshot.number} {clock:%Y-%m-%d %H:%M:%S} {units.offset(snapshot.offset_s)} ({snapshot.kind})"


def ratio(found: Ratio) -> str:
    """What another recording's values were multiplied by, and why: ``its values times 2.31 (12.0 s against 5.2 s)``."""
    if found.per == "time":
        reason = f"{units.duration(found.now)} against {units.duration(found.before)}"
    else:
        reason = f"{units.size(found.now)} against {units.size(found.before)} allocated"
    return f"its values times {found.factor:.3g} ({reason})"


def heading(
    series: Series,
    value: str,
    at: Snapshot,
    base: str | None = None,
    *,
    mapped: bool = False,
    remark: str | None = None,
) -> list[str]:
    """What a table shows: the file and the value, then the moment and, in a difference, what was subtracted.

    ``remark``: what else there is to say of the choice.
    """
    what = (MAPPED_WORDS if mapped else VALUE_WORDS).get(value, value)
    lines = [f"{names.base_name(series.path)}: {what}"]
    when = [f"at {words}" for words in [moment(at)] if words]
    if base is not None:
        when.append(f"less {harmless(base)}")
    if remark is not None:
        when.append(harmless(remark))
    if series.live:
        when.append("the recording goes on")
    return [*lines, *([", ".join(when)] if when else [])]
