# SPDX-License-Identifier: Apache-2.0
"""How long until memory runs out: under the limit of the process's control group, or in the machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from heaptide.analysis.growth.stretch import Stretch

Whose = Literal["cgroup", "machine"]

_UNLIMITED = 1 << 60
"""The kernel writes "max", or a number near 2^63 rounded to pages."""

_FAR_S = 10 * 365 * 86400.0
"""Ten years: what is further off is told by nobody's rate."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, and what was used of it, by all its processes, at the end of the stretch; bytes."""

    whose: Whose
    bytes: int
    used: int

    @property
    def room(self) -> int:
        """Bytes that are left."""
        return max(self.bytes - self.used, 0)


def limit_of(stretch: Stretch) -> Limit | None:
    """Of the control group's limit and the machine's memory the one with less room; None where neither is known.

    What the machine can free without swapping counts as free (MemAvailable); swap space is not counted.
    """
    found: dict[Whose, Limit] = {}
    for snapshot in reversed(stretch.snapshots):
        for limit in _limits(snapshot.memory):
            found.setdefault(limit.whose, limit)
        if len(found) == 2:
            break
    return min(found.values(), key=lambda limit: limit.room, default=None)


def _limits(memory: Mapping[str, int]) -> Iterator[Limit]:
    group, machine = memory.get("cgroup_max", 0), memory.get("machine_total", 0)
    used = memory.get("cgroup_current")
    if 0 < group < _UNLIMITED and used is not None:
        yield Limit("cgroup", group, used)
    available = memory.get("machine_available")
    if machine > 0 and available is not None:
        yield Limit("machine", machine, machine - available)


def seconds_to(limit: Limit | None, rate: float) -> float | None:
    """Seconds until the limit at `rate` bytes per second; None without a limit, or where it is over ten years away."""
    if limit is None or rate <= 0 or limit.room > rate * _FAR_S:
        return None
    return limit.room / rate
