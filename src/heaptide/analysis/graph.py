# SPDX-License-Identifier: Apache-2.0
"""The call graph: places as nodes, calls as edges, trimmed as pprof trims it.

The steps (Google's pprof, internal/report; the numbers must come out the same):

1. The graph of all stacks is built (`heaptide.analysis.drafts`).
2. Nodes whose |cum| is under nodefraction of the sum of flat values are left out, and it is built again from the
   stacks.
3. The first ``nodecount`` nodes of what remains in order of importance are kept, and it is built once more.
4. Edges under edgefraction go and, in pictures, residual edges between nodes that are connected in another way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heaptide.analysis.call_tree import TreeMaker
from heaptide.analysis.drafts import Draft, Edges, GraphMaker, Weights
from heaptide.analysis.importance import Naming, Order, heaviest_first, ordered, without_redundant_residuals
from heaptide.analysis.node_tags import NO_TAGS, NodeTags, Tagger
from heaptide.analysis.places import Granularity, Ints, Place, Walks, unit_of, walks
from heaptide.analysis.site import Skip, not_users
from heaptide.model import Profile

MAX_TAGS = 4
"""Most label boxes of each kind beside a node."""


@dataclass(frozen=True, slots=True)
class Node:
    """A place with its own value and the value of all stacks through it."""

    place: Place
    flat: float
    cum: float
    tags: NodeTags = NO_TAGS


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


EVERYTHING = Trim(0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class CallGraph:
    """Nodes in the order asked for, edges by falling weight, and what was left out."""

    value: str
    unit: str
    """Of the values: ``bytes``, ``objects``, or what a foreign file says."""
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


@dataclass(frozen=True, slots=True)
class Style:
    """How a graph is made of walks."""

    trim: Trim = EVERYTHING
    order: Order = "entropy"
    naming: Naming = str
    picture: bool = True
    """Residual edges that tell nothing new go, and label boxes count as nodes."""
    tree: bool = False
    """A node for each path, not for each place."""
    drop_negative: bool = False
    forget_small_edges: bool = False
    """As pprof, which counts the small edges that it left out only if it built the graph once more after that."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a graph's numbers are numbers of."""

    value: str
    unit: str
    whole: float
    total: float
    error: float = 0.0
    is_difference: bool = False


def call_graph(
    profile: Profile,
    *,
    value: str = "inuse_space",
    by: Granularity = "function",
    trim: Trim | None = None,
    order: Order = "entropy",
    picture: bool = True,
    skip: Skip = not_users,
    whole: float | None = None,
) -> CallGraph:
    """The trimmed call graph of a profile.

    ``picture``: residual edges that tell nothing new are left out. ``whole``: what shares are shares of, where that is
    not the sum of the absolute values (a profile that was filtered).

    Raises KeyError when the profile does not hold ``value``.
    """
    column = profile.column(value)
    if whole is None:
        whole = np.abs(column).sum().item()
    counted = Counted(value, unit_of(value), whole, profile.total(value), profile.error(value), profile.is_difference)
    style = Style(trim or Trim(), order, sort_name, picture)
    return graph_of(walks(profile, value, by, skip), Weights(column), counted, style)


def graph_of(steps: Walks, weights: Weights, counted: Counted, style: Style, tagger: Tagger | None = None) -> CallGraph:
    """The trimmed graph (or tree) of walks, with the labels of its nodes when a ``tagger`` is given."""
    trimmed = _Trimmer(steps, weights, style, tagger).trimmed()
    draft, nodes = trimmed.draft, trimmed.nodes
    number = np.full(len(draft), -1)
    number[nodes] = np.arange(len(nodes))
    return CallGraph(
        value=counted.value,
        unit=counted.unit,
        nodes=_nodes(steps.places, draft, nodes, trimmed.tags),
        edges=_edges(trimmed.edges, number, trimmed.names),
        total=counted.total,
        error=counted.error,
        whole=counted.whole,
        node_cutoff=counted.whole * style.trim.nodefraction,
        edge_cutoff=counted.whole * style.trim.edgefraction,
        dropped_nodes=trimmed.dropped_nodes,
        dropped_edges=trimmed.dropped_edges,
        nodes_before_count=trimmed.before_count,
        is_difference=counted.is_difference,
    )


def _nodes(places: list[Place], draft: Draft, nodes: list[int], tags: list[NodeTags]) -> tuple[Node, ...]:
    columns = (draft.place[nodes].tolist(), draft.flat[nodes].tolist(), draft.cum[nodes].tolist())
    return tuple(Node(places[p], flat, cum, tag) for p, flat, cum, tag in zip(*columns, tags, strict=True))


def _edges(edges: Edges, number: Ints, names: Sequence[str]) -> tuple[Edge, ...]:
    order = heaviest_first(edges, names)
    columns = (number[edges.source[order]], number[edges.target[order]], edges.weight[order])
    flags = (edges.residual[order], edges.inline[order])
    return tuple(Edge(*values) for values in zip(*(column.tolist() for column in (*columns, *flags)), strict=True))


@dataclass(slots=True)
class _Trimmed:
    draft: Draft
    nodes: list[int]
    edges: Edges
    tags: list[NodeTags]
    names: list[str]
    dropped_nodes: int
    dropped_edges: int
    before_count: int


class _Trimmer:
    """Builds, cuts and builds again."""

    def __init__(self, steps: Walks, weights: Weights, style: Style, tagger: Tagger | None) -> None:
        self.places, self.style, self.tagger = steps.places, style, tagger
        self.maker = TreeMaker(steps, weights) if style.tree else GraphMaker(steps, weights)
        self._names: dict[int, str] = {}

    def trimmed(self) -> _Trimmed:
        """The whole way."""
        trim, draft = self.style.trim, self.maker.all()
        nodes = self._holding(draft)
        total = draft.raw_flat[nodes].sum().item()
        node_cutoff = abs(math.trunc(total * trim.nodefraction))
        edge_cutoff = abs(math.trunc(total * trim.edgefraction))
        kept = nodes[np.abs(draft.raw_cum[nodes]) >= node_cutoff]
        dropped_nodes = len(nodes) - len(kept)
        if dropped_nodes:
            draft = draft.only(kept)
            nodes = self._holding(draft)
        before_count = len(nodes)
        names = self._names_of(draft, nodes)
        order = ordered(draft, nodes, names, self.style.order)
        rebuilt = False
        if trim.nodecount > 0:
            count = self._how_many(draft, order, node_cutoff)
            rebuilt = count < before_count
        if rebuilt:
            draft = draft.only(np.array(sorted(order[:count]), np.int64))
            nodes = self._holding(draft)
            names = self._names_of(draft, nodes)
            order = ordered(draft, nodes, names, self.style.order)
        edges, dropped_edges = _over(draft.edges, nodes, len(draft), edge_cutoff)
        if self.style.forget_small_edges and trim.nodecount > 0 and not rebuilt:
            dropped_edges = 0
        if self.style.picture:
            edges = edges.only(without_redundant_residuals(edges, order, names))
        tags = self._tags(draft, order, node_cutoff)
        return _Trimmed(draft, order, edges, tags, names, dropped_nodes, dropped_edges, before_count)

    def _holding(self, draft: Draft) -> Ints:
        return np.flatnonzero(draft.holding(drop_negative=self.style.drop_negative))

    def _names_of(self, draft: Draft, nodes: Ints) -> list[str]:
        names = [""] * len(draft)
        for node, place in zip(nodes.tolist(), draft.place[nodes].tolist(), strict=True):
            if place not in self._names:
                self._names[place] = self.style.naming(self.places[place])
            names[node] = self._names[place]
        return names

    def _how_many(self, draft: Draft, order: list[int], cutoff: float) -> int:
        """How many nodes make ``nodecount`` boxes: in pictures label boxes count, up to `MAX_TAGS` for each node."""
        limit = self.style.trim.nodecount
        if not self.style.picture or self.tagger is None:
            return limit
        boxes = 0
        for number, tags in enumerate(self._tags(draft, order[:limit], cutoff), start=1):
            boxes += 1 + min(tags.count(), MAX_TAGS)
            if boxes >= limit:
                return number
        return limit

    def _tags(self, draft: Draft, nodes: list[int], cutoff: float) -> list[NodeTags]:
        if self.tagger is None:
            return [NO_TAGS] * len(nodes)
        return self.tagger.tags_of(draft, np.array(nodes, np.int64), cutoff)


def _over(edges: Edges, nodes: Ints, size: int, cutoff: float) -> tuple[Edges, int]:
    """The edges between ``nodes`` whose weight reaches the cutoff, and how many do not."""
    shown = np.zeros(size, bool)
    shown[nodes] = True
    edges = edges.only(shown[edges.source] & shown[edges.target])
    large = np.abs(edges.raw) >= cutoff
    return edges.only(large), int(len(edges) - large.sum())


def sort_name(place: Place) -> str:
    """What ties are broken by."""
    where = f"{place.file or ''}:{place.line or 0:09d} {place.module or ''} {place.address or 0:016x}"
    return f"{place.function or ''} {where}"
