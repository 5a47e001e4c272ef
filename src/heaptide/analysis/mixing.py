# SPDX-License-Identifier: Apache-2.0
"""Sums and differences of profiles held as `Columns`. The rules are pprof's (profile/merge.go, internal/measurement).

Mappings are the same when they have the same build id (or, without one, file), offset and size in pages; locations,
when they lie at the same distance from the start of the same mapping and have the same lines. So stacks of several
runs match although the system loads programs at random addresses. Samples are joined by stack and labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from heaptide._errors import UsageError
from heaptide.analysis.measures import convertible, scale
from heaptide.analysis.node_tags import BASE_LABEL
from heaptide.analysis.places import Ints
from heaptide.analysis.rows import bounds, with_rows
from heaptide.model.columns import Columns, Functions, Indices, Labels, Locations, Mapped, ValueType

_PAGE = 0x1000
_SHORT = {"objects": "inuse_objects", "space": "inuse_space"}
"""What text profiles call their columns while nothing has been freed; the same thing for sums and differences."""


def scaled(columns: Columns, ratios: Sequence[float]) -> Columns:
    """Each value type times its ratio, rounded half away from zero; samples of which nothing is left are left out."""
    if all(ratio == 1 for ratio in ratios):
        return columns
    if all(ratio == -1 for ratio in ratios):
        values = -columns.values
    else:
        exact = columns.values * np.array(ratios, np.float64)[:, np.newaxis]
        values = np.where(
            np.array(ratios)[:, np.newaxis] == 1, columns.values, (np.sign(exact) * np.floor(np.abs(exact) + 0.5))
        ).astype(np.int64)
    return with_rows(replace(columns, values=values), (values != 0).any(axis=0))


def normalised(columns: Columns, base: Columns) -> Columns:
    """The profile scaled so that the sum of each value type is the base's."""
    columns, base = in_common([columns, base])
    own, wanted = columns.values.sum(axis=1), base.values.sum(axis=1)
    ratios = [float(b) / float(o) if o else 0.0 for o, b in zip(own.tolist(), wanted.tolist(), strict=True)]
    return scaled(columns, ratios)


def marked_as_base(columns: Columns) -> Columns:
    """Every sample with the label that says that it was subtracted."""
    labels, rows = columns.labels, np.arange(len(columns))
    strings = [*labels.strings, BASE_LABEL, "true"]
    order = np.argsort(np.concatenate((labels.sample, rows)), kind="stable")

    def column(own: Ints | Indices, mark: int) -> Ints:
        joined: Ints = np.concatenate((own, np.full(len(rows), mark)))[order]
        return joined

    return replace(
        columns,
        labels=Labels(
            np.concatenate((labels.sample, rows))[order],
            column(labels.key, len(strings) - 2).astype(np.int32),
            column(labels.text, len(strings) - 1).astype(np.int32),
            column(labels.number, 0),
            column(labels.unit, -1).astype(np.int32),
            strings,
        ),
    )


def in_common(profiles: Sequence[Columns]) -> list[Columns]:
    """The profiles with the value types that all of them have, in the same order and units.

    Raises UsageError when there are none.
    """
    if len(profiles) < 2:
        return list(profiles)
    named = [{_name(kind): index for index, kind in enumerate(one.sample_types)} for one in profiles]
    if all(list(names) == list(named[0]) for names in named) and not all(
        one.sample_types == profiles[0].sample_types for one in profiles
    ):
        profiles = [_with_long_names(one) for one in profiles]
    common = [name for name in named[0] if all(name in names for names in named)]
    if not common:
        raise UsageError("the profiles have no value in common", hint="they are of different kinds")
    chosen = []
    for one, names in zip(profiles, named, strict=True):
        index = [names[name] for name in common]
        kinds = tuple(one.sample_types[i] for i in index)
        default = one.default_sample_type if one.default_sample_type in [kind.type for kind in kinds] else ""
        chosen.append(replace(one, sample_types=kinds, values=one.values[index], default_sample_type=default))
    return _in_one_unit(chosen)


def _name(kind: ValueType) -> str:
    return _SHORT.get(kind.type, kind.type)


def _with_long_names(columns: Columns) -> Columns:
    return replace(columns, sample_types=tuple(ValueType(_name(kind), kind.unit) for kind in columns.sample_types))


def _in_one_unit(profiles: Sequence[Columns]) -> list[Columns]:
    """The profiles, each value type in the smallest unit that one of them has it in."""
    finest = list(profiles[0].sample_types)
    for one in profiles[1:]:
        for i, kind in enumerate(one.sample_types):
            if not convertible(kind.unit, finest[i].unit):
                raise UsageError(f"{kind.type} is in {kind.unit} in one profile and in {finest[i].unit} in another")
            if scale(1, kind.unit, finest[i].unit)[0] < 1:
                finest[i] = kind
    return [
        replace(
            scaled(one, [scale(1, kind.unit, to.unit)[0] for kind, to in zip(one.sample_types, finest, strict=True)]),
            sample_types=tuple(
                ValueType(kind.type, to.unit) for kind, to in zip(one.sample_types, finest, strict=True)
            ),
        )
        for one in profiles
    ]


def merged(profiles: Sequence[Columns]) -> Columns:
    """The sum of profiles; samples that come to nothing are left out. Raises as `in_common`, ValueError for none."""
    if not profiles:
        raise ValueError("nothing to merge")
    profiles = in_common(profiles)
    tables = _Tables()
    parts = [tables.add(with_rows(one, (one.values != 0).any(axis=0))) for one in profiles]
    first = profiles[0]
    joined = _joined(parts)
    times = [one.time_ns for one in profiles if one.time_ns]
    return replace(
        joined,
        sample_types=first.sample_types,
        locations=tables.locations(),
        functions=tables.functions(),
        mappings=tuple(tables.mappings),
        period_type=first.period_type,
        period=max(one.period for one in profiles),
        time_ns=min(times, default=0),
        duration_ns=sum(one.duration_ns for one in profiles),
        comments=tuple(dict.fromkeys(comment for one in profiles for comment in one.comments)),
        default_sample_type=next((one.default_sample_type for one in profiles if one.default_sample_type), ""),
        doc_url=next((one.doc_url for one in profiles if one.doc_url), ""),
        drop_frames=first.drop_frames,
        keep_frames=first.keep_frames,
    )


_Place = tuple[int, int, bool, tuple[tuple[int, int, int], ...]]
"""A location: distance from its mapping's start, the mapping, whether folded, its lines (function, line, column)."""


@dataclass(slots=True)
class _Tables:
    """The tables that several profiles share, each entry once, in the order of first use."""

    mappings: list[Mapped] = field(default_factory=list)
    _mapping_index: dict[tuple[int, int, str], int] = field(default_factory=dict)
    _functions: dict[tuple[str, str, str, int], int] = field(default_factory=dict)
    _places: dict[_Place, int] = field(default_factory=dict)
    _addresses: list[int] = field(default_factory=list)

    def add(self, columns: Columns) -> Columns:
        """The profile with its stacks in terms of these tables."""
        if not self.mappings and columns.mappings:
            self._mapping(columns.mappings[0])
        used, first = np.unique(columns.stack, return_index=True)
        number = np.full(len(columns.locations), -1, np.int32)
        for location in used[np.argsort(first)].tolist():
            number[location] = self._location(columns, location)
        return replace(columns, stack=number[columns.stack])

    def _mapping(self, mapping: Mapped) -> int:
        size = -(-(mapping.limit - mapping.start) // _PAGE)
        key = (size, mapping.offset, mapping.build_id or mapping.file)
        if key not in self._mapping_index:
            self._mapping_index[key] = len(self.mappings)
            self.mappings.append(mapping)
        return self._mapping_index[key]

    def _location(self, columns: Columns, location: int) -> int:
        places = columns.locations
        address, old = int(places.address[location]), int(places.mapping[location])
        mapping, distance = -1, address
        if old >= 0:
            mapping = self._mapping(columns.mappings[old])
            distance = address - columns.mappings[old].start
        lines = tuple(
            (self._function(columns.functions, int(places.function[at])), int(places.line[at]), int(places.column[at]))
            for at in range(int(places.line_start[location]), int(places.line_start[location + 1]))
        )
        key = (distance, mapping, bool(places.folded[location]), lines)
        if key not in self._places:
            self._places[key] = len(self._places)
            self._addresses.append((distance + (self.mappings[mapping].start if mapping >= 0 else 0)) % 2**64)
        return self._places[key]

    def _function(self, functions: Functions, index: int) -> int:
        if index < 0:
            return -1
        key = (
            functions.name[index],
            functions.system_name[index],
            functions.filename[index],
            int(functions.start_line[index]),
        )
        return self._functions.setdefault(key, len(self._functions))

    def locations(self) -> Locations:
        """All locations."""
        keys = list(self._places)
        lines = np.array([line for key in keys for line in key[3]], np.int64).reshape(-1, 3)
        return Locations(
            address=np.array(self._addresses, np.uint64),
            mapping=np.array([key[1] for key in keys], np.int32),
            folded=np.array([key[2] for key in keys], bool),
            line_start=bounds(np.array([len(key[3]) for key in keys], np.int64)),
            function=lines[:, 0].astype(np.int32),
            line=lines[:, 1].copy(),
            column=lines[:, 2].copy(),
        )

    def functions(self) -> Functions:
        """All functions."""
        keys = list(self._functions)
        return Functions(
            [key[0] for key in keys],
            [key[1] for key in keys],
            [key[2] for key in keys],
            np.array([key[3] for key in keys], np.int64),
        )


def _joined(parts: Sequence[Columns]) -> Columns:
    """Samples of equal stacks and labels as one, in the order of first occurrence; the zero ones left out."""
    index: dict[tuple[bytes, bytes], int] = {}
    strings: dict[str, int] = {}
    groups, labels = [], []
    for part in parts:
        texts = _renumbered(part.labels, strings)
        keys = zip(_slices(part.stack, part.stack_start), _slices(texts, _label_bounds(part)), strict=True)
        groups.append(np.array([index.setdefault(key, len(index)) for key in keys], np.int64))
        labels.append(texts)
    size, kinds = len(index), len(parts[0].values)
    values = np.zeros((kinds, size), np.int64)
    for part, group in zip(parts, groups, strict=True):
        for i in range(kinds):
            np.add.at(values[i], group, part.values[i])
    stacks = [np.frombuffer(stack, np.int32) for stack, _ in index]
    tables = [np.frombuffer(label, np.int64).reshape(-1, 4) for _, label in index]
    table = np.concatenate([np.zeros((0, 4), np.int64), *tables])
    joined = replace(
        parts[0],
        values=values,
        stack_start=bounds(np.array([len(stack) for stack in stacks], np.int64)),
        stack=np.concatenate([np.zeros(0, np.int32), *stacks]),
        labels=Labels(
            np.repeat(np.arange(size), [len(one) for one in tables]),
            table[:, 0].astype(np.int32),
            table[:, 1].astype(np.int32),
            table[:, 2].copy(),
            table[:, 3].astype(np.int32),
            list(strings),
        ),
    )
    return with_rows(joined, (values != 0).any(axis=0))


def _renumbered(labels: Labels, strings: dict[str, int]) -> Ints:
    """The labels as rows (key, text, number, unit) in terms of a common string table; each sample's ordered by key."""
    number = np.array([*(strings.setdefault(text, len(strings)) for text in labels.strings), -1], np.int64)
    table = np.stack([number[labels.key], number[labels.text], labels.number, number[labels.unit]], 1)
    order = np.lexsort((table[:, 0], labels.sample))
    ordered: Ints = np.ascontiguousarray(table[order])
    return ordered


def _label_bounds(columns: Columns) -> Ints:
    return bounds(np.bincount(columns.labels.sample, minlength=len(columns)))


def _slices(table: Ints | Indices, start: Ints) -> list[bytes]:
    """Each run as bytes, which compare and hash fast."""
    data = table.tobytes()
    width = table.itemsize * (table.shape[1] if table.ndim > 1 else 1)
    ends = (start * width).tolist()
    return [data[first:end] for first, end in pairwise(ends)]
