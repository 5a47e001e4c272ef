# SPDX-License-Identifier: Apache-2.0
"""A moment of a recording, without its stacks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

SnapshotKind = Literal["start", "time", "growth", "signal", "shutdown", "exit", "file"]
"""Why it was taken; `file` is a profile that a foreign file holds."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """When it was taken and the totals at that moment. `Series.at` turns it into a `Profile`."""

    number: int
    """As the capture numbers it, from 1. `#12` on the command line is this number."""
    kind: SnapshotKind
    realtime_ns: int
    """Wall clock, nanoseconds since 1970 (UTC)."""
    offset_s: float
    """Seconds since recording began, by the clock that neither jumps nor stands still in suspend."""
    in_use_bytes: int
    """Live bytes over all stacks (an estimate in sampled mode)."""
    allocated_bytes: int = 0
    """Bytes ever allocated up to here, over all stacks."""
    memory: Mapping[str, int] = field(default_factory=dict)
    """The process's own figures by name (`statm_resident`, `rss_anon`, `cgroup_current` ...): bytes, but for counts
    (`threads`, `cgroup_oom_kill`). Figures that were not read at this moment are absent."""
    memory_by_stack: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Figures of which there is one for each stack (`part_mapped`, `absent`), bytes by stack id; id 0 is the rest."""
    remarks: tuple[str, ...] = ()
    """What is to be known about this cut: `late`, `killed`, `gap` (see format.h), `damaged`."""
