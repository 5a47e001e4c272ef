# SPDX-License-Identifier: Apache-2.0
"""Rows and lines of `Columns`: taking some of them, and what several operations ask of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from heaptide.analysis.patterns import Matcher
from heaptide.analysis.places import Flags, Ints
from heaptide.model.columns import Columns, Indices, Labels


def with_rows(columns: Columns, keep: Flags) -> Columns:
    """The samples of a mask."""
    if keep.all():
        return columns
    lengths = np.diff(columns.stack_start)
    number = np.cumsum(keep) - 1
    labels = columns.labels
    kept_labels = keep[labels.sample]
    return replace(
        columns,
        values=columns.values[:, keep],
        stack_start=bounds(lengths[keep]),
        stack=columns.stack[np.repeat(keep, lengths)],
        labels=replace(with_labels(labels, kept_labels), sample=number[labels.sample[kept_labels]]),
    )


def with_labels(labels: Labels, keep: Flags) -> Labels:
    """The labels of a mask."""
    return replace(
        labels,
        sample=labels.sample[keep],
        key=labels.key[keep],
        text=labels.text[keep],
        number=labels.number[keep],
        unit=labels.unit[keep],
    )


def with_steps(columns: Columns, keep: Flags) -> Columns:
    """The stacks with only those of their locations that a mask over ``columns.stack`` names."""
    if keep.all():
        return columns
    return replace(columns, stack=columns.stack[keep], stack_start=bounds(counts_in(columns.stack_start, keep)))


def with_lines(columns: Columns, keep: Flags) -> Columns:
    """The locations with only those of their lines that a mask names."""
    if keep.all():
        return columns
    places = columns.locations
    return replace(
        columns,
        locations=replace(
            places,
            line_start=bounds(counts_in(places.line_start, keep)),
            function=places.function[keep],
            line=places.line[keep],
            column=places.column[keep],
        ),
    )


def bounds(lengths: Ints) -> Ints:
    """Bounds of runs of these lengths: n + 1 numbers from 0."""
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)))


def counts_in(start: Ints, flags: Flags) -> Ints:
    """How many of the flags are set in each run."""
    running = np.concatenate((np.zeros(1, np.int64), np.cumsum(flags, dtype=np.int64)))
    counts: Ints = running[start[1:]] - running[start[:-1]]
    return counts


def row_of_step(columns: Columns) -> Ints:
    """For each entry of ``columns.stack`` the sample that it belongs to."""
    return np.repeat(np.arange(len(columns)), np.diff(columns.stack_start))


def location_of_line(columns: Columns) -> Ints:
    """For each line the location that it belongs to."""
    return np.repeat(np.arange(len(columns.locations)), np.diff(columns.locations.line_start))


def lines_matching(columns: Columns, pattern: Matcher) -> Flags:
    """Which lines have a function whose name or source file the pattern finds."""
    functions = columns.functions
    matched = _known(functions.name, pattern) | _known(functions.filename, pattern)
    return at_functions(columns.locations.function, matched)


def at_functions(function: Indices, flags: Flags) -> Flags:
    """A flag for each function as a flag for each line; a line without a function (-1) has none."""
    if not len(flags):
        return np.zeros(len(function), bool)
    found: Flags = flags[function] & (function >= 0)
    return found


def _known(texts: Sequence[str], pattern: Matcher) -> Flags:
    return each_once(texts, lambda text: pattern.search(text) is not None)


def each_once(texts: Sequence[str], test: Callable[[str], bool]) -> Flags:
    """A test over texts, asked once of each distinct one."""
    answers = {text: test(text) for text in set(texts)}
    return np.array([answers[text] for text in texts], bool)


def mappings_matching(columns: Columns, pattern: Matcher) -> Flags:
    """Which locations lie in a file whose path the pattern finds."""
    matched = np.array([*(pattern.search(mapping.file) is not None for mapping in columns.mappings), False])
    found: Flags = matched[columns.locations.mapping]  # -1, for none, is the last entry
    return found
