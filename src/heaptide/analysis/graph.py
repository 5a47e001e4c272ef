# SPDX-License-Identifier: Apache-2.0
"""The call graph: places as nodes, calls as edges, trimmed as pprof trims it.

The steps (Google's pprof, internal/graph; the numbers must come out the same):

1. Each stack is walked from the root to the leaf. A node's ``cum`` gets the stack's value once, an edge once, the last
   node ``flat``. Nodes that were left out make the edge across them *residual*; if the leaf was left out, nobody gets
   flat.
2. Nodes whose |cum| is under nodefraction of the total are left out and the graph is built again from the stacks.
3. Of what remains the first ``nodecount`` nodes in order of importance are kept, and the graph is built once more.
4. Edges under edgefraction go, and residual edges between nodes that are connected in another way.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

import numpy as np

from heaptide.analysis.places import Flags, Granularity, Ints, Place, Walks, distinct, sums, unit_of, walks
from heaptide.analysis.site import Skip, not_users
from heaptide.model import Profile


@dataclass(frozen=True, slots=True)
class Node:
    """A place with its own value and the value of all stacks through it."""

    place: Place
    flat: float
    cum: float


@dataclass(frozen=True, slots=True)
class Edge:
    """A call between two nodes (indices into `CallGraph.nodes`) and the value of all stacks that contain it."""

    source: int
    target: int
    weight: float
    residual: bool
    """At least one stack has frames between the two that are not shown."""
    inline: bool
    """In every stack the compiler inlined the target into the source."""


@dataclass(frozen=True, slots=True)
class Trim:
    """What is shown: 0 for ``nodecount`` keeps every node, 0 for a fraction drops none by size."""

    nodecount: int = 80
    nodefraction: float = 0.005
    edgefraction: float = 0.001


@dataclass(frozen=True, slots=True)
class CallGraph:
    """Nodes in order of importance, edges by falling weight, and what was left out."""

    value: str
    unit: Literal["bytes", "objects"]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    total: float
    error: float
    """Half-width of the 95 % interval of the total, in its unit; 0 when exact."""
    whole: float
    """Sum of the absolute values of all stacks: what shares are shares of."""
    node_cutoff: float
    edge_cutoff: float
    dropped_nodes: int
    dropped_edges: int
    nodes_before_count: int
    """How many nodes there were before ``nodecount`` cut."""
    is_difference: bool

    @property
    def shown(self) -> float:
        """Sum of the flat values shown."""
        return sum(node.flat for node in self.nodes)


def call_graph(
    profile: Profile,
    *,
    value: str = "inuse_space",
    by: Granularity = "function",
    trim: Trim | None = None,
    cum: bool = False,
    skip: Skip = not_users,
    whole: float | None = None,
) -> CallGraph:
    """The trimmed call graph of a profile.

    ``cum``: nodes in order of cum, not of entropy. ``whole``: what shares are shares of, where that is not the sum of
    the absolute values (a profile that was filtered).

    Raises KeyError when the profile does not hold ``value``.
    """
    trim = trim or Trim()
    builder = _Builder(profile, value, by, skip)
    full = builder.build(None)
    if whole is None:
        whole = np.abs(profile.column(value)).sum().item()
    flat_total = sum(full.flat.values())
    node_cutoff = abs(math.trunc(flat_total * trim.nodefraction))
    edge_cutoff = abs(math.trunc(flat_total * trim.edgefraction))
    graph = full
    kept = {node for node in full.cum if abs(full.cum[node]) >= node_cutoff}
    if len(kept) < len(full.cum):
        graph = builder.build(kept)
    before_count = len(graph.cum)
    if 0 < trim.nodecount < before_count:
        graph.drop_edges(edge_cutoff)
        graph = builder.build(set(graph.order(builder, cum)[: trim.nodecount]))
    dropped_edges = graph.drop_edges(edge_cutoff)
    order = graph.order(builder, cum)
    graph.drop_redundant_residuals(order, builder)
    nodes, edges = _frozen(graph, order, builder)
    return CallGraph(
        value=value,
        unit=unit_of(value),
        nodes=nodes,
        edges=edges,
        total=profile.total(value),
        error=profile.error(value),
        whole=whole,
        node_cutoff=whole * trim.nodefraction,
        edge_cutoff=whole * trim.edgefraction,
        dropped_nodes=len(full.cum) - before_count,
        dropped_edges=dropped_edges,
        nodes_before_count=before_count,
        is_difference=profile.is_difference,
    )


class _Builder:
    """Builds the graph of any set of places from the same walks."""

    def __init__(self, profile: Profile, value: str, by: Granularity, skip: Skip) -> None:
        self.steps: Walks = walks(profile, value, by, skip)
        self.column = profile.column(value)
        self.places = self.steps.places

    def build(self, kept: set[int] | None) -> _Draft:
        """The graph over the places in ``kept`` (all when None)."""
        steps, size = self.steps, len(self.places)
        shown = np.ones(size, bool) if kept is None else np.isin(np.arange(size), list(kept))
        keep = shown[steps.place]
        place, row = steps.place[keep], steps.row[keep]
        at = distinct(row * size + place)
        cum = sums(at % size, self.column[at // size], size)
        leaves = steps.leaf[keep[steps.leaf]]
        flat = sums(steps.place[leaves], self.column[steps.row[leaves]], size)
        draft = _Draft()
        for node in distinct(place).tolist():
            draft.cum[node], draft.flat[node] = cum[node].item(), flat[node].item()
        self._edges(draft, keep, place, row)
        return draft

    def _edges(self, draft: _Draft, keep: Flags, place: Ints, row: Ints) -> None:
        """Pairs of neighbouring kept steps of a stack, each pair once for each stack (its first occurrence counts)."""
        size = len(self.places)
        position = np.flatnonzero(keep)
        second = np.flatnonzero((row[1:] == row[:-1]) & (place[1:] != place[:-1])) + 1
        source, target = place[second - 1], place[second]
        residual = position[second] != position[second - 1] + 1
        inline = self.steps.inlined[position[second]]
        key = (row[second] * size + source) * size + target
        _, first = np.unique(key, return_index=True)
        pair = (source * size + target)[first]
        pairs, group = np.unique(pair, return_inverse=True)
        weight = sums(group, self.column[row[second][first]], len(pairs))
        any_residual = sums(group, residual[first].astype(np.int64), len(pairs)) > 0
        any_plain = sums(group, (~inline[first]).astype(np.int64), len(pairs)) > 0
        for i, joined in enumerate(pairs.tolist()):
            ends = (joined // size, joined % size)
            draft.edges[ends] = _Weight(weight[i].item(), bool(any_residual[i]), not any_plain[i])


@dataclass(slots=True)
class _Weight:
    weight: float
    residual: bool
    inline: bool


class _Draft:
    """A graph that is still being trimmed. Nodes are indices into the builder's places."""

    def __init__(self) -> None:
        self.flat: dict[int, float] = {}
        self.cum: dict[int, float] = {}
        self.edges: dict[tuple[int, int], _Weight] = {}

    def drop_edges(self, cutoff: float) -> int:
        """Removes edges under ``cutoff`` and returns how many."""
        small = [ends for ends, edge in self.edges.items() if abs(edge.weight) < cutoff]
        for ends in small:
            del self.edges[ends]
        return len(small)

    def order(self, builder: _Builder, cum: bool) -> list[int]:
        """Nodes, the most important first: by |cum|, or by pprof's entropy score, which prefers forks in the way."""
        score = {node: abs(self.cum[node]) for node in self.cum} if cum else self._scores()
        return sorted(
            self.cum,
            key=lambda node: (-score[node], sort_name(builder.places[node]), -abs(self.flat[node])),
        )

    def _scores(self) -> dict[int, float]:
        into: dict[int, list[float]] = defaultdict(list)
        out: dict[int, list[float]] = defaultdict(list)
        for (source, target), edge in self.edges.items():
            out[source].append(edge.weight)
            into[target].append(edge.weight)
        return {
            node: int((_entropy(into[node], 0) + _entropy(out[node], self.flat[node])) * cum) + self.flat[node]
            for node, cum in self.cum.items()
        }

    def drop_redundant_residuals(self, order: list[int], builder: _Builder) -> None:
        """Removes residual edges whose ends are connected in another way.

        The last node comes first, its lightest edge first, up to the first edge that is not residual.
        """
        into: dict[int, list[int]] = defaultdict(list)
        for source, target in self.edges:
            into[target].append(source)
        for target in reversed(order):
            weight = {source: abs(self.edges[source, target].weight) for source in into[target]}
            heaviest = sorted(weight, key=lambda source: (-weight[source], sort_name(builder.places[source])))
            for source in reversed(heaviest):
                if not self.edges[source, target].residual:
                    break
                if self._reachable(source, target, into):
                    into[target].remove(source)
                    del self.edges[source, target]

    def _reachable(self, source: int, target: int, into: dict[int, list[int]]) -> bool:
        """Whether ``target`` can be reached from ``source`` without the edge between them."""
        seen, waiting = {target}, [s for s in into[target] if s != source]
        while waiting:
            node = waiting.pop()
            if node == source:
                return True
            if node not in seen:
                seen.add(node)
                waiting += into[node]
        return False


def _entropy(edges: list[float], own: float) -> float:
    """Entropy in bits of the ways in or out, a node's own flat value as one more; 1 without any edge."""
    if not edges:
        return 1.0
    total = own + sum(weight for weight in edges if weight > 0)
    if total == 0:
        return 0.0
    shares = [abs(weight) / total for weight in (*edges, own)]
    return -sum(share * math.log2(share) for share in shares if share > 0)


def sort_name(place: Place) -> str:
    """What ties are broken by."""
    where = f"{place.file or ''}:{place.line or 0:09d} {place.module or ''} {place.address or 0:016x}"
    return f"{place.function or ''} {where}"


def _frozen(graph: _Draft, order: list[int], builder: _Builder) -> tuple[tuple[Node, ...], tuple[Edge, ...]]:
    number = {node: i for i, node in enumerate(order)}
    nodes = tuple(Node(builder.places[node], graph.flat[node], graph.cum[node]) for node in order)
    edges = [
        Edge(number[source], number[target], edge.weight, edge.residual, edge.inline)
        for (source, target), edge in graph.edges.items()
    ]
    edges.sort(key=lambda edge: (-abs(edge.weight), edge.source, edge.target))
    return nodes, tuple(edges)
