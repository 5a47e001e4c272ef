# SPDX-License-Identifier: Apache-2.0
"""Sizes and durations as people type them; the only place where the command line reads them."""

from __future__ import annotations

import re

import click

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmMgGtT]?)(i?)([bB]?)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)")
_STEPS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(text: str) -> int:
    """Bytes: ``512KiB``, ``64MiB``, ``1.5G``, ``4096``. ``kB`` and ``MB`` are powers of 1000, anything else of 1024.

    Raises ValueError with a message for people.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size; write 512KiB, 64MiB or a number of bytes")
    number, letter, binary, byte = match.groups()
    base = 1000 if letter and byte and not binary else 1024
    return round(float(number) * base ** _STEPS[letter.lower()]) if letter else round(float(number))


def parse_duration(text: str) -> float:
    """Seconds: ``500ms``, ``10s``, ``5m``, ``2h``, ``3d``. Raises ValueError with a message for people."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no duration; write 500ms, 10s, 5m or 2h")
    return float(match[1]) * _SECONDS[match[2]]


class Size(click.ParamType[int]):
    """A size on the command line, as a number of bytes."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            size = parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if size <= 0:
            self.fail(f"{value!r} is not above zero", param, ctx)
        return size


class Duration(click.ParamType[float]):
    """A duration on the command line, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            seconds = parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds <= 0:
            self.fail(f"{value!r} is not above zero", param, ctx)
        return seconds


class Rate(click.ParamType[float]):
    """A size over time on the command line (``1MiB/h``), in bytes per second."""

    name = "rate"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        size, slash, time = str(value).partition("/")
        try:
            seconds = parse_duration(time if time[:1].isdigit() else f"1{time}") if slash else 0.0
            rate = parse_size(size) / seconds if seconds else 0.0
        except ValueError:
            rate = 0.0
        if rate <= 0:
            self.fail(f"{value!r} is no rate; write 1MiB/h, 10KiB/s or 2GiB/7d", param, ctx)
        return rate
