# SPDX-License-Identifier: Apache-2.0
"""pprof's own table and legend."""

from __future__ import annotations

from collections.abc import Sequence

from heaptide.analysis.graph import CallGraph, Node
from heaptide.render import names, units
from heaptide.render.dot import Style, dot
from heaptide.render.harmless import harmless


def unit_of(graph: CallGraph, *, in_bytes: bool) -> str:
    """The unit that all values of a graph are written in."""
    if graph.unit != "bytes":
        return ""
    if in_bytes:
        return "B"
    smallest = min((abs(node.flat or node.cum) for node in graph.nodes if node.flat or node.cum), default=graph.whole)
    return units.pprof_unit(smallest, graph.whole, graph.unit)


def text(graph: CallGraph, *, file: str | None, cum: bool = False, in_bytes: bool = False) -> str:
    """The table of ``pprof -text``: flat, its share, the running sum, cum and its share, by falling absolute value."""
    dialect = units.Pprof(unit_of(graph, in_bytes=in_bytes), graph.whole)
    lines = [*_labels(graph, file), *_showing(graph, dialect, edges=False)]
    lines.append(f"{'flat':>10} {'flat%':>6} {'sum%':>6} {'cum':>10} {'cum%':>6}")
    inlined = _inline_marks(graph)
    running = 0.0
    for number, node in sorted(enumerate(graph.nodes), key=lambda item: _order(item[1], cum)):
        running += node.flat
        flat, through = dialect.value(node.flat), dialect.value(node.cum)
        shares = [units.pprof_percent(value, graph.whole) for value in (node.flat, running, node.cum)]
        lines.append(
            f"{flat:>10} {shares[0]} {shares[1]} {through:>10} {shares[2]}  "
            f"{names.place_name(node.place)}{inlined[number]}"
        )
    return "\n".join(lines) + "\n"


def graph_text(graph: CallGraph, *, file: str | None, in_bytes: bool = False) -> str:
    """The call graph as DOT text under pprof's legend."""
    dialect = units.Pprof(unit_of(graph, in_bytes=in_bytes), graph.whole)
    legend = [*_labels(graph, file), *_showing(graph, dialect, edges=True)]
    return dot(graph, Style(dialect, legend, harmless(file or "unnamed")))


def _labels(graph: CallGraph, file: str | None) -> list[str]:
    return [*([f"File: {harmless(file)}"] if file else []), f"Type: {graph.value}"]


def _showing(graph: CallGraph, dialect: units.Dialect, *, edges: bool) -> Sequence[str]:
    lines = [
        f"Showing nodes accounting for {dialect.value(graph.shown)}, {dialect.share(graph.shown)} "
        f"of {dialect.value(graph.whole)} total"
    ]
    dropped = [("node", graph.dropped_nodes, "cum", graph.node_cutoff)]
    if edges:
        dropped.append(("edge", graph.dropped_edges, "freq", graph.edge_cutoff))
    for what, number, measure, cutoff in dropped:
        if number:
            plural = "" if number == 1 else "s"
            lines.append(f"Dropped {number} {what}{plural} ({measure} <= {dialect.value(int(cutoff))})")
    if len(graph.nodes) < graph.nodes_before_count:
        lines.append(f"Showing top {len(graph.nodes)} nodes out of {graph.nodes_before_count}")
    return lines


def _order(node: Node, cum: bool) -> tuple[float, str, float]:
    first, second = (node.cum, node.flat) if cum else (node.flat, node.cum)
    return (-abs(first), names.place_name(node.place), -abs(second))


def _inline_marks(graph: CallGraph) -> list[str]:
    """For each node: every call of it was inlined, some were, or none."""
    seen: list[set[bool]] = [set() for _ in graph.nodes]
    for edge in graph.edges:
        seen[edge.target].add(edge.inline)
    return [" (inline)" if s == {True} else " (partial-inline)" if True in s else "" for s in seen]
