# SPDX-License-Identifier: Apache-2.0
"""How long until memory runs out: the limit of the process's control group, else what the machine has."""

from __future__ import annotations

from dataclasses import dataclass

from heaptide.analysis.growth.stretch import Stretch

_UNLIMITED = 1 << 60
"""The kernel writes "max", or a number near 2^63 rounded to pages."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, and what was used of it at the end of the stretch, bytes."""

    bytes: int
    used: int


def limit_of(stretch: Stretch) -> Limit | None:
    """The tightest limit that the recording names; None where it names none."""
    for snapshot in reversed(stretch.snapshots):
        memory = snapshot.memory
        group = memory.get("cgroup_max")
        if group is not None and 0 < group < _UNLIMITED:
            return Limit(group, memory.get("cgroup_current", memory.get("statm_resident", snapshot.in_use_bytes)))
    return None


def seconds_to(limit: Limit | None, rate: float) -> float | None:
    """Seconds until the limit at `rate` bytes per second; None without a limit, or where nothing grows."""
    if limit is None or rate <= 0:
        return None
    return max(limit.bytes - limit.used, 0) / rate
