# SPDX-License-Identifier: Apache-2.0
"""What pprof's options ask of a profile, and the profile that answers: filtered, with its total and its weights.

The order is pprof's (internal/driver): labels become frames, the total is taken (after the filters where shares are to
be relative), stacks are chosen by name, cut, chosen by label, labels are chosen, and then places are told apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from heaptide._errors import UsageError
from heaptide.analysis import tags
from heaptide.analysis.column_walks import Detail, Kept, column_walks, without_inlines
from heaptide.analysis.drafts import Weights, quotient
from heaptide.analysis.filters import ByName, Filtered, Pattern, prune_from, show_from
from heaptide.analysis.graph import CallGraph, Counted, Style, graph_of
from heaptide.analysis.node_tags import SIZE_LABEL, Tagger
from heaptide.analysis.patterns import BadPattern
from heaptide.analysis.places import Walks
from heaptide.analysis.rows import with_rows
from heaptide.model.columns import Columns


@dataclass(frozen=True, slots=True)
class ByTag:
    """Choosing by labels: see `heaptide.analysis.tags.rows_tagged` for ``focus`` and ``ignore``."""

    focus: str = ""
    ignore: str = ""
    show: Pattern = None
    hide: Pattern = None
    roots: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What is asked."""

    value: str = ""
    """Name or number of the value type; empty: the profile's default."""
    mean: bool = False
    """The value divided by the number of events."""
    detail: Detail = "functions"
    inlines: bool = True
    columns: bool = False
    by_name: ByName = field(default_factory=ByName)
    by_tag: ByTag = field(default_factory=ByTag)
    show_from: Pattern = None
    prune_from: Pattern = None
    relative: bool = False
    """Shares are shares of what the filters leave."""
    with_modules: bool = False


@dataclass(frozen=True)
class Answer:
    """The profile that an inquiry is about."""

    columns: Columns
    weights: Weights
    total: int
    """Sum of the absolute values (in a difference by mark: of the base): what shares are shares of."""
    value: str
    unit: str
    label_units: tags.Units
    inquiry: Inquiry
    idle: tuple[str, ...]
    """The filters that matched nothing."""
    is_difference: bool = False

    def walks(self) -> Walks:
        """The stacks as walks, as finely as was asked."""
        kept = Kept.of(self.inquiry.detail, inlines=self.inquiry.inlines, columns=self.inquiry.columns)
        return column_walks(self.columns, self.weights.counted, kept, with_modules=self.inquiry.with_modules)

    def everything(self) -> Walks:
        """As `walks`, with the samples that count nothing."""
        kept = Kept.of(self.inquiry.detail, inlines=self.inquiry.inlines, columns=self.inquiry.columns)
        return column_walks(self.columns, np.ones(len(self.columns), bool), kept)

    def graph(self, style: Style, tag_written: Callable[[int, str], str] | None = None) -> CallGraph:
        """The call graph; with the samples' labels where ``tag_written`` says how to write the numeric ones."""
        counted = Counted(self.value, self.unit, self.total, self.total, is_difference=self.is_difference)
        tagger = None
        if tag_written is not None and len(self.columns.labels):
            unit = self.label_units.of.get(SIZE_LABEL, SIZE_LABEL)
            tagger = Tagger(self.columns, self.weights, unit, tag_written)
        return graph_of(self.walks(), self.weights, counted, style, tagger)


def answer(columns: Columns, inquiry: Inquiry, written: tags.Written, *, is_difference: bool = False) -> Answer:
    """The profile that an inquiry is about; ``written`` writes numeric labels that become frames.

    Raises UsageError for a value type that the profile does not hold, and for a label's pattern that is none.
    """
    units = tags.units_of(columns)
    idle: list[str] = []
    columns = _with_tag_frames(columns, inquiry.by_tag, written, idle)
    index = value_index(columns, inquiry.value)
    if inquiry.relative:
        columns = _filtered(columns, inquiry, units, idle)
    total = _total(columns, index, inquiry.mean)
    if not inquiry.relative:
        columns = _filtered(columns, inquiry, units, idle)
    if not inquiry.inlines:
        columns = without_inlines(columns)
    kind = columns.sample_types[index]
    weights = Weights(columns.values[index], columns.values[0] if inquiry.mean else None)
    name = f"mean_{kind.type}" if inquiry.mean else kind.type
    return Answer(columns, weights, total, name, kind.unit, units, inquiry, tuple(idle), is_difference)


def value_index(columns: Columns, name: str) -> int:
    """The value type by name or number; ``inuse_space`` finds ``space`` as well. UsageError when there is none."""
    types = [kind.type for kind in columns.sample_types]
    if not types:
        raise UsageError("the profile holds no values")
    if not name:
        return types.index(columns.default_sample_type) if columns.default_sample_type in types else len(types) - 1
    if name.isdigit() and int(name) < len(types):
        return int(name)
    for wanted in (name, name.removeprefix("inuse_")):
        if wanted in types:
            return types.index(wanted)
    raise UsageError(f"the profile holds no {name!r}", hint=f"it holds {', '.join(types)}")


def _with_tag_frames(columns: Columns, wanted: ByTag, written: tags.Written, idle: list[str]) -> Columns:
    keys = tags.keys_of(columns) if wanted.roots or wanted.leaves else set()
    for name, asked in (("tagroot", wanted.roots), ("tagleaf", wanted.leaves)):
        if asked and keys.isdisjoint(asked):
            idle.append(name)
    return tags.with_tag_frames(columns, wanted.roots, wanted.leaves, written)


def _total(columns: Columns, index: int, mean: bool) -> int:
    base = tags.rows_of_base(columns)
    rows = base if np.abs(columns.values[index][base]).sum() > 0 else np.ones(len(columns), bool)
    total = np.abs(columns.values[index][rows]).sum()
    if not mean:
        return int(total)
    return int(quotient(np.array([total]), np.array([columns.values[0][rows].sum()]))[0])


def _filtered(columns: Columns, inquiry: Inquiry, units: tags.Units, idle: list[str]) -> Columns:
    def done(result: Filtered) -> Columns:
        idle.extend(result.idle)
        return result.columns

    columns = done(inquiry.by_name.apply(columns))
    if inquiry.show_from:
        columns = done(show_from(columns, inquiry.show_from))
    columns = _by_tag(columns, inquiry.by_tag, units, idle)
    if inquiry.prune_from:
        columns = done(prune_from(columns, inquiry.prune_from))
    return columns


def _by_tag(columns: Columns, wanted: ByTag, units: tags.Units, idle: list[str]) -> Columns:
    keep = np.ones(len(columns), bool)
    for name, asked in (("tagfocus", wanted.focus), ("tagignore", wanted.ignore)):
        if asked:
            try:
                found = tags.rows_tagged(columns, asked, units)
            except BadPattern as error:
                raise UsageError(f"--{name} {asked!r} is no regular expression: {error}") from None
            keep &= found if name == "tagfocus" else ~found
            if not found.any():
                idle.append(name)
    columns = with_rows(columns, keep)
    if wanted.show or wanted.hide:
        keys = tags.keys_of(columns)
        for name, pattern in (("tagshow", wanted.show), ("taghide", wanted.hide)):
            if pattern and not any(pattern.search(key) for key in keys):
                idle.append(name)
        columns = tags.with_tags(columns, lambda key: _shows(key, wanted))
    return columns


def _shows(key: str, wanted: ByTag) -> bool:
    return not (wanted.show and not wanted.show.search(key)) and not (wanted.hide and wanted.hide.search(key))
