# SPDX-License-Identifier: Apache-2.0
"""pprof's own reports as text: the table, the tree, every stack, labels, comments; and the graph under its legend.

Layouts are those of Google's pprof (internal/report), letter for letter. In differences shares keep their sign.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from heaptide.analysis.drafts import quotient
from heaptide.analysis.graph import EVERYTHING, CallGraph, Edge, Node, Trim
from heaptide.analysis.inquiry import Answer
from heaptide.analysis.measures import scale
from heaptide.analysis.patterns import Matcher
from heaptide.analysis.tags import tag_tables
from heaptide.model.columns import Columns
from heaptide.render import units
from heaptide.render.dot import Style, dot
from heaptide.render.harmless import harmless
from heaptide.render.pprof_names import box_lines, printable

_HOW_TO_READ = "See https://git.io/JfYMW for how to read the graph"
_TREE_RULE = "----------------------------------------------------------+-------------"
_TREE_TITLES = "      flat  flat%   sum%        cum   cum%   calls calls% + context \t \t "
_TRACE_RULE = "-----------+-------------------------------------------------------"
_FILTER_WIDTH = 80


@dataclass(frozen=True, slots=True)
class Page:
    """How a report is written."""

    unit: str = "minimum"
    """What values are written in: a unit, ``auto`` (each as it fits) or ``minimum`` (all in the smallest one's)."""
    ratio: float = 1.0
    """What values are multiplied by."""
    compact: bool = False
    """Tables without the lines that say what the profile is."""
    filters: Sequence[str] = ()
    """The filters that were asked for, as ``focus=main``."""
    trim: Trim = EVERYTHING


def dialect_of(answer: Answer, page: Page, graph: CallGraph | None = None, *, one_unit: bool = False) -> units.Pprof:
    """How numbers are written: with ``minimum`` in the unit of the graph's smallest value, or each as it fits.

    ``one_unit``: in the smallest one's unit however large the total is (callgrind).
    """
    unit = page.unit
    if unit == "minimum" and graph is not None and graph.nodes:
        values = [abs(node.flat) or abs(node.cum) for node in graph.nodes]
        smallest = min((value for value in values if value), default=answer.total)
        ends = [int(value * page.ratio) if page.ratio != 1.0 else value for value in (smallest, answer.total)]
        unit = units.pprof_unit(ends[0], ends[0] if one_unit else ends[1], answer.unit)
    return units.Pprof(answer.unit, unit, answer.total, page.ratio, answer.is_difference)


def table(answer: Answer, graph: CallGraph, page: Page) -> str:
    """``-top``: flat, its share, the running sum's, cum and its share, one line for each node."""
    dialect = dialect_of(answer, page, graph)
    lines = [*_labels(answer, graph, page, dialect), f"{'flat':>10} {'flat%':>6} {'sum%':>6} {'cum':>10} {'cum%':>6}"]
    marks = _inline_marks(graph)
    running = 0.0
    for number, node in enumerate(graph.nodes):
        running += node.flat
        lines.append(f"{_figures(node, running, dialect)}  {printable(node.place)}{marks[number]}")
    return "\n".join(lines) + "\n"


def _figures(node: Node, running: float, dialect: units.Pprof) -> str:
    flat, through = dialect.value(node.flat), dialect.value(node.cum)
    shares = [dialect.column(value) for value in (node.flat, running, node.cum)]
    return f"{flat:>10} {shares[0]} {shares[1]} {through:>10} {shares[2]}"


def _inline_marks(graph: CallGraph) -> list[str]:
    """For each node: every call of it was inlined, some were, or none."""
    seen: list[set[bool]] = [set() for _ in graph.nodes]
    for edge in graph.edges:
        seen[edge.target].add(edge.inline)
    return [" (inline)" if s == {True} else " (partial-inline)" if True in s else "" for s in seen]


def tree(answer: Answer, graph: CallGraph, page: Page, only: Matcher | None = None) -> tuple[str, int]:
    """``-tree``: each node between its callers and its callees; ``-peek``: those whose names match ``only``.

    Returns the text and how many nodes it shows.
    """
    dialect = dialect_of(answer, page, graph)
    ways_in: list[list[Edge]] = [[] for _ in graph.nodes]
    ways_out: list[list[Edge]] = [[] for _ in graph.nodes]
    for edge in graph.edges:
        ways_in[edge.target].append(edge)
        ways_out[edge.source].append(edge)
    lines = [*_labels(answer, graph, page, dialect), _TREE_RULE, _TREE_TITLES]
    running, shown = 0.0, 0
    for number, node in enumerate(graph.nodes):
        name = printable(node.place)
        if only is not None and not only.search(name):
            continue
        shown += 1
        running += node.flat
        lines.append(_TREE_RULE)
        lines += [_way(edge, graph.nodes[edge.source], node, dialect) for edge in ways_in[number]]
        lines.append(f"{_figures(node, running, dialect)}                | {name}")
        lines += [_way(edge, graph.nodes[edge.target], node, dialect) for edge in ways_out[number]]
    return "\n".join([*lines, *([_TREE_RULE] if graph.nodes else [])]) + "\n", shown


def _way(edge: Edge, other: Node, node: Node, dialect: units.Pprof) -> str:
    inline = " (inline)" if edge.inline else ""
    share = dialect.column(edge.weight, node.cum)
    return f"{dialect.value(edge.weight):>50} {share} |   {printable(other.place)}{inline}"


def graph_text(answer: Answer, graph: CallGraph, page: Page) -> str:
    """The call graph as DOT text under pprof's legend."""
    dialect = dialect_of(answer, page, graph)
    legend = [*_labels(answer, graph, page, dialect, full=True), f"\n{_HOW_TO_READ}"]
    title = harmless(main_file(answer.columns))
    return dot(graph, Style(dialect, legend, title, printable, box_lines, legend_tooltip=True))


def main_file(columns: Columns) -> str:
    """The base name of the main program, "" where it is not known."""
    return posixpath.basename(columns.mappings[0].file) if columns.mappings else ""


def _labels(answer: Answer, graph: CallGraph, page: Page, dialect: units.Pprof, *, full: bool = False) -> list[str]:
    """The lines above a report; with ``full`` as a graph's legend has them."""
    lines = profile_labels(answer, dialect) if full or not page.compact else []
    if page.filters:
        lines.append("Active filters:")
        lines += [f"   {harmless(_cut(text))}" for text in page.filters]
    total = dialect.value(answer.total)
    shown = f"{dialect.value(graph.shown)}, {dialect.share(graph.shown)}"
    lines.append(f"Showing nodes accounting for {shown} of {total} total")
    if not answer.total:
        return lines
    dropped = [("node", graph.dropped_nodes, "cum", page.trim.nodefraction)]
    if full:
        dropped.append(("edge", graph.dropped_edges, "freq", page.trim.edgefraction))
    for what, number, measure, fraction in dropped:
        if number:
            cutoff = dialect.value(int(abs(answer.total * fraction)))
            lines.append(f"Dropped {number} {what}{'s' if number > 1 else ''} ({measure} <= {cutoff})")
    if 0 < len(graph.nodes) < graph.nodes_before_count:
        lines.append(f"Showing top {len(graph.nodes)} nodes out of {graph.nodes_before_count}")
    return lines


def _cut(text: str) -> str:
    return text if len(text) <= _FILTER_WIDTH else f"{text[:_FILTER_WIDTH]}…"


def profile_labels(answer: Answer, dialect: units.Pprof) -> list[str]:
    """What the profile is of: file, build id, comments, type, time, duration."""
    columns = answer.columns
    lines = []
    if columns.mappings:
        main = columns.mappings[0]
        lines += [f"File: {main_file(columns)}"] if main.file else []
        lines += [f"Build ID: {main.build_id}"] if main.build_id else []
    lines += [comment for comment in columns.comments if not comment.startswith("#")]
    lines.append(f"Type: {answer.value}")
    if columns.doc_url:
        lines.append(f"Doc: {columns.doc_url}")
    if columns.time_ns:
        lines.append(f"Time: {datetime.fromtimestamp(columns.time_ns / 1e9).astimezone():%Y-%m-%d %H:%M:%S %Z}")
    if columns.duration_ns:
        lines.append(_duration(answer, dialect))
    return [harmless(line) for line in lines]


def _duration(answer: Answer, dialect: units.Pprof) -> str:
    whole = answer.columns.duration_ns
    nanoseconds, unit = scale(answer.total, answer.unit, "nanoseconds")
    share = f"({units.pprof_percent(int(nanoseconds), whole)})" if unit == "ns" and nanoseconds else ""
    length = units.pprof_value(whole, "nanoseconds")
    return f"Duration: {length}, Total samples = {dialect.value(answer.total)} {share}"


def traces(answer: Answer, page: Page) -> Iterator[str]:
    """``-traces``: every sample with its labels, leaf first; one text for each."""
    dialect = dialect_of(answer, page)
    yield "\n".join(profile_labels(answer, dialect)) + "\n"
    weights, walks = answer.weights, answer.everything()
    values = weights.value if weights.divisor is None else quotient(weights.value, weights.divisor)
    written = _labels_by_row(answer)
    names = [printable(place) for place in walks.places]
    # Walks run from the roots, the last row first; read backwards they run from the leaves, the first row first.
    steps = zip(walks.row[::-1].tolist(), walks.place[::-1].tolist(), walks.inlined[::-1].tolist(), strict=True)
    for row, stack in groupby(steps, key=itemgetter(0)):
        lines = [_TRACE_RULE, *written.get(row, ())]
        text = dialect.value(values[row].item())
        for _, place, inlined in stack:
            lines.append(f"{text:>10}   {names[place]}{' (inline)' if inlined else ''}")
            text = ""
        yield "\n".join(lines) + "\n"
    yield f"{_TRACE_RULE}\n"


def _labels_by_row(answer: Answer) -> dict[int, list[str]]:
    """The label lines of each sample that has any: text sorted by key, then numbers."""
    labels, strings = answer.columns.labels, answer.columns.labels.strings
    found: dict[int, dict[tuple[bool, str], list[str]]] = {}
    for i in range(len(labels)):
        key, text = strings[labels.key[i]], int(labels.text[i])
        unit = answer.label_units.of.get(key, "")
        word = strings[text] if text >= 0 else units.pprof_value(int(labels.number[i]), unit)
        found.setdefault(int(labels.sample[i]), {}).setdefault((text < 0, key), []).append(word)
    return {
        row: [
            harmless(f"{key:>10}:  {' '.join(words)}")
            for (_, key), words in sorted(of_row.items(), key=lambda item: (item[0][0], f"{item[0][1]:>10}"))
        ]
        for row, of_row in found.items()
    }


def tags(answer: Answer, page: Page) -> str:
    """``-tags``: for each key its values with the sum of their samples, aligned at the colons."""
    dialect = dialect_of(answer, page)
    tables = tag_tables(
        answer.columns,
        answer.weights.value,
        answer.label_units,
        lambda value, unit: units.pprof_value(value, unit, dialect.unit),
    )
    blocks = []
    for found in tables:
        of = f" ({units.pprof_percent(found.total, answer.total)})" if answer.total > 0 else ""
        key = f" {harmless(found.key)}:"
        lines = [f"{key} Total {dialect.value(found.total)} of {dialect.value(answer.total)}{of}"]
        amounts = [_amount(amount, answer, dialect) for _, amount in found.values]
        width = len(key) + max(map(len, amounts)) + 1
        names = [harmless(name) for name, _ in found.values]
        lines += [f"{amount:>{width}} {name}" for amount, name in zip(amounts, names, strict=True)]
        blocks.append("\n".join(lines))
    return "".join(f"{block}\n\n" for block in blocks)


def _amount(amount: int, answer: Answer, dialect: units.Pprof) -> str:
    share = f" ({units.pprof_percent(amount, answer.total)})" if answer.total > 0 else ""
    return f"{dialect.value(amount)}{share}:"


def comments(columns: Columns) -> str:
    """``-comments``: one line for each."""
    return "".join(f"{harmless(comment)}\n" for comment in columns.comments)
