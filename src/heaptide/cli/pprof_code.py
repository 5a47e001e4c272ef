# SPDX-License-Identifier: Apache-2.0
"""What `heaptide pprof` shows of code: annotated source, machine code, both as a page; names of addresses."""

from __future__ import annotations

import os
import re
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from heaptide._errors import NothingToShow, UsageError
from heaptide.analysis.column_walks import Kept, column_walks
from heaptide.analysis.graph import EVERYTHING, Counted, Style, graph_of
from heaptide.analysis.listing import Routine, routines
from heaptide.analysis.simplify import simple_name
from heaptide.cli.pprof_flags import Request, compiled
from heaptide.cli.sources import Sources
from heaptide.render import listing, pprof
from heaptide.render.harmless import harmless
from heaptide.render.pprof_names import printable

if TYPE_CHECKING:
    from heaptide.analysis.inquiry import Answer
    from heaptide.cli.assembly import Wanted
    from heaptide.model.columns import Columns
    from heaptide.symbolize import Symbolizer


def source(found: Answer, page: pprof.Page, request: Request) -> str:
    """``-list``. Raises NothingToShow when no function's name matches."""
    return listing.source(_routines(found, request), _sources(request).lines, pprof.dialect_of(found, page))


def disasm(found: Answer, page: pprof.Page, request: Request, symbolizer: Symbolizer) -> str:
    """``-disasm``. Raises NothingToShow when there is no such code, or no objdump."""
    from heaptide.cli.assembly import code_of

    return listing.assembly(code_of(found, _wanted(request), symbolizer), pprof.dialect_of(found, page))


def weblist(found: Answer, page: pprof.Page, request: Request, symbolizer: Symbolizer) -> str:
    """``-weblist``. Machine code is left out where there is none. Raises NothingToShow when no function matches."""
    from heaptide.cli.assembly import code_of
    from heaptide.cli.guard import say
    from heaptide.render import weblist as html

    try:
        code = code_of(found, _wanted(request), symbolizer)
    except NothingToShow as error:
        say(f"warning: source only: {error.message}")
        code = []
    dialect = pprof.dialect_of(found, page)
    labels = pprof.profile_labels(found, dialect)
    return html.page(_routines(found, request), code, _sources(request).lines, dialect, labels)


def _routines(found: Answer, request: Request) -> list[Routine]:
    pattern = compiled(f"--{request.output}", request.search)
    assert pattern is not None, "parse() keeps no empty search"
    kept = Kept.of("lines")
    steps = column_walks(found.columns, found.weights.counted, kept, with_modules=True)
    counted = Counted(found.value, found.unit, found.total, found.total)
    graph = graph_of(steps, found.weights, counted, Style(EVERYTHING, "flat", printable, picture=False))
    chosen = routines(graph, pattern)
    if not chosen:
        raise NothingToShow(f"no function's name matches {request.search!r}")
    return chosen


def _sources(request: Request) -> Sources:
    def listed(name: str) -> list[str]:
        return [word for word in request.settings.get(name, "").split(os.pathsep) if word]

    return Sources(listed("source_path"), listed("trim_path"))


def _wanted(request: Request) -> Wanted:
    from heaptide.cli.assembly import Wanted

    pattern = compiled(f"--{request.output}", request.search)
    assert pattern is not None, "parse() keeps no empty search"
    address = int(request.search, 0) if re.fullmatch(r"0[xX][0-9a-fA-F]+|[1-9]\d*", request.search) else None
    tools = request.settings.get("tools") or os.environ.get("PPROF_TOOLS", "")
    return Wanted(pattern, address, request.on("intel_syntax"), tools)


_HEX = re.compile(r"\b(0x[0-9a-f]+)\b", re.IGNORECASE)


def symbols(request: Request) -> str:
    """``--symbols PROGRAM``: a name for each address on standard input; lines without one are the memory map.

    Raises UsageError when no program is named.
    """
    from heaptide.build_foreign import symbolized
    from heaptide.cli.pprof_inputs import search_path
    from heaptide.formats.maps import parse_maps, place
    from heaptide.model.columns import Columns, Functions, Locations
    from heaptide.symbolize import Symbolizer

    if len(request.files) != 1:
        raise UsageError("--symbols wants one program, and addresses on standard input")
    lines = sys.stdin.buffer.read().decode("utf-8", "surrogateescape").splitlines()
    matches = [_HEX.search(line) for line in lines]
    addresses = np.array([int(match[1], 16) for match in matches if match], np.uint64)
    entries = parse_maps([line for line, match in zip(lines, matches, strict=True) if not match])
    mappings, mapping = place(addresses, entries)
    count, none = len(addresses), np.zeros(0, np.int64)
    columns = Columns(
        sample_types=(),
        values=np.zeros((0, 0), np.int64),
        stack_start=np.zeros(1, np.int64),
        stack=np.zeros(0, np.int32),
        locations=Locations(
            addresses,
            mapping,
            np.zeros(count, bool),
            np.zeros(count + 1, np.int64),
            np.zeros(0, np.int32),
            none,
            none,
        ),
        functions=Functions([], [], [], none),
        mappings=mappings,
    )
    symbolizer = Symbolizer(search=search_path(request))
    named = symbolized(columns, program=request.files[0], symbolizer=symbolizer)
    return "".join(f"{harmless(name)}\n" for name in _names(named))


def _names(columns: Columns) -> list[str]:
    """For each location the simple name of its innermost function, ?? where it is not known."""
    places, functions = columns.locations, columns.functions
    return [
        simple_name(functions.name[places.function[first]]) if first < end else "??"
        for first, end in pairwise(places.line_start.tolist())
    ]
