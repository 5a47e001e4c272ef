# SPDX-License-Identifier: Apache-2.0
"""Rates, probabilities and small curves as text: `units` for things that change."""

from __future__ import annotations

from collections.abc import Sequence

from heaptide.render.units import size, size_range

_BARS = "▁▂▃▄▅▆▇█"


def rate(per_second: float, *, signed: bool = False) -> str:
    """Bytes over time: ``13.5 GiB/h``, ``2.10 MiB/h``; per day where an hour's are under a KiB."""
    hourly = per_second * 3600
    if hourly and abs(hourly) < 1024:
        return f"{size(hourly * 24, signed=signed)}/day"
    return f"{size(hourly, signed=signed)}/h"


def rate_range(low: float, high: float) -> str:
    """A rate's interval: ``12.9..14.1 GiB/h``; per day where both ends are under a KiB an hour."""
    hourly = low * 3600, high * 3600
    if any(hourly) and max(abs(bound) for bound in hourly) < 1024:
        return f"{size_range(hourly[0] * 24, hourly[1] * 24)}/day"
    return f"{size_range(*hourly)}/h"


def sureness(probability: float) -> str:
    """``97 % sure``; never a hundred per cent, which no statistic gives."""
    percent = int(100 * min(max(probability, 0.0), 0.99))  # rounded down: 99.5 is not all
    return f"{percent} % sure" if percent else "under 1 % sure"


def spark(values: Sequence[float]) -> str:
    """A line of bars, from zero to the largest value."""
    top = max(values, default=0.0)
    if top <= 0:
        return _BARS[0] * len(values)
    return "".join(_BARS[min(len(_BARS) - 1, int(max(value, 0.0) / top * len(_BARS)))] for value in values)
