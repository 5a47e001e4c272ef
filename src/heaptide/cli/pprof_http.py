# SPDX-License-Identifier: Apache-2.0
"""``pprof -http=[HOST]:[PORT]``: the page of `heaptide serve` on what pprof's command line names.

One capture alone is served as `serve` does, with all its moments. Anything else (a foreign file, several that are
summed, a base, filters) is the one profile that any other output would be of.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Hashable
from typing import TYPE_CHECKING

import heaptide
from heaptide._errors import NothingToShow, UsageError
from heaptide.cli import opening
from heaptide.cli.pprof_flags import Request
from heaptide.cli.rooted import RootedSources
from heaptide.cli.serve import announcer, end_at_once, warn_if_open
from heaptide.cli.served import Files

if TYPE_CHECKING:
    from heaptide.model import Series
    from heaptide.web.opener import Tell

_ADDRESS = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<name>[^:\[\]]*)):(?P<port>\d{0,5})")
_CHANGES = [
    "focus",
    "ignore",
    "hide",
    "show",
    "show_from",
    "prune_from",
    "tagfocus",
    "tagignore",
    "tagshow",
    "taghide",
    "tagroot",
    "tagleaf",
    "at",
    "add_comment",
]
"""Settings with which a capture is one profile."""


class _Gathered(Files):
    """One profile that is in memory."""

    def __init__(self, sources: RootedSources, series: Series) -> None:
        super().__init__((), sources)
        self._series = series

    def stamp(self, path: str) -> Hashable | None:
        """It does not change."""
        return path

    def open(self, path: str, tell: Tell) -> Series:
        """What there is."""
        return self._series


def serve(request: Request) -> None:
    """Serves until Ctrl-C. Raises as `pprof_inputs.gather`; UsageError for an address that makes no sense."""
    from heaptide.web.site import Where
    from heaptide.web.site import serve as serve_at

    host, port = _address(request.settings["http"])
    warn_if_open(host)
    sources = RootedSources((os.getcwd(), *_folders(request, "source_path")), _folders(request, "trim_path"))
    path = _one_capture(request)
    opener = _gathered(request, sources) if path is None else Files(_search(request), sources)
    serve_at(
        [path or request.files[-1]],
        opener,
        Where(host, port),
        tool=f"heaptide {heaptide.__version__}",
        announce=announcer(open_it=not request.on("no_browser") and opening.has_desktop()),
    )
    end_at_once()


def _one_capture(request: Request) -> str | None:
    """The capture that the command line is about, if it is about one and about all of it."""
    from heaptide import build_foreign

    if _changes(request) or len(request.files) != 1 or build_foreign.is_foreign(request.files[0]):
        return None
    return request.files[0]


def _changes(request: Request) -> list[str]:
    """The options by which the profile is another than that of its files."""
    bases = [(name, text) for name in ("base", "diff_base") for text in request.lists.get(name, [])]
    settings = [(name, request.settings[name]) for name in _CHANGES if request.settings.get(name)]
    return [f"-{name}={shlex.quote(text)}" for name, text in (*bases, *settings)]


def _gathered(request: Request, sources: RootedSources) -> Files:
    """What any other output would be of, filters applied."""
    from heaptide import build_foreign
    from heaptide.cli import pprof_inputs, pprof_outputs
    from heaptide.model import VALUES

    columns = pprof_outputs.answer_of(request, pprof_inputs.gather(request)).columns
    words = [*_changes(request), *map(shlex.quote, request.files)]
    warnings = [f"all of this is of the profile that heaptide pprof {' '.join(words)} asks for"] if words[1:] else []
    series = build_foreign.series_of(columns, request.files[-1], warnings)
    if not series.at("end").values.keys() & VALUES.keys():
        raise NothingToShow("the page is for values of a heap, and this profile has none", hint="name an output: -top")
    return _Gathered(sources, series)


def _search(request: Request) -> list[str]:
    from heaptide.cli import pprof_inputs

    return [str(folder) for folder in pprof_inputs.search_path(request)]


def _folders(request: Request, name: str) -> list[str]:
    return [word for word in request.settings.get(name, "").split(os.pathsep) if word]


def _address(text: str) -> tuple[str, int]:
    """Host and port as the Go tool reads them: no host is this machine, no port one that is free."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"] or 0) > 65535:
        raise UsageError(f"--http {text!r} is no address", hint="write [HOST]:[PORT], for instance --http=:8080")
    return found["six"] or found["name"] or "127.0.0.1", int(found["port"] or 0)
