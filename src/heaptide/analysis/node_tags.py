# SPDX-License-Identifier: Apache-2.0
"""Labels of samples as boxes beside the nodes of a graph.

Text labels of a sample are joined to one. Of the numeric ones only ``bytes`` (the size of a block) counts, as in pprof;
sizes that are written alike are one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from heaptide.analysis.drafts import Draft, Weights
from heaptide.analysis.places import Ints
from heaptide.model.columns import Columns

SIZE_LABEL = "bytes"
BASE_LABEL = "pprof::base"
"""Marks the samples that were subtracted; never shown."""

_Pairs = tuple[Ints, Ints]
"""Pairs of a node and a row (or label), as two columns."""

_Sum = tuple[int, int, float, float, int]


@dataclass(frozen=True, slots=True)
class Tag:
    """A label with the value of the stacks that carry it and end at the node, or run through it."""

    name: str
    flat: float
    cum: float
    value: int = 0
    """Of a size, in ``unit``."""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class NodeTags:
    """The labels of one node: those of text, and the sizes under each of them (under "" where there is no text)."""

    texts: tuple[Tag, ...] = ()
    sizes: Mapping[str, tuple[Tag, ...]] | None = None

    def count(self) -> int:
        """How many of them have a flat value."""
        sizes = (self.sizes or {}).values()
        return sum(tag.flat != 0 for tags in (self.texts, *sizes) for tag in tags)


NO_TAGS = NodeTags()


class Tagger:
    """Finds the labels of nodes of one profile.

    Args:
        columns: the profile.
        weights: what its rows count.
        unit: of the ``bytes`` label.
        written: how a size is written, from its value and unit.
    """

    def __init__(self, columns: Columns, weights: Weights, unit: str, written: Callable[[int, str], str]) -> None:
        self._weights = weights
        self._unit = unit
        self.texts, self._text_of_row = joined_texts(columns)
        chosen = _size_labels(columns)
        self._size_row, self._number = columns.labels.sample[chosen], columns.labels.number[chosen]
        self._size, self._sizes = _written_sizes(self._number, lambda value: written(value, unit))

    def tags_of(self, draft: Draft, nodes: Ints, cutoff: float) -> list[NodeTags]:
        """The labels of some nodes, in their order; without those whose flat and cum are both under ``cutoff``."""
        number = np.full(len(draft), -1)
        number[nodes] = np.arange(len(nodes))
        members = draft.members
        through = _chosen(number, members.node, members.row)
        ending = _chosen(number, members.leaf_node, members.leaf_row)
        texts: list[list[Tag]] = [[] for _ in range(len(nodes))]
        for node, text, flat, cum, _ in _sums(self._weights, through, ending, self._text_of_row, cutoff):
            if text:
                texts[node].append(Tag(self.texts[text], flat, cum))
        sizes: list[dict[str, list[Tag]]] = [{} for _ in range(len(nodes))]
        for node, both, flat, cum, first in self._size_sums(through, ending, cutoff):
            text, size = divmod(both, len(self._sizes))
            tag = Tag(self._sizes[size], flat, cum, int(self._number[first]), self._unit)
            sizes[node].setdefault(self.texts[text], []).append(tag)
        return [
            NodeTags(tuple(of_text), {text: tuple(tags) for text, tags in of_size.items()})
            for of_text, of_size in zip(texts, sizes, strict=True)
        ]

    def _size_sums(self, through: _Pairs, ending: _Pairs, cutoff: float) -> list[_Sum]:
        """As `_sums` for text and size together; a row with several sizes counts for each."""
        row, divisor = self._size_row, self._weights.divisor
        kind = self._text_of_row[row] * len(self._sizes) + self._size
        weights = Weights(self._weights.value[row], None if divisor is None else divisor[row])
        return _sums(weights, self._labels_of(*through), self._labels_of(*ending), kind, cutoff)

    def _labels_of(self, node: Ints, row: Ints) -> _Pairs:
        """Pairs of node and row as pairs of node and size label."""
        first = np.searchsorted(self._size_row, row)
        count = np.searchsorted(self._size_row, row, side="right") - first
        offset = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
        return np.repeat(node, count), np.repeat(first, count) + offset


def _chosen(number: Ints, node: Ints, row: Ints) -> _Pairs:
    keep = number[node] >= 0
    return number[node[keep]], row[keep]


def _sums(weights: Weights, through: _Pairs, ending: _Pairs, kind: Ints, cutoff: float) -> list[_Sum]:
    """(node, kind, flat, cum, first such row) for each kind of row through a node; ``kind`` has one for each row."""
    kinds = int(kind.max(initial=0)) + 1
    keys, first, group = np.unique(through[0] * kinds + kind[through[1]], return_index=True, return_inverse=True)
    at = np.searchsorted(keys, ending[0] * kinds + kind[ending[1]])
    cum = weights.per(group, through[1], len(keys))
    flat = weights.per(at, ending[1], len(keys))
    shown = (np.abs(cum) >= cutoff) | (np.abs(flat) >= cutoff)
    node, which = np.divmod(keys[shown], kinds)
    columns = (node, which, flat[shown], cum[shown], through[1][first[shown]])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def joined_texts(columns: Columns) -> tuple[list[str], Ints]:
    """The distinct sets of text labels, each as one string (a line ``key:text`` for each, sorted), and the index of
    each row's; the first is "", for rows without any."""
    labels, index = columns.labels, {"": 0}
    of_row = np.zeros(len(columns), np.int64)
    parts: dict[int, list[str]] = {}
    written = labels.text >= 0
    columns_of_text = (labels.sample[written], labels.key[written], labels.text[written])
    for row, key, text in zip(*(column.tolist() for column in columns_of_text), strict=True):
        if labels.strings[key] != BASE_LABEL:
            parts.setdefault(row, []).append(f"{labels.strings[key]}:{labels.strings[text]}")
    for row, words in parts.items():
        of_row[row] = index.setdefault("\n".join(sorted(words)), len(index))
    return list(index), of_row


def _size_labels(columns: Columns) -> Ints:
    """Which labels say the size of a block."""
    wanted = [i for i, text in enumerate(columns.labels.strings) if text == SIZE_LABEL]
    return np.flatnonzero(np.isin(columns.labels.key, wanted) & (columns.labels.text < 0))


def _written_sizes(number: Ints, written: Callable[[int], str]) -> tuple[Ints, list[str]]:
    """For each number which of the written sizes it is, and these; numbers that are written alike are one."""
    values, group = np.unique(number, return_inverse=True)
    index: dict[str, int] = {}
    of_value = np.array([index.setdefault(written(value), len(index)) for value in values.tolist()], np.int64)
    return of_value[group], list(index)
