# SPDX-License-Identifier: Apache-2.0
"""A call graph in callgrind's format, for kcachegrind and callgrind_annotate; line for line as pprof writes it.

Names are written in full once and by number afterwards, addresses as differences to the node before where that is
shorter. Values are whole numbers in the smallest node's unit.
"""

from __future__ import annotations

from collections.abc import Iterator

from heaptide.analysis.graph import CallGraph, Edge
from heaptide.analysis.inquiry import Answer
from heaptide.analysis.measures import scale
from heaptide.analysis.places import Place
from heaptide.render.harmless import harmless
from heaptide.render.pprof import Page, dialect_of


def callgrind(answer: Answer, graph: CallGraph, page: Page, *, tree: bool = False) -> str:
    """``-callgrind``; ``tree``: the graph has a node for each path."""
    unit = dialect_of(answer, page, graph, one_unit=True).unit
    return "\n".join(_Writer(graph, answer.unit, unit, tree).lines(f"events: {answer.value}({unit})")) + "\n"


class _Writer:
    def __init__(self, graph: CallGraph, counted_in: str, unit: str, tree: bool) -> None:
        self._graph, self._counted_in, self._unit = graph, counted_in, unit
        self._modules: dict[str, int] = {}
        self._files: dict[str, int] = {}
        self._functions: dict[str, int] = {}
        self._told_apart = _numbered_names(graph, tree)
        self._calls: list[list[Edge]] = [[] for _ in graph.nodes]
        for edge in graph.edges:
            self._calls[edge.source].append(edge)

    def lines(self, events: str) -> Iterator[str]:
        """The whole file."""
        yield "positions: instr line"
        yield harmless(events)
        before: Place | None = None
        for number, node in enumerate(self._graph.nodes):
            place = node.place
            if before is None or _home(place) != _home(before):
                yield ""
                yield f"ob={_named(self._modules, place.module)}"
                yield f"fl={_named(self._files, place.file)}"
                yield f"fn={_named(self._functions, place.function)}"
            yield f"{_address(before, place)} {place.line or 0} {self._whole(node.flat)}"
            for edge in self._calls[number]:
                yield from self._call(edge, before)
            before = place

    def _call(self, edge: Edge, before: Place | None) -> Iterator[str]:
        callee = self._graph.nodes[edge.target].place
        yield f"cfl={_named(self._files, callee.file)}"
        yield f"cfn={_named(self._functions, self._told_apart[edge.target])}"
        yield f"calls=0 {_address(before, callee)} {callee.line or 0}"
        yield f"* * {self._whole(edge.weight)}"

    def _whole(self, value: float) -> int:
        return int(scale(value, self._counted_in, self._unit)[0])


def _home(place: Place) -> tuple[str | None, str | None, str | None]:
    return place.module, place.file, place.function


def _numbered_names(graph: CallGraph, tree: bool) -> list[str]:
    """Functions' names; with [1/2] behind them where one file holds several functions of a name.

    In a tree a function is another one under each caller: so costs of different paths are told apart.
    """
    caller = {edge.target: edge.source for edge in graph.edges} if tree else {}
    kinds = [(caller.get(number), _without_line(node.place)) for number, node in enumerate(graph.nodes)]
    several: dict[tuple[str | None, str | None], dict[tuple[int | None, Place], int]] = {}
    for kind in kinds:
        of_name = several.setdefault((kind[1].file, kind[1].function), {})
        of_name.setdefault(kind, len(of_name))
    names = []
    for kind in kinds:
        of_name = several[kind[1].file, kind[1].function]
        number = f" [{of_name[kind] + 1}/{len(of_name)}]" if len(of_name) > 1 else ""
        names.append(f"{kind[1].function or ''}{number}")
    return names


def _without_line(place: Place) -> Place:
    return Place(place.function, place.file, module=place.module, start_line=place.start_line)


def _named(known: dict[str, int], name: str | None) -> str:
    """A name's number, with the name itself where it has not been written yet."""
    if not name:
        return ""
    if name in known:
        return f"({known[name]})"
    known[name] = len(known) + 1
    return f"({known[name]}) {harmless(name)}"


def _address(before: Place | None, place: Place) -> str:
    address = place.address or 0
    absolute = f"{address:#x}"
    if before is None:
        return absolute
    difference = address - (before.address or 0)
    relative = f"{difference:+d}" if difference else "*"
    return relative if not difference or len(relative) < len(absolute) else absolute
