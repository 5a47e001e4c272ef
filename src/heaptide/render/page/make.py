# SPDX-License-Identifier: Apache-2.0
"""Makes a document and keeps it within its room: fewer moments first, then fewer call paths that are told apart.

How well a column packs is known only once it is packed, so the number of call paths is found by trying: a first guess
from what their numbers take unpacked, then a few corrections by what came out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from heaptide.analysis.page_stacks import PageStacks, fold, importance
from heaptide.analysis.report import Report
from heaptide.model.changes import COUNTERS
from heaptide.render.listing import Lines
from heaptide.render.page import varint
from heaptide.render.page.maker import Document, Maker, View

Floats = npt.NDArray[np.float64]

REPORT_ROOM = 5_000_000
"""Bytes that a report may take, all of it."""
ROOM = 3_000_000
"""Bytes that a document takes at most, unless told."""
_FEWER_MOMENTS = (120, 60)
_TRIES = 6
_GOOD, _AIM = 0.9, 0.97
"""So much of the room is used: good enough; and so much is aimed at."""
_HOPELESS = 2.0
"""What takes so many times the room before it is packed is not tried."""
_PER_ENTRY = 0.7
"""Packed bytes for where a number stands, beside its own."""
_PER_NODE = 2.5


def document(
    found: Report,
    lines_of: Lines,
    *,
    view: View = "report",
    start: str = "",
    tool: str = "heaptide",
    room: int = ROOM,
) -> Document:
    """The document of a recording.

    Args:
        found: what was gathered.
        lines_of: reads a source file, or says why not.
        view: what the page shows.
        start: the fragment of the address that it opens with, where its own has none.
        tool: name and version of what makes it.
        room: the most bytes that it may take, where folding can bring it there; else it is the smallest that there is.
    """
    maker = Maker(found, lines_of, view=view, start=start, tool=tool)
    for moments in (len(found.shots), *_FEWER_MOMENTS):
        found = found.thinned(moments)
        if sum(costs(part).sum() for part in found.stacks) < _HOPELESS * room:
            whole = maker.document(found)
            if len(whole.data) <= room:
                return whole
    return _folded(found, maker, room)


def room_beside(*others: str) -> int:
    """What the rest of a report leaves for its document, which stands there as base64."""
    return max(0, REPORT_ROOM - sum(len(text.encode()) for text in others)) * 3 // 4 - 1000


def _folded(found: Report, maker: Maker, room: int) -> Document:
    """The most important call paths, as many as there is room for."""
    weights = [importance(part, accused_stacks(found, part)) for part in found.stacks]
    ordered = np.argsort(-np.concatenate(weights), kind="stable")
    spent = np.cumsum(np.concatenate([costs(part) for part in found.stacks])[ordered])
    rank = np.empty(len(ordered), np.int64)
    rank[ordered] = np.arange(len(ordered))
    ranks = np.split(rank, np.cumsum([len(weight) for weight in weights])[:-1])
    target, tried, best = float(room), list[tuple[float, int]](), None
    for _ in range(_TRIES):
        count = int(np.searchsorted(spent, target))
        parts = tuple(fold(part, own < count) for part, own in zip(found.stacks, ranks, strict=True))
        made = maker.document(replace(found, stacks=parts))
        if best is None or _better(made, best, room):
            best = made
        fits = len(made.data) <= room
        if (fits and len(made.data) >= _GOOD * room) or (not fits and not count):
            break
        tried.append((target, len(made.data)))
        target = _next(tried, _AIM * room)
    assert best is not None
    return best


def _next(tried: Sequence[tuple[float, int]], wanted: float) -> float:
    """What to spend so that the size is as wanted: along the line through the last two tries, or through nothing."""
    target, size = tried[-1]
    before, size_before = tried[-2] if len(tried) > 1 else (0.0, 0)
    if size == size_before:
        return target * wanted / size
    return max(0.0, target + (wanted - size) * (target - before) / (size - size_before))


def _better(one: Document, other: Document, room: int) -> bool:
    """The larger one that fits, else the smaller."""
    fits, fitted_before = len(one.data) <= room, len(other.data) <= room
    if fits != fitted_before:
        return fits
    return (len(one.data) > len(other.data)) == fits


def costs(found: PageStacks) -> Floats:
    """About how many packed bytes each stack takes: of its numbers, and its part of the tree."""
    changes = found.changes
    size = np.zeros(len(changes.row))
    for name in COUNTERS:
        column = changes.columns[name]
        size += np.where(column != 0, varint.lengths(column) + _PER_ENTRY, 0.0)
    tree = _PER_NODE * len(found.tree.parent) / max(len(found.paths), 1)
    return np.bincount(changes.row, size, len(found.paths)).astype(np.float64) + tree


def accused_stacks(found: Report, part: PageStacks) -> npt.NDArray[np.bool_]:
    """Which stacks end at the site of a suspect that acts."""
    acting = [] if found.growth is None else found.growth.acting
    sites = {one.site.key() for suspect in acting for one in (suspect, *suspect.parts) if one.site is not None}
    of_frame = np.array([frame.key() in sites for frame in part.frames], bool)
    return of_frame[part.site_frame]
