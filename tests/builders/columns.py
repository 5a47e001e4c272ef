# SPDX-License-Identifier: Apache-2.0
"""Profiles as columns, at random (hypothesis) and in a form in which two can be compared."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from heaptide.model.columns import Columns, Functions, Labels, Locations, Mapped, ValueType

_INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
_UINT64 = st.integers(0, (1 << 64) - 1)
_TEXT = st.one_of(st.text(max_size=8), st.sampled_from(["\udcff", "main", "a;b", "a b", "std::vector<int, A<B> >"]))
_COUNT = st.integers(0, 5)


@st.composite
def columns(draw: st.DrawFn) -> Columns:
    """Any profile that profile.proto can hold, small."""
    kinds, samples, places, functions, mappings = (
        draw(st.integers(1, 3)),
        draw(_COUNT),
        draw(_COUNT),
        draw(_COUNT),
        draw(_COUNT),
    )
    start, stack = _lists(draw, samples, places)
    line_start, function = _lists(draw, places, functions + 1)
    lines = len(function)
    return Columns(
        sample_types=tuple(ValueType(draw(_TEXT), draw(_TEXT)) for _ in range(kinds)),
        values=_array(draw, _INT64, kinds * samples).reshape(kinds, samples),
        stack_start=start,
        stack=stack.astype(np.int32),
        locations=Locations(
            address=_array(draw, _UINT64, places, np.uint64),
            mapping=_array(draw, st.integers(-1, mappings - 1), places, np.int32),
            folded=_array(draw, st.booleans(), places, np.bool_),
            line_start=line_start,
            function=(function - 1).astype(np.int32),
            line=_array(draw, _INT64, lines),
            column=_array(draw, _INT64, lines),
        ),
        functions=Functions(
            *(draw(st.lists(_TEXT, min_size=functions, max_size=functions)) for _ in range(3)),
            _array(draw, _INT64, functions),
        ),
        mappings=tuple(draw(_MAPPED) for _ in range(mappings)),
        labels=_labels(draw, samples),
        period_type=draw(st.none() | st.builds(ValueType, _TEXT, _TEXT)),
        period=draw(_INT64),
        time_ns=draw(_INT64),
        duration_ns=draw(_INT64),
        comments=tuple(draw(st.lists(_TEXT, max_size=2))),
        default_sample_type=draw(_TEXT),
        doc_url=draw(_TEXT),
        drop_frames=draw(_TEXT),
        keep_frames=draw(_TEXT),
    )


_MAPPED = st.builds(
    Mapped, _UINT64, _UINT64, _UINT64, _TEXT, _TEXT, st.booleans(), st.booleans(), st.booleans(), st.booleans()
)


def _array(draw: st.DrawFn, values: st.SearchStrategy[Any], count: int, dtype: Any = np.int64) -> Any:
    return np.array([draw(values) for _ in range(count)], dtype)


def _lists(draw: st.DrawFn, count: int, below: int) -> tuple[Any, Any]:
    """Bounds and flat content of ``count`` lists of numbers under ``below``."""
    items = st.lists(st.integers(0, below - 1), max_size=4) if below else st.just([])
    lists = [draw(items) for _ in range(count)]
    start = np.cumsum([0, *map(len, lists)]).astype(np.int64)
    return start, np.array([item for one in lists for item in one], np.int64)


def _labels(draw: st.DrawFn, samples: int) -> Labels:
    if not samples:
        return Labels(*_no_labels(), ())
    strings = draw(st.lists(_TEXT, min_size=1, max_size=4))
    index = st.integers(0, len(strings) - 1)
    filled = st.sampled_from([n for n, text in enumerate(strings) if text] or [-1])
    rows = []
    for sample in sorted(draw(st.lists(st.integers(0, samples - 1), max_size=4))):
        text = draw(st.just(-1) | filled)
        unit = draw(st.just(-1) | filled) if text < 0 else -1
        rows.append((sample, draw(index), text, draw(_INT64) if text < 0 else 0, unit))
    table = np.array(rows, np.int64).reshape(-1, 5)
    key, text, unit = (table[:, column].astype(np.int32) for column in (1, 2, 4))
    return Labels(table[:, 0], key, text, table[:, 3], unit, strings)


def _no_labels() -> tuple[Any, ...]:
    none, small = np.zeros(0, np.int64), np.zeros(0, np.int32)
    return none, small, small, none, small


def said(profile: Columns) -> dict[str, Any]:
    """Everything a profile says, in plain values: two that say the same are equal."""
    labels = profile.labels
    strings = labels.strings
    text = [strings[number] if number >= 0 else None for number in labels.text.tolist()]
    unit = [strings[number] if number >= 0 else None for number in labels.unit.tolist()]
    key = [strings[number] for number in labels.key.tolist()]
    return {
        "types": profile.sample_types,
        "values": profile.values.tolist(),
        "stacks": (profile.stack_start.tolist(), profile.stack.tolist()),
        "labels": list(zip(labels.sample.tolist(), key, text, labels.number.tolist(), unit, strict=True)),
        "locations": [getattr(profile.locations, name).tolist() for name in _PLACE],
        "functions": [list(getattr(profile.functions, name)) for name in ("name", "system_name", "filename")],
        "start_lines": profile.functions.start_line.tolist(),
        "rest": [getattr(profile, name) for name in _REST],
    }


_PLACE = ("address", "mapping", "folded", "line_start", "function", "line", "column")
_REST = (
    "mappings",
    "period_type",
    "period",
    "time_ns",
    "duration_ns",
    "comments",
    "default_sample_type",
    "doc_url",
    "drop_frames",
    "keep_frames",
)
