# SPDX-License-Identifier: Apache-2.0
"""Blocks or mappings for the page: distinct stacks as a tree, and what became of each between the kept moments.

Where there are more stacks than a page can carry, those that never held or allocated much are folded: each goes, with
all its values, to the nearest caller that is kept, below a node that says so. Totals stay what they are, and so does
what the largest functions hold themselves, for their small stacks keep their site below that node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from heaptide.analysis.prefix_tree import PrefixTree, ancestors_at, depths, marked_ancestor, prefix_tree
from heaptide.analysis.site import not_users
from heaptide.analysis.site_curves import by_place
from heaptide.analysis.stack_changes import StackChanges
from heaptide.model import Frame
from heaptide.model.changes import COUNTERS, Changes

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Kind = Literal["heap", "mmap"]

NO_STACK = Frame(None, None, None, None, None, unresolved="no stack was recorded")
"""Stands for the stack of what has none."""
FOLDED = Frame(None, None, None, None, None, unresolved="small call paths, folded")
"""Stands for what is folded; never a site's."""
_NAMED = 200
"""So many functions, those with most of any value, keep what they hold themselves to the byte."""


@dataclass(frozen=True, slots=True)
class PageStacks:
    """Rows of `changes` and entries of `paths`, `leaf` and `site` are the distinct stacks, ordered as the tree."""

    kind: Kind
    frames: Sequence[Frame]
    """What the numbers of `paths` and of `tree.frame` mean."""
    paths: Sequence[tuple[int, ...]]
    """Stacks, root first."""
    tree: PrefixTree
    leaf: Ints
    """Of each stack the node of its innermost frame."""
    site: Ints
    """Of each stack the node at which its value stands when runtime frames are hidden."""
    changes: Changes
    values: tuple[str, ...]
    """The value types that the recording tells."""
    folded: int = 0
    """How many stacks were put together as too small to be seen."""

    @property
    def site_frame(self) -> Ints:
        """Of each stack the place in `frames` of its site."""
        return self.tree.frame[self.site]


def page_stacks(found: StackChanges, kind: Kind) -> PageStacks:
    """Stacks as a tree; those that never held anything are left out, those with the same frames are added up."""
    frames = [*found.stacks.frames, NO_STACK, FOLDED]
    no_stack = (len(frames) - 2,)
    skipped = [not_users(frame) for frame in frames]
    counted = np.unique(found.changes.row)
    paths = [found.stacks.stacks[row][::-1] or no_stack for row in counted.tolist()]
    row = np.zeros(found.changes.stacks, np.int64)
    row[counted] = np.arange(len(counted))
    changes = found.changes.grouped(row, len(counted))
    below = np.array([_below_site(path, skipped) for path in paths], np.int64)
    return _joined(kind, frames, paths, below, changes, found.values, 0)


def _below_site(path: tuple[int, ...], skipped: Sequence[bool]) -> int:
    """How many frames at the leaf end of a stack are not the user's own; 0 where none is."""
    for place, frame in enumerate(reversed(path)):
        if not skipped[frame]:
            return place
    return 0


def _joined(
    kind: Kind,
    frames: Sequence[Frame],
    paths: Sequence[tuple[int, ...]],
    below: Ints,
    changes: Changes,
    values: tuple[str, ...],
    folded: int,
) -> PageStacks:
    """Equal paths with the same site become one stack. `below`: how many frames of each path stand below its site."""
    tree = prefix_tree(paths)
    _, first, group = np.unique(tree.leaf * (max(map(len, paths), default=0) + 1) + below, True, True)
    return PageStacks(
        kind,
        frames,
        [paths[place] for place in first.tolist()],
        tree,
        tree.leaf[first],
        ancestors_at(tree, tree.leaf[first], below[first]),
        changes.grouped(group, len(first)),
        values,
        folded,
    )


# ---- Folding ---------------------------------------------------------------------------------------------------------


def importance(found: PageStacks, accused: Flags | None = None) -> Floats:
    """Of each stack the largest share that it ever had of any value's largest total; 1 and more for `accused` ones.

    In use counts with its largest value, allocated with the last.
    """
    weight = np.zeros(len(found.paths))
    for name in COUNTERS:
        share, total = largest(found.changes, name), float(np.abs(found.changes.totals(name)).max(initial=0))
        weight = np.maximum(weight, share / max(total, 1.0))
    return weight if accused is None else weight + accused


def largest(changes: Changes, name: str) -> Floats:
    """Of each stack the largest absolute value at any moment."""
    order = np.argsort(changes.row, kind="stable")
    row, steps = changes.row[order], changes.columns[name][order]
    out = np.zeros(changes.stacks)
    if len(row):
        begins = np.flatnonzero(np.append(True, row[1:] != row[:-1]))
        running = np.cumsum(steps)
        before = running[begins] - steps[begins]  # what the stacks before it had: taken off again
        own = running - np.repeat(before, np.diff(np.append(begins, len(row))))
        out[row[begins]] = np.maximum.reduceat(np.abs(own), begins)
    return out


def fold(found: PageStacks, keep: Flags) -> PageStacks:
    """The same totals with only those stacks told apart that `keep` names; see the module's head."""
    if keep.all():
        return found
    tree = found.tree
    kept = np.zeros(len(tree.parent), bool)
    kept[0] = True
    node = found.leaf[keep]
    while len(node):
        kept[node] = True
        node = np.unique(tree.parent[node])
        node = node[~kept[node]]
    kept_depth = marked_ancestor(tree, found.leaf, kept)
    named = _named_sites(found)
    folded_frame = len(found.frames) - 1
    deep = depths(tree)
    below = deep[found.leaf] - deep[found.site]
    paths = list(found.paths)
    for row in np.flatnonzero(~keep).tolist():
        length, above = int(kept_depth[row]), len(paths[row]) - int(below[row])
        site = (int(found.site_frame[row]),) if named[row] and above > length else ()
        paths[row] = (*paths[row][:length], folded_frame, *site)
        below[row] = max(length + 1 - above, 0)  # a site that is kept stays the site
    number = found.folded + int((~keep).sum())
    return _joined(found.kind, found.frames, paths, below, found.changes, found.values, number)


def _named_sites(found: PageStacks) -> Flags:
    """Which stacks have a site that is one of the functions with most."""
    _, group = by_place(found.frames, found.site_frame)
    weight = np.bincount(group, importance(found))
    least = np.sort(weight)[-_NAMED] if len(weight) > _NAMED else 0.0
    named: Flags = weight[group] >= least
    return named
