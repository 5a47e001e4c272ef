# SPDX-License-Identifier: Apache-2.0
"""The call tree: a node for each path from the root. What is left out is spliced: its children go to its parent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from heaptide.analysis.drafts import Draft, Edges, Maker, Members, Weights
from heaptide.analysis.places import Flags, Ints, Walks


@dataclass(frozen=True, slots=True)
class Paths:
    """Every distinct path, one entry for each; a parent comes before its children."""

    parent: Ints
    """-1 for a root."""
    place: Ints
    depth: Ints
    inline: Flags
    """In every stack the compiler inlined this call into its parent's."""
    residual: Flags
    shown: Flags


class TreeMaker(Maker):
    """One node for each distinct path of places."""

    def __init__(self, steps: Walks, weights: Weights) -> None:
        self._steps, self._weights = steps, weights
        self._paths, self._of_step = paths_of(steps)

    def all(self) -> Draft:
        return self._draft(self._paths)

    def only(self, draft: Draft, nodes: Ints) -> Draft:
        shown = np.zeros(len(self._paths.place), bool)
        shown[np.flatnonzero(self._paths.shown)[nodes]] = True
        return self._draft(_spliced(self._paths, shown))

    def _draft(self, paths: Paths) -> Draft:
        maker = TreeMaker.__new__(TreeMaker)
        maker._steps, maker._weights, maker._paths, maker._of_step = self._steps, self._weights, paths, self._of_step
        number = np.cumsum(paths.shown) - 1
        keep = paths.shown[self._of_step]
        leaf = self._steps.leaf
        last = keep[leaf]
        members = Members(
            number[self._of_step[keep]],
            self._steps.row[keep],
            number[self._of_step[leaf[last]]],
            self._steps.rows[last],
        )
        return Draft(maker, paths.place[paths.shown], members, self._weights)

    def edges_of(self, draft: Draft) -> Edges:
        """One edge from each parent, with all that its child holds."""
        paths = self._paths
        number = np.cumsum(paths.shown) - 1
        child = np.flatnonzero(paths.shown & (paths.parent >= 0))
        target = number[child]
        return Edges(
            number[paths.parent[child]],
            target,
            draft.cum[target],
            paths.residual[child],
            paths.inline[child],
            draft.raw_cum[target],
        )


def paths_of(steps: Walks) -> tuple[Paths, Ints]:
    """The distinct paths, and for each step the one that ends there: level by level from the roots."""
    starts = np.append(0, steps.leaf[:-1] + 1)
    lengths = steps.leaf + 1 - starts
    of_step = np.zeros(len(steps.place), np.int64)
    above = np.full(len(starts), -1)
    parents, places, depths, size = [], [], [], 0
    for depth in range(int(lengths.max(initial=0))):
        active = np.flatnonzero(lengths > depth)
        at = starts[active] + depth
        keys, group = np.unique((above[active] + 1) * len(steps.places) + steps.place[at], return_inverse=True)
        of_step[at] = above[active] = group + size
        parents.append(keys // len(steps.places) - 1)
        places.append(keys % len(steps.places))
        depths.append(np.full(len(keys), depth))
        size += len(keys)
    none = np.zeros(0, np.int64)
    paths = Paths(
        np.concatenate([none, *parents]),
        np.concatenate([none, *places]),
        np.concatenate([none, *depths]),
        np.bincount(of_step, ~steps.inlined, size) == 0,
        np.zeros(size, bool),
        np.ones(size, bool),
    )
    return paths, of_step


def _spliced(paths: Paths, shown: Flags) -> Paths:
    """The paths with only those shown: each one's parent is its nearest ancestor among them."""
    parent, inline, residual = paths.parent.copy(), paths.inline.copy(), paths.residual.copy()
    levels = np.searchsorted(paths.depth, np.arange(int(paths.depth.max(initial=0)) + 2))
    for first, end in pairwise(levels[1:].tolist()):
        nodes = np.arange(first, end)
        nodes = nodes[paths.shown[nodes] & (parent[nodes] >= 0)]
        nodes = nodes[~shown[parent[nodes]]]
        hidden = parent[nodes]  # it is less deep: its own parent has been found
        parent[nodes] = parent[hidden]
        inline[nodes] &= inline[hidden]
        residual[nodes] = parent[nodes] >= 0
    return replace(paths, parent=parent, inline=inline, residual=residual, shown=shown)
