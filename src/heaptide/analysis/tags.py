# SPDX-License-Identifier: Apache-2.0
"""Labels of samples: choosing by them, showing some of them, as frames, as a table. The rules are pprof's.

A label is text or a number with a unit. A number without one is counted in bytes where the key is ``alignment`` or
``request``, else in the key itself (``bytes``, in a heap profile).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from heaptide.analysis.measures import scale
from heaptide.analysis.node_tags import BASE_LABEL
from heaptide.analysis.patterns import Matcher, Regex
from heaptide.analysis.places import Flags, Ints
from heaptide.analysis.rows import bounds, each_once, with_labels
from heaptide.model.columns import Columns, Functions, Indices
from heaptide.model.profile import Column

_RANGE = re.compile(r"([+-]?\d+)([A-Za-z]+)?")
_BYTES_BY_DEFAULT = ("alignment", "request")

Written = Callable[[int, str], str]
"""Writes a number with its unit."""


@dataclass(frozen=True, slots=True)
class Units:
    """The unit of each numeric key, and for each key the units that were met besides."""

    of: dict[str, str]
    besides: dict[str, tuple[str, ...]]


def units_of(columns: Columns) -> Units:
    """The first unit that the file names for each key, or the default."""
    labels, strings = columns.labels, columns.labels.strings
    numeric = labels.text < 0
    pairs, first = np.unique(np.stack([labels.key[numeric], labels.unit[numeric]], 1), axis=0, return_index=True)
    met: dict[str, list[str]] = {}
    for _, (key, unit) in sorted(zip(first.tolist(), pairs.tolist(), strict=True)):
        named = met.setdefault(strings[key], [])
        if unit >= 0 and strings[unit]:
            named.append(strings[unit])
    default = {key: "bytes" if key in _BYTES_BY_DEFAULT else key for key in met}
    return Units(
        {key: named[0] if named else default[key] for key, named in met.items()},
        {key: tuple(sorted(set(named[1:]))) for key, named in met.items() if len(named) > 1},
    )


def rows_tagged(columns: Columns, wanted: str, units: Units) -> Flags:
    """The samples whose labels match: ``400kb:``, ``30kb:2mb``, ``request=:64kb``, ``worker``, ``key=a,b``.

    A range is held against numbers, patterns against text: all of them where no key is named (each against
    ``key:text``), any of them where one is. Raises BadPattern for what is no regular expression.
    """
    key, equals, value = wanted.partition("=")
    if not equals:
        key, value = "", wanted
    within = _range(value)
    if within is not None:
        return _rows_in_range(columns, key, within, units)
    patterns = [Regex(part) for part in value.split(",")]
    hits = [_rows_with_text(columns, key, pattern) for pattern in patterns]
    rows: Flags = np.logical_or.reduce(hits) if key else np.logical_and.reduce(hits)
    return rows


def is_range(wanted: str) -> bool:
    """Whether what is asked of labels is a range of numbers."""
    return _range(wanted.partition("=")[2] if "=" in wanted else wanted) is not None


def _range(text: str) -> Callable[[int, str], bool] | None:
    """``64kb``, ``64kb:``, ``:64kb``, ``64kb:2mb`` as a test of a value and its unit; None for anything else."""
    ends = list(_RANGE.finditer(text))[:2]
    if not ends:
        return None
    low, unit = scale(int(ends[0][1]), ends[0][2] or "", ends[0][2] or "")
    if len(ends) == 1:
        written = ends[0][0]
        tests: dict[str, Callable[[float], bool]] = {
            written: lambda value: value == low,
            f"{written}:": lambda value: value >= low,
            f":{written}": lambda value: value <= low,
        }
        if text not in tests:
            return None
        test = tests[text]
    else:
        high, other = scale(int(ends[1][1]), ends[1][2] or "", unit)
        if text != f"{ends[0][0]}:{ends[1][0]}" or other != unit:
            return None

        def test(value: float) -> bool:
            return low <= value <= high

    def within(value: int, counted_in: str) -> bool:
        scaled, name = scale(value, counted_in, unit)
        return name == unit and test(scaled)

    return within


def _rows_in_range(columns: Columns, key: str, within: Callable[[int, str], bool], units: Units) -> Flags:
    labels = columns.labels
    numeric = np.flatnonzero(labels.text < 0)
    pairs, group = _distinct_pairs(labels.key[numeric], labels.number[numeric])
    names = [labels.strings[k] for k, _ in pairs]
    fits = [(not key or name == key) and within(n, units.of[name]) for name, (_, n) in zip(names, pairs, strict=True)]
    return _rows(columns, numeric[np.array(fits, bool)[group]])


def _rows_with_text(columns: Columns, key: str, pattern: Matcher) -> Flags:
    labels, strings = columns.labels, columns.labels.strings
    written = np.flatnonzero(labels.text >= 0)
    pairs, group = _distinct_pairs(labels.key[written], labels.text[written])
    if key:
        fits = [strings[k] == key and pattern.search(strings[t]) is not None for k, t in pairs]
    else:
        fits = [pattern.search(f"{strings[k]}:{strings[t]}") is not None for k, t in pairs]
    return _rows(columns, written[np.array(fits, bool)[group]])


def _distinct_pairs(one: Ints | Indices, other: Ints | Indices) -> tuple[list[list[int]], Ints]:
    pairs, group = np.unique(np.stack([one, other], 1).astype(np.int64), axis=0, return_inverse=True)
    return pairs.tolist(), group.reshape(-1)


def _rows(columns: Columns, labels: Ints) -> Flags:
    rows = np.zeros(len(columns), bool)
    rows[columns.labels.sample[labels]] = True
    return rows


def with_tags(columns: Columns, keep: Callable[[str], bool]) -> Columns:
    """The samples with only those labels whose key passes."""
    labels = columns.labels
    kept = each_once(labels.strings, keep)
    return replace(columns, labels=with_labels(labels, kept[labels.key] if len(labels) else np.zeros(0, bool)))


def rows_of_base(columns: Columns) -> Flags:
    """The samples that carry the mark of those that were subtracted."""
    return _rows_with_text(columns, BASE_LABEL, Regex("^true$"))


def keys_of(columns: Columns) -> set[str]:
    """The keys of all labels."""
    return {columns.labels.strings[key] for key in np.unique(columns.labels.key).tolist()}


def with_tag_frames(columns: Columns, roots: Sequence[str], leaves: Sequence[str], written: Written) -> Columns:
    """Labels as frames: for each key a function named after its values, its source file after the key.

    The first of ``roots`` becomes the root, the last of ``leaves`` the leaf.
    """
    keys = [*reversed(leaves), *reversed(roots)]
    if not keys:
        return columns
    names = [_values_by_row(columns, key, written) for key in keys]
    # Numbered in the order of first use, a sample's root frames before its leaf frames, as pprof numbers them.
    order = [*range(len(leaves), len(keys)), *range(len(leaves))]
    index: dict[tuple[str, str], int] = {}
    inserted = np.zeros((len(keys), len(columns)), np.int64)
    for row in range(len(columns)):
        for i in order:
            inserted[i, row] = index.setdefault((names[i][row], keys[i]), len(index))
    return _with_ends(_with_functions(columns, list(index)), inserted + len(columns.locations), len(leaves))


def _values_by_row(columns: Columns, key: str, written: Written) -> list[str]:
    """For each sample the values of a key, text first, joined by commas; "" for none."""
    labels, strings = columns.labels, columns.labels.strings
    texts: list[list[str]] = [[] for _ in range(len(columns))]
    numbers: list[list[str]] = [[] for _ in range(len(columns))]
    for i in np.flatnonzero(np.isin(labels.key, [n for n, s in enumerate(strings) if s == key])).tolist():
        row = int(labels.sample[i])
        if labels.text[i] >= 0:
            texts[row].append(strings[labels.text[i]])
        else:
            numbers[row].append(written(int(labels.number[i]), strings[labels.unit[i]] if labels.unit[i] >= 0 else ""))
    return [",".join(text + number) for text, number in zip(texts, numbers, strict=True)]


def _with_functions(columns: Columns, frames: Sequence[tuple[str, str]]) -> Columns:
    """The same with one more function and location for each (name, file)."""
    more, places, functions = len(frames), columns.locations, columns.functions
    zeros, none = np.zeros(more, np.int64), np.full(more, -1, np.int32)
    lines = len(places.function)
    return replace(
        columns,
        functions=Functions(
            [*functions.name, *(name for name, _ in frames)],
            [*functions.system_name, *("" for _ in frames)],
            [*functions.filename, *(file for _, file in frames)],
            np.append(functions.start_line, zeros),
        ),
        locations=replace(
            places,
            address=np.append(places.address, zeros.astype(np.uint64)),
            mapping=np.append(places.mapping, none),
            folded=np.append(places.folded, zeros.astype(bool)),
            line_start=np.append(places.line_start, lines + 1 + np.arange(more)),
            function=np.append(places.function, (len(functions) + np.arange(more)).astype(np.int32)),
            line=np.append(places.line, zeros),
            column=np.append(places.column, zeros),
        ),
    )


def _with_ends(columns: Columns, inserted: Ints, below: int) -> Columns:
    """Stacks with more locations: the first ``below`` rows of ``inserted`` below the leaf, the rest above the root."""
    lengths = np.diff(columns.stack_start)
    start = bounds(lengths + len(inserted))
    stack = np.empty(int(start[-1]), np.int32)
    own = np.repeat(start[:-1] + below, lengths) + np.arange(len(columns.stack))
    stack[own - np.repeat(columns.stack_start[:-1], lengths)] = columns.stack
    for i, locations in enumerate(inserted):
        stack[(start[:-1] + i) if i < below else (start[1:] - len(inserted) + i)] = locations
    return replace(columns, stack=stack, stack_start=start)


@dataclass(frozen=True, slots=True)
class TagTable:
    """The values of one key, each with the sum of the samples that carry it, largest absolute value first."""

    key: str
    total: int
    values: tuple[tuple[str, int], ...]


def tag_tables(columns: Columns, value: Column, units: Units, written: Written) -> list[TagTable]:
    """One table for each key, by name. Numbers that are written alike are one."""
    labels, strings = columns.labels, columns.labels.strings
    kind = np.stack([labels.key, labels.text, labels.number], 1).astype(np.int64)
    distinct, group = np.unique(kind, axis=0, return_inverse=True)
    sums = np.zeros(len(distinct), np.int64)
    np.add.at(sums, group.reshape(-1), value[labels.sample])
    tables: dict[str, dict[str, int]] = {}
    for (key, text, number), amount in zip(distinct.tolist(), sums.tolist(), strict=True):
        name = strings[key]
        word = strings[text] if text >= 0 else written(number, units.of[name])
        table = tables.setdefault(name, {})
        table[word] = table.get(word, 0) + amount
    return [
        TagTable(key, sum(table.values()), tuple(sorted(table.items(), key=lambda item: (-abs(item[1]), item[0]))))
        for key, table in sorted(tables.items())
    ]
