# SPDX-License-Identifier: Apache-2.0
"""The order of nodes, and which edges tell nothing new. Rules: pprof's (internal/graph)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from heaptide.analysis.drafts import Draft, Edges
from heaptide.analysis.places import Flags, Floats, Ints, Place

Order = Literal["flat", "cum", "entropy"]
"""By falling absolute flat or cum value, or by how much a node holds and how many ways fork there."""

Naming = Callable[[Place], str]
"""What ties are broken by."""


def ordered(draft: Draft, nodes: Ints, names: Sequence[str], order: Order) -> list[int]:
    """``nodes``, the most important first. ``names`` has an entry for each of the draft's nodes.

    Nodes of a tree that pprof leaves in any order (same name, same score) stand by falling cum.
    """
    flat, cum = np.abs(draft.raw_flat), np.abs(draft.raw_cum)
    score = np.abs(_scores(draft)) if order == "entropy" else flat if order == "flat" else cum
    first, then, last = score.tolist(), (cum if order == "flat" else flat).tolist(), cum.tolist()
    return sorted(nodes.tolist(), key=lambda node: (-first[node], names[node], -then[node], -last[node]))


def _scores(draft: Draft) -> Floats:
    """pprof's entropy score, which prefers nodes where ways fork; 1 bit for a node without ways in, or out."""
    edges, size = draft.edges, len(draft)
    flat = draft.raw_flat.astype(np.float64)
    ways_in = _entropy(edges.target, edges.raw, np.zeros(size))
    ways_out = _entropy(edges.source, edges.raw, flat)
    ways_in[np.bincount(edges.target, minlength=size) == 0] = 1.0
    ways_out[np.bincount(edges.source, minlength=size) == 0] = 1.0
    score: Floats = np.trunc((ways_in + ways_out) * draft.raw_cum) + flat
    return score


def _entropy(end: Ints, weight: Ints | Floats, own: Floats) -> Floats:
    """For each node the entropy in bits of its edges at one end, its own value as one more way."""
    total = own + np.bincount(end, np.maximum(weight, 0), len(own))
    safe = np.where(total == 0, 1.0, total)
    entropy = np.bincount(end, _bits(np.abs(weight) / safe[end]), len(own)) + _bits(np.maximum(own, 0) / safe)
    return np.where(total == 0, 0.0, entropy)


def _bits(share: Floats) -> Floats:
    """-p log2 p, 0 for what is not a share."""
    safe = np.where(share > 0, share, 1.0)
    return -safe * np.log2(safe)


def heaviest_first(edges: Edges, names: Sequence[str]) -> list[int]:
    """Edge numbers by falling absolute weight, then by the names of their ends."""
    weight, source, target = np.abs(edges.raw).tolist(), edges.source.tolist(), edges.target.tolist()
    return sorted(range(len(edges)), key=lambda edge: (-weight[edge], names[source[edge]], names[target[edge]]))


def without_redundant_residuals(edges: Edges, nodes: Sequence[int], names: Sequence[str]) -> Flags:
    """Which edges stay when residual ones go whose ends are connected in another way.

    The last of ``nodes`` comes first, its lightest edge first, up to the first edge that is not residual.
    """
    source, residual = edges.source.tolist(), edges.residual.tolist()
    stays = np.ones(len(edges), bool)
    ways_in: dict[int, list[int]] = defaultdict(list)
    for edge in heaviest_first(edges, names):
        ways_in[int(edges.target[edge])].append(edge)
    for node in reversed(nodes):
        for edge in reversed(ways_in[node].copy()):
            if not residual[edge]:
                break
            if _reachable(source[edge], node, edge, ways_in, source):
                ways_in[node].remove(edge)
                stays[edge] = False
    return stays


def _reachable(start: int, end: int, without: int, ways_in: dict[int, list[int]], source: list[int]) -> bool:
    """Whether there is a way from ``start`` to ``end`` that does not use one edge."""
    seen, waiting = {end}, [end]
    while waiting:
        for edge in ways_in[waiting.pop()]:
            if edge == without or source[edge] in seen:
                continue
            if source[edge] == start:
                return True
            seen.add(source[edge])
            waiting.append(source[edge])
    return False
