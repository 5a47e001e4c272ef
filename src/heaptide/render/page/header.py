# SPDX-License-Identifier: Apache-2.0
"""The header's parts that are about time: moments, their errors, the ledger, the top sites, births."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from heaptide.analysis.births import Births
from heaptide.analysis.ledger import Name, Reading
from heaptide.analysis.places import Place
from heaptide.analysis.report import Report
from heaptide.analysis.site_curves import SiteCurve
from heaptide.model import Series
from heaptide.model.profile import Z95
from heaptide.render import ledger as ledgers
from heaptide.render import names, units
from heaptide.render.page.texts import clean

READINGS = 600
"""More readings of the ledger than this cannot be told apart on a screen."""
_HELP: Mapping[Name, str] = {
    "in_use": "Blocks that the program has allocated and not freed, as far as they are resident.",
    "rounding": "What the allocator adds to each block: sizes are rounded up.",
    "allocator_free": "Freed memory and books that the allocator keeps. Where it is much, it is fragmentation.",
    "mapped": "What the program mapped itself, without its allocator.",
    "stacks": "The threads' stacks.",
    "code": "The program and its libraries: code and data.",
    "files": "Other files that are mapped.",
    "shared": "Memory shared with other processes.",
    "heaptide": "What this tool takes inside of the program.",
    "other": "What the system put there for the loader.",
}


def moments(found: Report) -> dict[str, object]:
    """The kept moments as columns."""
    series, shots, changes = found.series, found.shots, found.stacks[0].changes
    index = {shot.number: place for place, shot in enumerate(shots)}
    live = np.maximum(changes.alloc_variance - changes.free_variance, 0.0)
    return {
        "number": [shot.number for shot in shots],
        "kind": [shot.kind for shot in shots],
        "t_s": [shot.offset_s for shot in shots],
        "wall": [wall(shot.realtime_ns) for shot in shots],
        "in_use": changes.totals("inuse_space").tolist(),
        "in_use_error": (Z95 * np.sqrt(live)).tolist(),
        "allocated": changes.totals("alloc_space").tolist(),
        "total_snapshots": len(series.snapshots),
        "end": index.get(series.moment("end").number, len(shots) - 1),
        "peak": index.get(series.moment("peak").number, 0),
    }


def errors(found: Report) -> dict[str, object] | None:
    """See the design page; None in exact mode."""
    changes = found.stacks[0].changes
    if found.series.mode == "exact":
        return None
    return {"alloc_variance": changes.alloc_variance.tolist(), "free_variance": changes.free_variance.tolist()}


def wall(realtime_ns: int) -> str:
    """A moment by the clock on the wall, where this is read: ``2026-11-22 21:30:11``."""
    try:
        return f"{datetime.fromtimestamp(realtime_ns / 1e9, UTC).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):  # a damaged clock
        return "?"


def ledger(readings: Sequence[Reading], at_numbers: Sequence[int]) -> dict[str, object] | None:
    """Resident memory over time by part, bytes. Parts add up to what is resident."""
    if not readings:
        return None
    shown = _thinned(readings, set(at_numbers))
    parts = [
        {"name": name, "label": label, "help": _HELP[name], "bytes": [round(one.parts[name]) for one in shown]}
        for name, label in ledgers.WORDS.items()
    ]
    rest = [round(one.rss_bytes - sum(one.parts.values())) for one in shown]
    parts.append(
        {"name": "unexplained", "label": "not explained", "help": "What no other part accounts for.", "bytes": rest}
    )
    return {
        "t_s": [one.snapshot.offset_s for one in shown],
        "number": [one.snapshot.number for one in shown],
        "rss": [round(one.rss_bytes) for one in shown],
        "parts": parts,
        "outside": _outside(shown),
    }


def _outside(shown: Sequence[Reading]) -> list[dict[str, object]]:
    """What is not resident and belongs to the program all the same."""
    swapped = [one.snapshot.memory.get("part_swapped", 0) for one in shown]
    return [{"name": "swapped", "label": "swapped out", "bytes": swapped}] if any(swapped) else []


def _thinned(readings: Sequence[Reading], kept: set[int]) -> list[Reading]:
    """Evenly chosen ones, and those beside moments that are kept."""
    step = -(-len(readings) // READINGS)
    last = len(readings) - 1
    return [
        one for place, one in enumerate(readings) if place % step == 0 or place == last or one.snapshot.number in kept
    ]


def top_sites(curves: Sequence[SiteCurve]) -> list[dict[str, object]]:
    """In use by function, at the kept moments."""
    return [{"label": _label(curve.place), "bytes": curve.bytes.tolist()} for curve in curves]


def survivors(births: Births | None) -> dict[str, object] | None:
    """Survivors by birth."""
    if births is None:
        return None
    edges = births.edges.tolist()
    return {
        "at_s": births.read.offset_s,
        "wall": wall(births.read.realtime_ns),
        "births": [
            {
                "from_s": begin,
                "to_s": end,
                "label": f"{units.offset(begin)} to {units.offset(end)}",
                "bytes": round(size),
                "error": round(error),
            }
            for begin, end, size, error in zip(
                edges[:-1], edges[1:], births.bytes.tolist(), births.error.tolist(), strict=True
            )
        ],
        "sites": [
            {"label": _label(place), "bytes": [round(size) for size in row]}
            for place, row in zip(births.places, births.by_place.tolist(), strict=True)
        ],
    }


def _label(place: Place | None) -> str:
    if place is None:
        return "everything else"
    if place.function is None and (place.module is not None or place.address is not None):
        return clean(names.code_name(place.module, place.address))
    return clean(place.function or names.place_name(place))


def costs(series: Series) -> list[dict[str, str]]:
    """What the tool itself took."""
    said = series.costs
    found = []
    if "agent_bytes" in said:
        found.append({"label": "memory inside the program", "text": units.size(said["agent_bytes"])})
    if "recorder_cpu_ns" in said:
        text = units.duration(said["recorder_cpu_ns"] / 1e9)
        found.append({"label": "processor time of the recorder", "text": text})
    if "recorder_rss_bytes" in said:
        found.append({"label": "memory of the recorder", "text": units.size(said["recorder_rss_bytes"])})
    return found
