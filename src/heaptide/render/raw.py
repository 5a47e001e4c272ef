# SPDX-License-Identifier: Apache-2.0
"""A profile as it is, as text: samples by the numbers of their locations, locations, mappings; as ``pprof -raw``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from heaptide.model.columns import Columns
from heaptide.render.harmless import harmless

_LABELS_INDENT = " " * 16
_LINE_INDENT = " " * 13
_DURATION_LETTERS = 4
"""pprof asks for four digits and gets four letters."""


def raw(columns: Columns) -> Iterator[str]:
    """The lines, without their ends."""
    for comment in columns.comments:
        yield harmless(f"Comment: {comment}")
    if columns.doc_url:
        yield harmless(f"Doc: {columns.doc_url}")
    if columns.period_type is not None:
        yield harmless(f"PeriodType: {columns.period_type.type} {columns.period_type.unit}")
    yield f"Period: {columns.period}"
    if columns.time_ns:
        yield f"Time: {_time(columns.time_ns)}"
    if columns.duration_ns:
        yield f"Duration: {_duration(columns.duration_ns)[:_DURATION_LETTERS]}"
    yield "Samples:"
    default = columns.default_sample_type
    kinds = columns.sample_types
    yield harmless(" ".join(f"{kind.type}/{kind.unit}{'[dflt]' if kind.type == default else ''}" for kind in kinds))
    yield from _samples(columns)
    yield "Locations"
    yield from _locations(columns)
    yield "Mappings"
    yield from _mappings(columns)


def _time(nanoseconds: int) -> str:
    """As Go writes a time: ``2026-11-22 21:30:11.5 +0000 UTC``."""
    moment = datetime.fromtimestamp(nanoseconds // 10**9).astimezone()
    fraction = f".{nanoseconds % 10**9:09d}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} {moment:%z %Z}"


def _duration(nanoseconds: int) -> str:
    """As Go writes a duration: ``1h2m3.5s``, ``1.5ms``."""
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if nanoseconds < size * 1000:
            return f"{nanoseconds / size:.9f}".rstrip("0").rstrip(".") + unit
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    text = f"{rest / 1e9:.9f}".rstrip("0").rstrip(".") + "s"
    if minutes:
        text = f"{minutes % 60}m{text}"
    return f"{minutes // 60}h{text}" if minutes >= 60 else text


def _samples(columns: Columns) -> Iterator[str]:
    labels = _labels(columns)
    start, stack = columns.stack_start.tolist(), (columns.stack + 1).tolist()
    for row, values in enumerate(columns.values.T.tolist()):
        numbers = " ".join(f"{value:10d}" for value in values)
        yield f" {numbers}: {''.join(f'{location} ' for location in stack[start[row] : start[row + 1]])}"
        yield from labels.get(row, ())


def _labels(columns: Columns) -> dict[int, list[str]]:
    """For each sample that has labels its lines: text, then numbers."""
    labels, strings = columns.labels, columns.labels.strings
    found: dict[int, tuple[dict[str, list[str]], dict[str, list[tuple[int, str]]]]] = {}
    for i in range(len(labels)):
        texts, numbers = found.setdefault(int(labels.sample[i]), ({}, {}))
        key = strings[labels.key[i]]
        if labels.text[i] >= 0:
            texts.setdefault(key, []).append(strings[labels.text[i]])
        else:
            unit = strings[labels.unit[i]] if labels.unit[i] >= 0 else ""
            numbers.setdefault(key, []).append((int(labels.number[i]), unit))
    return {row: _label_lines(texts, numbers) for row, (texts, numbers) in found.items()}


def _label_lines(texts: dict[str, list[str]], numbers: dict[str, list[tuple[int, str]]]) -> list[str]:
    written = sorted(f"{key}:[{' '.join(words)}]" for key, words in texts.items())
    counted = sorted(
        f"{key}:[{' '.join(f'{value} {unit}' if any(u for _, u in of_key) else str(value) for value, unit in of_key)}]"
        for key, of_key in numbers.items()
    )
    return [harmless(_LABELS_INDENT + " ".join(words)) for words in (written, counted) if words]


def _locations(columns: Columns) -> Iterator[str]:
    places, functions = columns.locations, columns.functions
    for row in range(len(places)):
        mapping = f"M={places.mapping[row] + 1} " if places.mapping[row] >= 0 else ""
        head = f"{row + 1:6d}: {int(places.address[row]):#x} {mapping}{'[F] ' if places.folded[row] else ''}"
        first, end = int(places.line_start[row]), int(places.line_start[row + 1])
        if first == end:
            yield head
        for at in range(first, end):
            function = int(places.function[at])
            text = "??"
            if function >= 0:
                name, system = functions.name[function], functions.system_name[function]
                where = f"{functions.filename[function]}:{places.line[at]}:{places.column[at]}"
                text = f"{name} {where} s={functions.start_line[function]}{'' if name == system else f'({system})'}"
            yield harmless(head + text)
            head = _LINE_INDENT


def _mappings(columns: Columns) -> Iterator[str]:
    for number, mapping in enumerate(columns.mappings, start=1):
        flags = (
            (mapping.has_functions, "[FN]"),
            (mapping.has_filenames, "[FL]"),
            (mapping.has_line_numbers, "[LN]"),
            (mapping.has_inline_frames, "[IN]"),
        )
        bits = "".join(text for on, text in flags if on)
        span = f"{mapping.start:#x}/{mapping.limit:#x}/{mapping.offset:#x}"
        yield harmless(f"{number}: {span} {mapping.file} {mapping.build_id} {bits}")
