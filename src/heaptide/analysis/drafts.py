# SPDX-License-Identifier: Apache-2.0
"""Call graphs in the making, as arrays: built from walks over any set of places, then trimmed.

The rules are those of Google's pprof (internal/graph); the numbers must come out the same. Each stack is walked from
the root to the leaf. A node's ``cum`` gets the stack's value once, an edge once, the last node ``flat``. Nodes that
were left out make the edge across them *residual*; if the leaf was left out, nobody gets flat.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from heaptide.analysis.places import Flags, Ints, Walks, distinct, sums
from heaptide.model.profile import Column


@dataclass(frozen=True, slots=True)
class Weights:
    """What each row counts, and in means the number that it is divided by."""

    value: Column
    divisor: Column | None = None

    @property
    def counted(self) -> Flags:
        """Which rows say something."""
        counted: Flags = self.value != 0
        return counted if self.divisor is None else counted | (self.divisor != 0)

    def per(self, group: Ints, row: Ints, size: int) -> Column:
        """Sums over rows for each group, divided as a mean is (towards zero, as pprof does)."""
        total = sums(group, self.value[row], size)
        return total if self.divisor is None else quotient(total, sums(group, self.divisor[row], size))


def quotient(total: Column, count: Column) -> Column:
    """``total / count``, truncated towards zero; ``total`` itself where there is nothing to divide by."""
    whole = np.where(count == 0, 1, count)
    if total.dtype == np.float64:
        return total / whole
    result: Column = np.sign(total) * np.sign(whole) * (np.abs(total) // np.abs(whole))
    return result


@dataclass(frozen=True, slots=True)
class Edges:
    """Calls, as columns. ``source`` and ``target`` are indices of the draft's nodes."""

    source: Ints
    target: Ints
    weight: Column
    residual: Flags
    """At least one stack has frames between the two that are not shown."""
    inline: Flags
    """In every stack the compiler inlined the target into the source."""
    raw: Column
    """The weight before a mean is divided: what cutoffs are compared with."""

    def __len__(self) -> int:
        """Number of edges."""
        return len(self.source)

    def only(self, chosen: Flags) -> Edges:
        """The chosen ones (a mask)."""
        return Edges(
            self.source[chosen],
            self.target[chosen],
            self.weight[chosen],
            self.residual[chosen],
            self.inline[chosen],
            self.raw[chosen],
        )


class Members:
    """Which rows run through which node: what nodes, their tags and trees are summed over.

    ``node`` and ``row`` have one entry for each pair of a node and a row through it, ``leaf_node`` and ``leaf_row`` one
    for each row whose last step is shown.
    """

    def __init__(self, node: Ints, row: Ints, leaf_node: Ints, leaf_row: Ints) -> None:
        self.node, self.row, self.leaf_node, self.leaf_row = node, row, leaf_node, leaf_row


class Draft:
    """A graph: for each node its place, flat and cum, and the edges, which are made when they are asked for."""

    def __init__(self, maker: Maker, place: Ints, members: Members, weights: Weights) -> None:
        size = len(place)
        self._maker = maker
        self.place, self.members = place, members
        self.cum = weights.per(members.node, members.row, size)
        self.flat = weights.per(members.leaf_node, members.leaf_row, size)
        raw = Weights(weights.value)
        self.raw_cum = self.cum if weights.divisor is None else raw.per(members.node, members.row, size)
        self.raw_flat = self.flat if weights.divisor is None else raw.per(members.leaf_node, members.leaf_row, size)

    def __len__(self) -> int:
        """Number of nodes, counting those that hold nothing."""
        return len(self.place)

    @cached_property
    def edges(self) -> Edges:
        """All edges between the nodes."""
        return self._maker.edges_of(self)

    def only(self, nodes: Ints) -> Draft:
        """The draft over some of these nodes."""
        return self._maker.only(self, nodes)

    def holding(self, *, drop_negative: bool) -> Flags:
        """Which nodes hold anything; without the negative ones where those are not wanted."""
        holds: Flags = (self.raw_cum != 0) | (self.raw_flat != 0)
        if drop_negative:
            holds &= ~((self.raw_flat < 0) | ((self.raw_flat == 0) & (self.raw_cum < 0)))
        return holds


class Maker:
    """Makes drafts of one profile: of all its places, or of some."""

    def all(self) -> Draft:
        """The draft over every place."""
        raise NotImplementedError

    def only(self, draft: Draft, nodes: Ints) -> Draft:
        """The draft over some nodes of another one."""
        raise NotImplementedError

    def edges_of(self, draft: Draft) -> Edges:
        """The edges of a draft that this maker made."""
        raise NotImplementedError


class GraphMaker(Maker):
    """One node for each place."""

    def __init__(self, steps: Walks, weights: Weights) -> None:
        self.steps, self.weights = steps, weights

    def all(self) -> Draft:
        return self._build(np.ones(len(self.steps.places), bool))

    def only(self, draft: Draft, nodes: Ints) -> Draft:
        shown = np.zeros(len(self.steps.places), bool)
        shown[draft.place[nodes]] = True
        return self._build(shown)

    def _build(self, shown: Flags) -> Draft:
        steps, size = self.steps, len(shown)
        number = np.cumsum(shown) - 1
        if shown.all():
            place, row, leaf_place, leaf_row = steps.place, steps.row, steps.place[steps.leaf], steps.rows
        else:
            keep = shown[steps.place]
            place, row = steps.place[keep], steps.row[keep]
            last = keep[steps.leaf]
            leaf_place, leaf_row = steps.place[steps.leaf[last]], steps.rows[last]
        pairs = distinct(row * size + place)
        row, place = np.divmod(pairs, size)
        members = Members(number[place], row, number[leaf_place], leaf_row)
        return Draft(self, np.flatnonzero(shown), members, self.weights)

    def edges_of(self, draft: Draft) -> Edges:
        """Pairs of neighbouring shown steps of a stack, each pair once for each stack (its first occurrence counts)."""
        steps, size = self.steps, len(draft)
        number = np.full(len(steps.places), -1)
        number[draft.place] = np.arange(size)
        node = number[steps.place]
        position = np.flatnonzero(node >= 0)
        node, row = node[position], steps.row[position]
        second = np.flatnonzero((row[1:] == row[:-1]) & (node[1:] != node[:-1])) + 1
        residual = position[second] != position[second - 1] + 1
        inline = steps.inlined[position[second]]
        pairs, group = np.unique(node[second - 1] * size + node[second], return_inverse=True)
        row = row[second]
        first = _first_of_each(row * len(pairs) + group)
        if len(first) < len(row):
            group, row, residual, inline = group[first], row[first], residual[first], inline[first]
        source, target = np.divmod(pairs, max(size, 1))
        return Edges(
            source,
            target,
            self.weights.per(group, row, len(pairs)),
            np.bincount(group, residual, len(pairs)) > 0,
            np.bincount(group, ~inline, len(pairs)) == 0,
            sums(group, self.weights.value[row], len(pairs)),
        )


def _first_of_each(keys: Ints) -> Ints:
    """Where each distinct key occurs first, in no particular order of keys."""
    if len(distinct(keys)) == len(keys):  # nothing occurs twice, and most profiles have no recursion
        return np.arange(len(keys))
    first: Ints = np.unique(keys, return_index=True)[1]
    return first
