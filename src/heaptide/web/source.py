# SPDX-License-Identifier: Apache-2.0
"""A source file with what each of its lines holds, as JSON wants it. What is shown is text by `render`."""

from __future__ import annotations

from collections import defaultdict

from heaptide._errors import NothingToShow
from heaptide.analysis.graph import EVERYTHING, CallGraph, call_graph
from heaptide.analysis.listing import Amount, file_amounts
from heaptide.model import Profile, Series
from heaptide.render import units
from heaptide.render.listing import Lines
from heaptide.render.page.texts import clean
from heaptide.web.opener import Wanted
from heaptide.web.shelf import Capture


def profile_of(series: Series, wanted: Wanted) -> Profile:
    """The moment, or what came between two. Raises UsageError for a snapshot that there is not, NothingToShow for
    mappings where nobody looked."""
    of = series.mappings if wanted.mapped else series
    if of is None:
        raise NothingToShow("this capture does not say what was mapped")
    profile = of.at("end" if wanted.at is None else wanted.at)
    return profile if wanted.base is None else profile - of.at(wanted.base)


def files_of(capture: Capture, series: Series, wanted: Wanted) -> list[dict[str, object]]:
    """The source files that frames name, those that hold most first: number, name, flat and cumulative value."""
    with capture.busy:
        graph = _by_line(capture, series, wanted)
        held: dict[str, Amount] = defaultdict(Amount)
        for node in graph.nodes:
            if node.place.file:
                held[node.place.file] += Amount(abs(node.flat), abs(node.cum))
        files = sorted(held, key=lambda file: (-held[file].flat, -held[file].cum, file))
        return [
            {"index": number, "name": clean(file)} for number, file in zip(capture.number_of(files), files, strict=True)
        ]


def source(capture: Capture, series: Series, wanted: Wanted, file: str, lines_of: Lines) -> dict[str, object]:
    """The file's lines (null with the ``reason`` where they are not shown) and the lines that hold something."""
    with capture.busy:
        graph = _by_line(capture, series, wanted)
    lines = lines_of(file)
    unit: units.Unit = "bytes" if graph.unit == "bytes" else "objects"
    words = units.Plain(unit, graph.whole, graph.is_difference)
    held = file_amounts(graph, file)
    return {
        "name": clean(file),
        "value": graph.value,
        "unit": graph.unit,
        "total": words.value(graph.total),
        "lines": None if isinstance(lines, str) else lines,
        "reason": clean(lines) if isinstance(lines, str) else "",
        "amounts": [_amount(number, amount, words) for number, amount in sorted(held.items())],
    }


def _by_line(capture: Capture, series: Series, wanted: Wanted) -> CallGraph:
    def make() -> CallGraph:
        profile = profile_of(series, wanted)
        return call_graph(profile, value=wanted.value, by="line", trim=EVERYTHING, order="flat", picture=False)

    return capture.graph((series, wanted), make)  # the series itself: another reading is another one


def _amount(line: int, amount: Amount, words: units.Plain) -> dict[str, object]:
    return {
        "line": line,
        "flat": amount.flat,
        "cum": amount.cum,
        "flat_text": words.value(amount.flat) if amount.flat else "",
        "cum_text": words.value(amount.cum) if amount.cum else "",
        "share": words.share(amount.cum),
        "part": abs(amount.cum) / words.whole if words.whole else 0.0,
    }
