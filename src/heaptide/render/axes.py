# SPDX-License-Identifier: Apache-2.0
"""Where the ticks of an axis stand, and what is written at them: round sizes, and times of day with their offsets."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from heaptide.render import units

_PARTS = (1, 2, 5, 10, 20, 50, 128, 256, 512)
"""Steps within a unit. (Of 100 KiB the eleventh would be 1.07 MiB.)"""
_SECONDS = (1, 2, 5, 10, 15, 30)
_DAY = 86400
_STEPS = (
    *(factor * power for power in (0.001, 0.01, 0.1) for factor in (1, 2, 5)),
    *_SECONDS,
    *(60 * step for step in _SECONDS),
    *(3600 * step for step in (1, 2, 3, 6, 12)),
    *(_DAY * step for step in (1, 2, 5, 10, 20)),
)


def size_ticks(largest: float, most: int = 6) -> list[float]:
    """Round sizes from zero to the first one that is not under ``largest`` bytes; at most ``most`` above zero."""
    steps = (part * 1024**power for power in range(8) for part in _PARTS)
    step = next(step for step in steps if step * most >= largest)
    return [float(number * step) for number in range(max(math.ceil(largest / step), 1) + 1)]


def size_label(size: float) -> str:
    """A round size without the zeros that say nothing: ``20 MiB``, ``1.5 GiB``."""
    number, unit = units.size(size).split(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def time_ticks(started: datetime, first: float, last: float, most: int = 8) -> list[tuple[float, str]]:
    """Round times of day between two offsets (seconds), and what to write at them: the time, below it the offset.

    Args:
        started: what the clock showed at offset 0, in the zone that is to be shown.
    """
    length = max(last - first, 1e-3)
    step = next((step for step in _STEPS if step * most >= length), 20.0 * _DAY)
    midnight = datetime(started.year, started.month, started.day, tzinfo=started.tzinfo)
    begin = (started - midnight).total_seconds()
    number = math.ceil((begin + first) / step - 1e-9)
    ticks = []
    while (offset := number * step - begin) <= last + 1e-9:
        ticks.append((offset, f"{_clock(started + timedelta(seconds=offset), step)}\n{units.offset(offset)}"))
        number += 1
    return ticks


def _clock(time: datetime, step: float) -> str:
    if step >= _DAY or (step >= 60 and time.hour == time.minute == 0):
        return f"{time:%Y-%m-%d}"
    if step >= 60:
        return f"{time:%H:%M}"
    if step >= 1:
        return f"{time + timedelta(milliseconds=500):%H:%M:%S}"
    digits = 1 if step >= 0.1 else 3
    return f"{time:%H:%M:%S}.{time.microsecond // 1000:03}"[: 9 + digits]
