# SPDX-License-Identifier: Apache-2.0
"""Each function between its callers and its callees, as text and as a document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from heaptide.analysis.graph import CallGraph, Edge, Node
from heaptide.analysis.places import Place
from heaptide.render import names, units
from heaptide.render.json import document

_TITLES = ("flat", "flat%", "cum", "cum%", "")


def tree_text(graph: CallGraph, heading: Sequence[str], *, nodes: Sequence[int], left_out: int = 0) -> str:
    """The chosen nodes (indices), each with its callers (``<-``) above and its callees (``->``) below.

    Shares of callers and callees are shares of the node's own cum. ``left_out``: how many more could be shown.
    """
    unit: units.Unit = "bytes" if graph.unit == "bytes" else "objects"
    dialect = units.Plain(unit, graph.whole, graph.is_difference)
    ways_in, ways_out = _ways(graph)
    blocks = []
    for number in nodes:
        node = graph.nodes[number]
        rows = [_way(edge, graph.nodes[edge.source], node, "<-", dialect) for edge in ways_in[number]]
        rows.append(_own(node, dialect))
        rows += [_way(edge, graph.nodes[edge.target], node, "->", dialect) for edge in ways_out[number]]
        blocks.append(rows)
    table = [_TITLES, *(row for rows in blocks for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_TITLES) - 1)]
    total = units.quantity_with_error(graph.total, graph.error, unit)
    lines = [*heading, f"{'net change' if graph.is_difference else 'total'} {total}", "", _line(_TITLES, widths)]
    for rows in blocks:
        lines += ["", *(_line(row, widths) for row in rows)]
    if left_out:
        lines += ["", f"... {units.count(left_out)} more (-n 0 shows all)"]
    return "\n".join(lines) + "\n"


def _ways(graph: CallGraph) -> tuple[list[list[Edge]], list[list[Edge]]]:
    ways_in: list[list[Edge]] = [[] for _ in graph.nodes]
    ways_out: list[list[Edge]] = [[] for _ in graph.nodes]
    for edge in graph.edges:
        ways_in[edge.target].append(edge)
        ways_out[edge.source].append(edge)
    return ways_in, ways_out


def _own(node: Node, dialect: units.Plain) -> tuple[str, ...]:
    shares = dialect.share(node.flat), dialect.share(node.cum)
    return dialect.value(node.flat), shares[0], dialect.value(node.cum), shares[1], names.place_name(node.place)


def _way(edge: Edge, other: Node, node: Node, arrow: str, dialect: units.Plain) -> tuple[str, ...]:
    marks = " (inlined)" * edge.inline + " (frames between are left out)" * edge.residual
    share = units.percent(edge.weight, node.cum)
    return "", "", dialect.value(edge.weight), share, f"  {arrow} {names.place_name(other.place)}{marks}"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    left = "  ".join(cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=True))
    return f"{left}  {row[-1]}".rstrip()


def tree_json(graph: CallGraph, *, nodes: Iterable[int], reason: str | None = None) -> str:
    """`tree --json` and `peek --json`: the nodes with their callers and callees."""
    ways_in, ways_out = _ways(graph)
    rows = []
    for number in nodes:
        node = graph.nodes[number]
        rows.append(
            {
                "flat": node.flat,
                "cum": node.cum,
                **_place(node.place),
                "callers": [_neighbour(edge, graph.nodes[edge.source]) for edge in ways_in[number]],
                "callees": [_neighbour(edge, graph.nodes[edge.target]) for edge in ways_out[number]],
            }
        )
    body: dict[str, object] = {
        "value": graph.value,
        "unit": graph.unit,
        "total": graph.total,
        "error": graph.error,
        "rows": rows,
    }
    return document(body | ({"reason": reason} if reason else {}))


def _neighbour(edge: Edge, node: Node) -> dict[str, object]:
    return {"value": edge.weight, "inlined": edge.inline, "residual": edge.residual, **_place(node.place)}


def _place(place: Place) -> dict[str, object]:
    return {
        "function": place.function,
        "file": place.file,
        "line": place.line,
        "module": place.module,
        "address": None if place.address is None else hex(place.address),
        "unresolved": place.unresolved,
    }
