# SPDX-License-Identifier: Apache-2.0
"""From what was gathered of a recording to the document's bytes."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from heaptide.analysis.growth import Growth
from heaptide.analysis.report import Report
from heaptide.model import Frame
from heaptide.render import growth as growths
from heaptide.render import held, names, units
from heaptide.render.listing import Lines
from heaptide.render.page import header as heads
from heaptide.render.page.document import Section, pack
from heaptide.render.page.excerpts import Excerpts
from heaptide.render.page.suspects import shown, suspects
from heaptide.render.page.tables import Frames, dataset_header, dataset_sections
from heaptide.render.page.texts import clean

View = Literal["report", "flame"]

_PLACES = 40
"""Source is quoted around so many of the places that hold most, and as many of those that allocated most."""
_WARNINGS = 50
_TEXT_SUSPECTS = 20


@dataclass(frozen=True, slots=True)
class Document:
    """The header as it is, for what is written beside it, and all of it as bytes."""

    header: dict[str, object]
    data: bytes


class Maker:
    """Writes the documents of one recording. What does not depend on the moments and stacks it keeps is made once.

    Args:
        found: what was gathered.
        lines_of: reads a source file, or says why not.
        view: what the page shows.
        start: the fragment of the address that it opens with, where its own has none.
        tool: name and version of what makes it.
    """

    def __init__(self, found: Report, lines_of: Lines, *, view: View, start: str, tool: str) -> None:
        self._growth = found.growth
        self._excerpts = Excerpts(lines_of, [*_accused(found.growth), *_top_places(found)])
        self._fixed: dict[str, object] = {
            "schema": 1,
            "tool": tool,
            "view": view,
            "start": start,
            **_recording(found),
            "headline": _headline(found),
            "growth_text": "" if found.growth is None else _growth_text(found.growth, found, self._excerpts),
            "survivors": heads.survivors(found.births),
            "sources": self._excerpts.found,
        }

    def document(self, found: Report) -> Document:
        """The document of what was gathered, thinned and folded as it may be."""
        frames = Frames()
        sections: dict[str, Section] = {}
        for part in found.stacks:
            sections |= dataset_sections(part, frames)
        sections |= frames.sections()
        body = self._fixed | {
            "moments": heads.moments(found),
            "errors": heads.errors(found),
            "ledger": heads.ledger(found.readings, [shot.number for shot in found.shots]),
            "top_sites": heads.top_sites(found.top_sites),
            "suspects_total": 0 if self._growth is None else len(self._growth.acting),
            "suspects": [] if self._growth is None else suspects(self._growth, frames.strings, self._excerpts),
            "strings": frames.strings.texts,
            "modules": frames.modules.texts,
            "datasets": [dataset_header(part) for part in found.stacks],
        }
        return Document(body, pack(body, sections))


def _recording(found: Report) -> dict[str, object]:
    series = found.series
    left_out = len(series.warnings) - _WARNINGS
    warnings = [*series.warnings[:_WARNINGS], *([f"and {left_out} more warnings"] if left_out > 0 else [])]
    return {
        "title": clean(names.base_name(series.path)),
        "capture": clean(series.path),
        "command": clean(shlex.join(series.command)),
        "pid": series.pid,
        "mode": series.mode,
        "live": series.live,
        "damaged": series.damaged or not (series.complete or series.live),
        "started_ms": series.started_realtime_ns // 1_000_000,
        "duration_s": series.duration_s,
        "warnings": [clean(text) for text in warnings],
        "costs": heads.costs(series),
    }


def _headline(found: Report) -> dict[str, str]:
    """The verdict; of another profiler's file what is held there."""
    held_text = clean(_held(found))
    if found.growth is None:
        return {"verdict": "none", "text": held_text, "detail": "Another profiler's file: growth is not judged."}
    lines = [clean(line) for line in growths.others(found.growth)]
    return {
        "verdict": found.growth.verdict,
        "text": clean(growths.headline(found.growth)),
        "detail": "\n".join([*lines, held_text]),
    }


def _held(found: Report) -> str:
    """What is in use at the end; of a file that only tells what was allocated, that."""
    if "inuse_space" in found.stacks[0].values:
        return held.sentence(
            found.series, next(head.table for head in found.tables if head.table.value == "inuse_space")
        )
    return f"{units.size(found.tables[0].table.total)} were allocated" if found.tables else "no bytes are told"


def _growth_text(growth: Growth, found: Report, excerpts: Excerpts) -> str:
    text = growths.text(growth, found.ledger, sources=excerpts.lines(), limit=_TEXT_SUSPECTS)
    return "\n".join(clean(line) for line in text.split("\n"))


def _accused(growth: Growth | None) -> Iterable[Frame | None]:
    for suspect in () if growth is None else shown(growth):
        yield suspect.site
        yield from (part.site for part in suspect.parts)


def _top_places(found: Report) -> Iterable[Frame]:
    """The sites that hold most at the last moment and that allocated most, each with its caller."""
    blocks = found.stacks[0]
    tree, changes = blocks.tree, blocks.changes
    for name in ("inuse_space", "alloc_space"):
        weight = np.zeros(len(tree.parent))
        np.add.at(weight, blocks.site[changes.row], changes.columns[name].astype(np.float64))
        for node in np.argsort(-weight, kind="stable")[:_PLACES].tolist():
            for step in (node, int(tree.parent[node])):
                if tree.frame[step] >= 0:
                    yield blocks.frames[tree.frame[step]]
