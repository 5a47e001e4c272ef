# SPDX-License-Identifier: Apache-2.0
"""Choosing stacks, and parts of stacks, by the names in them. The rules are pprof's (profile/filter.go, prune.go).

A pattern matches a line by its function's name or its source file, and a location by one of its lines or by the file
that it was mapped from. Every filter says which of its patterns matched anything at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from heaptide.analysis.patterns import Matcher, Regex
from heaptide.analysis.places import Flags, Ints
from heaptide.analysis.rows import (
    at_functions,
    counts_in,
    each_once,
    lines_matching,
    location_of_line,
    mappings_matching,
    row_of_step,
    with_lines,
    with_rows,
    with_steps,
)
from heaptide.model.columns import Columns
from heaptide.model.roles import AGENT_MODULES

Pattern = Matcher | None

_AGENT = re.compile(rf"(?:^|/){AGENT_MODULES.pattern}$")
_KEPT_PARENTHESES = re.compile(r"\(anonymous namespace\)|operator\(\)|\(")


@dataclass(frozen=True, slots=True)
class Filtered:
    """What is left, and the names of the patterns that matched nothing."""

    columns: Columns
    idle: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ByName:
    """Which stacks, and which frames of them. None asks for nothing."""

    focus: Pattern = None
    """Only stacks with a match ..."""
    ignore: Pattern = None
    """... and none of these."""
    hide: Pattern = None
    """Without frames that match."""
    show: Pattern = None
    """Only frames that match."""

    def apply(self, columns: Columns) -> Filtered:
        """The stacks that are asked for. Those of which nothing is left to show are left out."""
        wanted = {name: pattern for name in ("focus", "ignore", "hide", "show") if (pattern := getattr(self, name))}
        if not wanted:
            return Filtered(columns)
        found = {name: locations_matching(columns, pattern) for name, pattern in wanted.items()}
        keep = _with(columns, found.get("focus", np.ones(len(columns.locations), bool)))
        if "ignore" in found:
            keep &= ~_with(columns, found["ignore"])
        shown = _shown_lines(columns, self.hide, self.show)
        hidden = _hidden(columns, shown, found.get("hide"), self.show is not None)
        columns = with_rows(with_lines(columns, shown), keep)
        steps = ~hidden[columns.stack]
        if not steps.all():
            left = counts_in(columns.stack_start, steps) > 0
            columns = with_rows(with_steps(columns, steps), left)
        return Filtered(columns, tuple(name for name, matched in found.items() if not matched.any()))


def locations_matching(columns: Columns, pattern: Matcher) -> Flags:
    """Which locations have a line that the pattern matches, or lie in a file that it matches."""
    lines = lines_matching(columns, pattern)
    return (counts_in(columns.locations.line_start, lines) > 0) | mappings_matching(columns, pattern)


def _with(columns: Columns, locations: Flags) -> Flags:
    """Which rows run through one of the locations."""
    return counts_in(columns.stack_start, locations[columns.stack]) > 0


def _shown_lines(columns: Columns, hide: Pattern, show: Pattern) -> Flags:
    location = location_of_line(columns)
    shown = np.ones(len(location), bool)
    if hide:
        shown &= ~(lines_matching(columns, hide) | mappings_matching(columns, hide)[location])
    if show:
        shown &= lines_matching(columns, show) | mappings_matching(columns, show)[location]
    return shown


def _hidden(columns: Columns, shown: Flags, hide: Flags | None, only_shown: bool) -> Flags:
    """Locations of which no line is left. One that never had a line is hidden if its file is, or if it is not shown."""
    empty = counts_in(columns.locations.line_start, shown) == 0
    asked = np.full(len(empty), only_shown) if hide is None else hide | only_shown
    hidden: Flags = empty & asked
    return hidden


def show_from(columns: Columns, pattern: Matcher) -> Filtered:
    """Stacks from their root-most match on, towards the leaf; stacks without a match are left out."""
    by_file = mappings_matching(columns, pattern)
    lines = lines_matching(columns, pattern)
    location = location_of_line(columns)
    start = columns.locations.line_start
    # Lines stand innermost first: those behind the last match lie above it.
    keep = by_file[location] | (_last_of_run(lines, start)[location] >= np.arange(len(lines)))
    found = by_file | (counts_in(start, lines) > 0)
    columns = with_lines(columns, keep | ~found[location])
    steps = found[columns.stack]
    last = _last_of_run(steps, columns.stack_start)
    row = row_of_step(columns)
    columns = with_rows(with_steps(columns, np.arange(len(row)) <= last[row]), last >= 0)
    return Filtered(columns, () if found.any() else ("show_from",))


def _last_of_run(flags: Flags, start: Ints) -> Ints:
    """The position of the last set flag of each run, -1 where none is set."""
    position = np.where(flags, np.arange(len(flags)), -1)
    running = np.concatenate(([-1], np.maximum.accumulate(position))) if len(flags) else np.full(1, -1)
    last = running[start[1:]]
    return np.where(last >= start[:-1], last, -1)


def _first_of_run(flags: Flags, start: Ints) -> Ints:
    """The position of the first set flag of each run, the length of ``flags`` where none is set."""
    size = len(flags)
    position = np.where(flags, np.arange(size), size)
    running = np.append(np.minimum.accumulate(position[::-1])[::-1], size)
    first = running[start[:-1]]
    return np.where(first < start[1:], first, size)


def prune_from(columns: Columns, pattern: Matcher) -> Filtered:
    """Stacks without what lies below (towards the leaf) their leaf-most match."""
    matched = _simply(columns, lambda name: pattern.search(name) is not None)
    start = columns.locations.line_start
    location = location_of_line(columns)
    first = _first_of_run(matched, start)
    found = first < len(matched)
    columns = with_lines(columns, ~found[location] | (np.arange(len(matched)) >= first[location]))
    steps = found[columns.stack]
    first = _first_of_run(steps, columns.stack_start)
    row = row_of_step(columns)
    keep = (first[row] == len(steps)) | (np.arange(len(row)) >= first[row])
    return Filtered(with_steps(columns, keep), () if found.any() else ("prune_from",))


def prune(columns: Columns) -> Columns:
    """Stacks without what `Columns.drop_frames` names and what lies below that (towards the leaf).

    Seen from the root, what is dropped begins at the first match that comes after a frame that does not match: a stack
    of nothing else stays whole. A location that matches only in an inner, inlined line keeps the outer ones. Code of
    heaptide's own agent matches whatever its name.
    """
    if not columns.drop_frames:
        return columns
    drop = Regex(columns.drop_frames)
    keep = Regex(columns.keep_frames) if columns.keep_frames else None
    matched = _simply(columns, lambda name: bool(drop.fullmatch(name) and not (keep and keep.fullmatch(name))))
    start = columns.locations.line_start
    location = location_of_line(columns)
    last = _last_of_run(matched, start)
    agent = mappings_matching(columns, _AGENT)
    inside = agent | (last >= 0)
    whole = agent | (inside & (last == start[1:] - 1))
    stay = (np.arange(len(matched)) > last[location]) | ~inside[location] | whole[location]
    columns = with_lines(columns, stay)
    cut = _last_of_run(_below_user(columns, inside), columns.stack_start)
    row, position = row_of_step(columns), np.arange(len(columns.stack))
    at_cut = whole[columns.stack] | ~inside[columns.stack]
    return with_steps(columns, (position > cut[row]) | ((position == cut[row]) & ~at_cut))


def _below_user(columns: Columns, inside: Flags) -> Flags:
    """Steps that match and have a frame further up, towards the root, that does not."""
    matches = inside[columns.stack]
    last_user = _last_of_run(~matches, columns.stack_start)
    found: Flags = matches & (np.arange(len(matches)) < last_user[row_of_step(columns)])
    return found


def _simply(columns: Columns, test: Callable[[str], bool]) -> Flags:
    """Which lines have a function whose simplified name passes the test."""
    named = each_once(columns.functions.name, lambda name: name != "" and test(_simplified(name)))
    return at_functions(columns.locations.function, named)


def _simplified(name: str) -> str:
    """Without a dot in front and without parameters; parentheses that belong to the name stay."""
    name = name.removeprefix(".")
    for match in _KEPT_PARENTHESES.finditer(name):
        if match[0] == "(":
            return name[: match.start()]
    return name
