# SPDX-License-Identifier: Apache-2.0
"""What `heaptide serve` hands to the web interface: opening, converting, finding sources (`web.opener.Opener`)."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heaptide._errors import NothingToShow
from heaptide.cli.rooted import RootedSources
from heaptide.symbolize import Module, SourceFrame, Symbolizer

if TYPE_CHECKING:
    from heaptide.model import Profile, Series
    from heaptide.web.opener import Download, Format, Tell, Wanted

_STEP = 500
"""So many addresses are named between two reports of progress."""
_PICTURES = {"svg": "Call graph, SVG", "pdf": "Call graph, PDF"}
_LABELS = {
    "pprof": "pprof (profile.proto)",
    "gperftools": "gperftools heap profile",
    "collapsed": "collapsed stacks",
    "callgrind": "callgrind",
    "speedscope": "speedscope",
}
_DRAWING_S = 60.0
"""Seconds that the layout of a graph may take."""


class TellingSymbolizer(Symbolizer):
    """Says while it works how far it is. One for all readings, so that a capture that grew is named quickly."""

    def __init__(self, search: Sequence[str]) -> None:
        super().__init__(search=tuple(Path(directory) for directory in search))
        self.tell: Tell | None = None
        self._done = 0
        self._expected = 0

    def expect(self, addresses: int) -> None:
        """See `build.Foreseeing`."""
        self._done, self._expected = 0, addresses

    def resolve(self, module: Module, vaddrs: Sequence[int]) -> list[tuple[SourceFrame, ...]]:
        """As `Symbolizer.resolve`, some at a time."""
        found: list[tuple[SourceFrame, ...]] = []
        for start in range(0, len(vaddrs), _STEP):
            self._say(f"naming {len(vaddrs):,} addresses of {module.name}")
            some = vaddrs[start : start + _STEP]
            found += super().resolve(module, some)
            self._done += len(some)
        return found

    def _say(self, what: str) -> None:
        from heaptide.web.opener import NAMING

        if self.tell is not None:
            part = min(self._done / self._expected, 1.0) if self._expected else 0.0
            self.tell(NAMING[0] + part * (NAMING[1] - NAMING[0]), what)


class Files:
    """Captures and foreign profiles on disk. ``roots``: where source files may be read."""

    def __init__(self, search: Sequence[str], sources: RootedSources) -> None:
        from heaptide.formats.targets import TARGETS
        from heaptide.web.opener import Format

        self._symbolizer = TellingSymbolizer(search)
        self._sources = sources
        self.formats: Sequence[Format] = [
            *(Format(name, f"{_LABELS[name]}, {target.suffixes[0]}") for name, target in TARGETS.items()),
            *(Format(name, label) for name, label in _PICTURES.items()),
        ]

    def stamp(self, path: str) -> Hashable | None:
        """Which file it is, its size, when it was written, and whether its writer lives."""
        from heaptide.build import being_written

        try:
            found = os.stat(path)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, being_written(path)

    def open(self, path: str, tell: Tell) -> Series:
        """See `web.opener.Opener`."""
        from heaptide import build, build_foreign

        self._symbolizer.tell = tell
        if build_foreign.is_foreign(path):
            return build_foreign.load(path, symbolizer=self._symbolizer)
        return build.load(path, symbolizer=self._symbolizer)

    def convert(self, series: Series, form: str, wanted: Wanted) -> Download:
        """See `web.opener.Opener`."""
        from heaptide.web.opener import Download
        from heaptide.web.source import profile_of

        profile = profile_of(series, wanted)
        stem = _stem(series, wanted)
        if form in _PICTURES:
            return Download(f"{stem}.{form}", _picture(series, profile, wanted, form))
        return _converted(series, profile, wanted, form, stem)

    def lines(self, file: str) -> list[str] | str:
        """See `web.opener.Opener`."""
        return self._sources.lines(file)


def _converted(series: Series, profile: Profile, wanted: Wanted, form: str, stem: str) -> Download:
    from heaptide.formats.targets import TARGETS, default_value
    from heaptide.model.flatten import columns_of
    from heaptide.web.opener import Download

    target, columns = TARGETS[form], columns_of(profile, series.images)
    if not len(columns):
        raise NothingToShow("there is no stack at this moment, or between these two")
    kinds = [kind.type for kind in columns.sample_types]
    value = kinds.index(wanted.value) if wanted.value in kinds else default_value(columns)
    lacking = "; ".join(target.lacks(columns, value))
    data = target.write(columns, value, os.path.basename(series.path))
    return Download(f"{stem}{target.suffixes[0]}", data, f"not in this format: {lacking}" if lacking else "")


def _picture(series: Series, profile: Profile, wanted: Wanted, form: str) -> bytes:
    from heaptide.analysis.graph import call_graph
    from heaptide.render import dot, headings, picture

    of = series.mappings if wanted.mapped and series.mappings is not None else series
    graph = call_graph(profile, value=wanted.value, by="function")
    if not graph.nodes:
        raise NothingToShow("there is nothing to draw at this moment, or between these two")
    at = of.moment("end" if wanted.at is None else wanted.at)
    base = None if wanted.base is None else f"what there was at {headings.moment(of.moment(wanted.base))}"
    heading = headings.heading(series, wanted.value, at, base, mapped=wanted.mapped)
    return picture.draw(dot.plain(graph, heading), form, time_limit=_DRAWING_S)


def _stem(series: Series, wanted: Wanted) -> str:
    """A file's name that says what it holds: ``server.4711.12-57.mmap``."""
    name = os.path.basename(series.path)
    for suffix in (".tide", ".pb.gz", ".gz", ".heap"):
        name = name.removesuffix(suffix)
    at = "end" if wanted.at is None else str(wanted.at)
    when = at if wanted.base is None else f"{wanted.base}-{at}"
    return ".".join([name, when, *(["mmap"] if wanted.mapped else [])])
