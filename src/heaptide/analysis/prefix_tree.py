# SPDX-License-Identifier: Apache-2.0
"""Stacks as one tree, root first: what stacks have in common at their roots is stored once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PrefixTree:
    """Nodes in depth-first order. Node 0 is the root, which is its own parent and has no frame (-1)."""

    parent: Ints
    frame: Ints
    """Of each node the number that its stacks have there."""
    leaf: Ints
    """Of each stack that was put in the node of its last number."""


def prefix_tree(stacks: Sequence[tuple[int, ...]]) -> PrefixTree:
    """The tree of stacks, each a tuple of numbers of frames, root first. An empty one ends at the root."""
    order = sorted(range(len(stacks)), key=stacks.__getitem__)
    parents, frames = [0], [-1]
    leaf = np.zeros(len(stacks), np.int64)
    before: tuple[int, ...] = ()
    path = [0]  # the nodes of the stack before: path[d] is d frames below the root
    for place in order:
        stack = stacks[place]
        common = _common(before, stack)
        del path[common + 1 :]
        for frame in stack[common:]:
            parents.append(path[-1])
            path.append(len(frames))
            frames.append(frame)
        leaf[place], before = path[-1], stack
    return PrefixTree(np.array(parents), np.array(frames), leaf)


def _common(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """How many numbers two stacks share at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def marked_ancestor(tree: PrefixTree, node: Ints, marked: npt.NDArray[np.bool_]) -> Ints:
    """How deep the nearest node is that is marked, at each of these nodes or above it. The root has to be marked."""
    out, far = node.copy(), ~marked[node]
    while far.any():
        out[far] = tree.parent[out[far]]
        far = ~marked[out]
    return depths(tree)[out]


def depths(tree: PrefixTree) -> Ints:
    """Of each node how many frames stand from the root to it."""
    out, up = np.zeros(len(tree.parent), np.int64), np.arange(len(tree.parent))
    while (below := up > 0).any():
        out += below
        up = tree.parent[up]
    return out


def ancestors_at(tree: PrefixTree, node: Ints, depth: Ints) -> Ints:
    """The nodes that stand `depth` levels above the given ones."""
    out, left = node.copy(), depth.copy()
    while (up := left > 0).any():
        out[up] = tree.parent[out[up]]
        left[up] -= 1
    return out
