# SPDX-License-Identifier: Apache-2.0
"""Writes what `heaptide live` shows: as text, as JSON, or as collapsed stacks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from heaptide._errors import UsageError

if TYPE_CHECKING:
    from heaptide.analysis.spots import Question
    from heaptide.analysis.watch import Watch
    from heaptide.tui.seams import ExportKind

_SUFFIXES: dict[ExportKind, str] = {"text": ".txt", "json": ".json", "collapsed": ".folded"}
_TRIES = 100


class Files:
    """A `heaptide.tui.seams.Exporter` that writes into a directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, kind: ExportKind, watch: Watch, question: Question) -> str:
        """See `Exporter`."""
        data = _content(kind, watch, question).encode("utf-8", "surrogateescape")
        stem = f"{Path(watch.series.path).name.removesuffix('.tide')}.live-{time.strftime('%H%M%S')}"
        for attempt in range(_TRIES):
            path = self._folder / f"{stem}{f'.{attempt}' if attempt else ''}{_SUFFIXES[kind]}"
            try:
                with path.open("xb") as file:
                    file.write(data)
                return str(path)
            except FileExistsError:
                continue
            except OSError as error:
                raise UsageError(f"{path} cannot be written: {error.strerror}") from None
        raise UsageError(f"{self._folder} is full of files named {stem}")


def _content(kind: ExportKind, watch: Watch, question: Question) -> str:
    from heaptide.analysis.marks import cut
    from heaptide.analysis.top import top
    from heaptide.formats import collapsed
    from heaptide.model.flatten import columns_of
    from heaptide.render import headings, json, text

    found = cut(watch, question.span, question.pattern)
    profile, value = found.profile, question.value
    if kind == "collapsed":
        data = collapsed.dump(columns_of(profile, watch.series.images), list(profile.values).index(value))
        return data.decode("utf-8", "surrogateescape")
    table = top(profile, value=value, by="line", before=found.before)
    if kind == "json":
        return json.top(table)
    since, until = question.span.since, question.span.until
    base = None
    if found.before is not None:
        base = f"what there was at {headings.moment(since.snapshot if since else watch.series.snapshots[0])}"
    remark = f"only sites that match {question.pattern.pattern}" if question.pattern else None
    at = until.snapshot if until else watch.at
    return text.top_table(table, headings.heading(watch.series, value, at, base, remark=remark))
