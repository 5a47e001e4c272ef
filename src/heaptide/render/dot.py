# SPDX-License-Identifier: Apache-2.0
"""A call graph as DOT text, with pprof's sizes, colours and weights.

A node's letters grow with the root of its own share of the largest, its colour with its share of the total; an edge's
width and colour with its own share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from heaptide.analysis.graph import CallGraph, Edge, Node
from heaptide.analysis.places import Place
from heaptide.render import names, units
from heaptide.render.harmless import harmless
from heaptide.render.tag_boxes import tag_boxes

_SMALLEST_FONT, _FONT_RANGE = 8, 16
_LEGEND_FONT = 16
_NAME_WIDTH = 50
"""Letters after which a long name goes on in the next line."""


@dataclass(frozen=True, slots=True)
class Style:
    """How numbers and names are written and what stands in the legend, one string for each line."""

    dialect: units.Dialect
    legend: Sequence[str]
    title: str = ""
    name: Callable[[Place], str] = names.place_name
    """A place on one line, for tooltips."""
    box: Callable[[Place], Sequence[str]] | None = None
    """The lines of a place's box; by default those of heaptide's own dialect."""
    legend_tooltip: bool = False


def plain(graph: CallGraph, heading: Sequence[str]) -> str:
    """The graph in heaptide's own dialect, under the heading of a report."""
    dialect = units.Plain(_plain_unit(graph), graph.whole, graph.is_difference)
    total = units.quantity_with_error(graph.total, graph.error, dialect.unit)
    legend = [*heading, f"{'net change' if graph.is_difference else 'total'} {total}", *_trimmed(graph, dialect)]
    return dot(graph, Style(dialect, legend, heading[0]))


def _plain_unit(graph: CallGraph) -> units.Unit:
    return "bytes" if graph.unit == "bytes" else "objects"


def _trimmed(graph: CallGraph, dialect: units.Plain) -> list[str]:
    """What the picture leaves out."""
    under = units.Plain(dialect.unit, dialect.whole).value
    lines = [f"shown: {dialect.value(graph.shown)}, {dialect.share(graph.shown)}"]
    if graph.dropped_nodes:
        lines.append(f"left out: {units.count(graph.dropped_nodes)} nodes under {under(graph.node_cutoff)}")
    if graph.dropped_edges:
        lines.append(f"left out: {units.count(graph.dropped_edges)} edges under {under(graph.edge_cutoff)}")
    if len(graph.nodes) < graph.nodes_before_count:
        lines.append(f"the {len(graph.nodes)} most important nodes of {units.count(graph.nodes_before_count)}")
    return lines


def dot(graph: CallGraph, style: Style) -> str:
    """The graph as DOT text."""
    lines = [f"digraph {_quoted(style.title or 'unnamed')} {{", 'node [style=filled fillcolor="#f8f8f8"]']
    if style.legend:
        lines.append(_legend(style))
    largest = max((abs(node.flat) for node in graph.nodes), default=0)
    callers = {edge.source for edge in graph.edges}
    boxed = set()
    for number, node in enumerate(graph.nodes):
        lines.append(_node(number + 1, node, largest, graph, style))
        boxes = tag_boxes(node.tags, f"N{number + 1}", number in callers, style.dialect)
        lines += boxes
        if boxes:
            boxed.add(number)
    lines += [_edge(edge, graph, style, edge.source in boxed) for edge in graph.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _legend(style: Style) -> str:
    label = "".join(f"{_escaped(line)}\\l" for line in style.legend)
    tooltip = f" tooltip={_quoted(style.title)}" if style.legend_tooltip and style.title else ""
    name = _quoted(style.legend[0])
    return f'subgraph cluster_L {{ {name} [shape=box fontsize={_LEGEND_FONT} label="{label}"{tooltip}] }}'


def _node(number: int, node: Node, largest: float, graph: CallGraph, style: Style) -> str:
    size = _SMALLEST_FONT
    if node.flat and largest:
        size += math.ceil(_FONT_RANGE * math.sqrt(abs(node.flat) / largest))
    lines = style.box(node.place) if style.box else _name_lines(node.place)
    label = "\\n".join([*map(_escaped, lines), *_value_lines(node, style.dialect)])
    tooltip = f"{style.name(node.place)} ({style.dialect.value(node.cum)})"
    share = node.cum / abs(graph.whole) if graph.whole else 0.0
    return (
        f'N{number} [label="{label}" id="node{number}" fontsize={size} shape=box tooltip={_quoted(tooltip)} '
        f'color="{colour(share, border=True)}" fillcolor="{colour(share, border=False)}"]'
    )


def _name_lines(place: Place) -> list[str]:
    name = harmless(place.function) if place.function else names.place_name(place)
    lines = _wrapped(name)
    if place.function is not None and place.file is not None:
        lines.append(names.where(place.file, place.line))
    if place.function is not None and place.address is not None:
        lines.append(units.address(place.address))
    return lines


def _wrapped(name: str) -> list[str]:
    """A long C++ name in several lines, broken behind ``::`` and commas where it can be."""
    lines, line = [], ""
    for part in name.replace("::", "::\0").replace(", ", ", \0").split("\0"):
        if line and len(line) + len(part) > _NAME_WIDTH:
            lines.append(line)
            line = ""
        line += part
    return [*lines, line]


def _value_lines(node: Node, dialect: units.Dialect) -> list[str]:
    own = f"{dialect.value(node.flat)} ({dialect.share(node.flat)})" if node.flat else "0"
    if node.cum == node.flat:
        return [own]
    through = f"of {dialect.value(node.cum)} ({dialect.share(node.cum)})"
    return [own, through] if node.flat else [f"{own} {through}"]


def _edge(edge: Edge, graph: CallGraph, style: Style, boxed: bool) -> str:
    """``boxed``: label boxes stand below the source, so the target must stand lower."""
    value = style.dialect.value(edge.weight)
    attributes = [f'label=" {value}{chr(92) + "n (inline)" if edge.inline else ""}"']
    if graph.whole:
        if weight := _part(edge.weight, 100, graph.whole):
            attributes.append(f"weight={weight + 1}")
        if width := _part(edge.weight, 5, graph.whole):
            attributes.append(f"penwidth={width + 1}")
        attributes.append(f'color="{colour(edge.weight / abs(graph.whole), border=True)}"')
    arrow = "..." if edge.residual else "->"
    source, target = (style.name(graph.nodes[end].place) for end in (edge.source, edge.target))
    tooltip = _quoted(f"{source} {arrow} {target} ({value})")
    attributes.append(f"tooltip={tooltip} labeltooltip={tooltip}")
    if edge.residual:
        attributes.append('style="dotted"')
    if boxed:
        attributes.append("minlen=2")
    return f"N{edge.source + 1} -> N{edge.target + 1} [{' '.join(attributes)}]"


def _part(weight: float, parts: int, whole: float) -> int:
    """How many whole ones of ``parts`` the weight is of the total."""
    return min(int(abs(weight) * parts // abs(whole)), parts)


def colour(share: float, *, border: bool) -> str:
    """Red for growth, green for shrinkage, grey near zero; ``share`` is of the total, strong for borders and edges."""
    share = max(-1.0, min(1.0, share))
    saturation, value = (1.0, 0.7) if border else (0.1, 0.93)
    if abs(share) < 0.2:
        saturation *= abs(share) / 0.2
    strength = math.copysign(abs(share) ** 0.3, share)
    red = value if strength >= 0 else value * (1 + saturation * strength)
    green = value * (1 - saturation * strength) if strength >= 0 else value
    blue = value * (1 - saturation)
    return "#" + "".join(f"{int(part * 255):02x}" for part in (red, green, blue))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\l")


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'
