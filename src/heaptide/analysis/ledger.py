# SPDX-License-Identifier: Apache-2.0
"""The ledger: the process's resident memory as named parts that add up (docs/design/0008-the-ledger.md).

The recorder says whose the resident pages are (`part_*` of `Snapshot.memory`), the counters say what is in use, and the
sampled blocks say how much of that is not resident and what the allocator rounds up. What its mappings hold beyond that
is memory that the allocator keeps: free blocks, caches, its own books.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from heaptide._errors import NothingToShow
from heaptide.analysis.places import Place, place_of
from heaptide.analysis.site import site_of
from heaptide.model import Profile, Series, Snapshot
from heaptide.model.profile import Z95

Name = Literal[
    "in_use", "rounding", "allocator_free", "mapped", "stacks", "code", "files", "shared", "heaptide", "other"
]
Cause = Literal["nothing", "in_use", "allocator_free", "mapped", "elsewhere", "several"]

_WHOLE: Mapping[Name, str] = {
    "stacks": "part_stacks",
    "code": "part_code",
    "files": "part_files",
    "shared": "part_shared",
    "heaptide": "part_agent",
    "other": "part_other",
}
"""Parts that are a figure of the recorder's as it stands."""
_ORDER: tuple[Name, ...] = ("in_use", "rounding", "allocator_free", "mapped", *_WHOLE)
_LEAST_GROWTH = 1 << 20
_LEAST_SHARE = 0.03  # of resident memory: growth below it and below _LEAST_GROWTH is none
_FALL_FRACTION = 0.25  # of resident memory, given back within _FALL_SECONDS, or this share of the run: a final fall
_FALL_SECONDS = 1.0
_FALL_SHARE = 0.05
_MOST_OF_IT = 0.6  # of the growth: then it has one cause


@dataclass(frozen=True, slots=True)
class Share:
    """What one function holds of a part. No place: no frame of the user's own, or too small."""

    place: Place | None
    bytes: float


@dataclass(frozen=True, slots=True)
class Part:
    """One line of the ledger: resident bytes, never below zero, and the half-width of their 95 % interval."""

    name: Name
    bytes: float
    error_bytes: float
    sites: tuple[Share, ...] = ()
    """Largest first; for `in_use` and `mapped`."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What resident memory did since the middle of the time, and which part did it."""

    since: Snapshot
    rss_bytes: float
    changes: Mapping[Name, float]
    cause: Cause


@dataclass(frozen=True, slots=True)
class Ledger:
    """Resident memory at the last reading up to a moment: `rss_bytes` = the sum of `parts` + `remainder_bytes`."""

    read: Snapshot
    """The snapshot beside which the pages were read."""
    rss_bytes: float
    parts: tuple[Part, ...]
    remainder_bytes: float
    """What no part explains; below zero where the parts claim more than there is."""
    absent_bytes: float
    """Outside the sum: in use and not resident (never touched, or swapped out)."""
    absent_error_bytes: float
    absent_known: bool
    """False where no sampled block told; then `absent_bytes` and rounding are 0 and the allocator's part holds both."""
    swapped_bytes: float
    growth: Growth | None
    """None when there is no earlier reading."""

    def part(self, name: Name) -> Part:
        """The part of that name; every ledger has all of them."""
        return next(part for part in self.parts if part.name == name)


def ledger(series: Series, at: str | int | Snapshot = "end") -> Ledger:
    """The ledger at a moment.

    Raises:
        UsageError: as `Series.moment`.
        NothingToShow: the recording has no reading of pages up to that moment.
    """
    moment = series.moment(at)
    read = _reading(series, moment, before_fall=at == "end" and not series.live)
    amounts = _amounts(read, series.mode)
    blocks = series.at(read)
    mapped = series.mappings.at(read.number) if series.mappings is not None else None
    errors = _errors(read, blocks)
    parts = tuple(
        Part(name, amounts[name], errors.get(name, 0.0), _sites(name, read, blocks, mapped)) for name in _ORDER
    )
    rss = _rss(read)
    return Ledger(
        read=read,
        rss_bytes=rss,
        parts=parts,
        remainder_bytes=rss - sum(part.bytes for part in parts),
        absent_bytes=_absent(read, series.mode),
        absent_error_bytes=Z95 * _scale(read, series.mode) * read.memory.get("absent_error", 0),
        absent_known="sampled_bytes" in read.memory,
        swapped_bytes=float(read.memory.get("part_swapped", 0)),
        growth=_growth(series, read),
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """One moment of the ledger over time: resident bytes and what they were, by part."""

    snapshot: Snapshot
    rss_bytes: float
    parts: Mapping[Name, float]


def timeline(series: Series) -> list[Reading]:
    """Every reading of a recording, without errors and sites: no symbol is looked up."""
    return [
        Reading(snapshot, _rss(snapshot), _amounts(snapshot, series.mode))
        for snapshot in series.snapshots
        if _is_reading(snapshot)
    ]


def _is_reading(snapshot: Snapshot) -> bool:
    return "part_heap" in snapshot.memory


def _reading(series: Series, moment: Snapshot, *, before_fall: bool) -> Snapshot:
    """The last reading up to a moment. One taken while the program shut down shows what was freed meanwhile as well.

    `before_fall`: of a program that gives memory back to the system before its end, the last before it does.
    """
    found = [shot for shot in series.snapshots if shot.number <= moment.number and _is_reading(shot)]
    if not found:
        raise NothingToShow(
            f"{series.path} has no reading of the program's pages up to #{moment.number}",
            hint="they are made beside snapshots, from Linux only, of programs that the recorder may look at",
        )
    running = [shot for shot in found if shot.kind not in ("shutdown", "exit")] or found[-1:]
    last = running[-1]
    if not before_fall:
        return last
    since = last.offset_s - max(_FALL_SECONDS, _FALL_SHARE * last.offset_s)
    most = max((shot for shot in running if shot.offset_s >= since), key=_rss)
    return most if _rss(last) < (1 - _FALL_FRACTION) * _rss(most) else last


def _rss(snapshot: Snapshot) -> float:
    """Counted by the kernel page by page where that was read too; else its running count, off by some pages a CPU."""
    return float(snapshot.memory.get("rollup_rss", snapshot.memory["part_rss"]))


def _scale(snapshot: Snapshot, mode: str) -> float:
    """In sampled mode the samples and the counters estimate one thing, a moment apart: they are made to agree."""
    stands_for = snapshot.memory.get("sampled_bytes", 0)
    return snapshot.in_use_bytes / stands_for if stands_for and mode == "sampled" else 1.0


def _absent(snapshot: Snapshot, mode: str) -> float:
    absent = sum(snapshot.memory_by_stack.get("absent", {}).values())
    return min(_scale(snapshot, mode) * absent, float(snapshot.in_use_bytes))


def _amounts(snapshot: Snapshot, mode: str) -> dict[Name, float]:
    """Bytes by part. Where blocks claim more than their mappings hold, the mappings are believed."""
    memory = snapshot.memory
    heap = float(memory["part_heap"])
    in_use = min(snapshot.in_use_bytes - _absent(snapshot, mode), heap)
    rounding = min(_scale(snapshot, mode) * memory.get("rounding", 0), heap - in_use)
    amounts: dict[Name, float] = {
        "in_use": in_use,
        "rounding": rounding,
        "allocator_free": heap - in_use - rounding,
        "mapped": float(sum(snapshot.memory_by_stack.get("part_mapped", {}).values())),
    }
    return amounts | {name: float(memory.get(key, 0)) for name, key in _WHOLE.items()}


def _errors(read: Snapshot, blocks: Profile) -> dict[Name, float]:
    """95 % half-widths. In exact mode only what the samples say has one."""
    memory, scale = read.memory, _scale(read, blocks.mode)
    counted = blocks.error("inuse_space")
    absent, rounding, held = (Z95 * scale * memory.get(f"{name}_error", 0) for name in ("absent", "rounding", "held"))
    return {
        "in_use": math.hypot(counted, absent),
        "rounding": rounding,
        "allocator_free": held if "held_error" in memory else counted,
    }


# ---- Sites ------------------------------------------------------------------------------------------------------


def _sites(name: Name, read: Snapshot, blocks: Profile, mapped: Profile | None) -> tuple[Share, ...]:
    if name == "in_use":
        absent, scale = read.memory_by_stack.get("absent", {}), _scale(read, blocks.mode)
        sizes = zip(_ids(blocks), blocks.column("inuse_space").tolist(), strict=True)
        return _by_site(blocks, {stack: max(size - scale * absent.get(stack, 0), 0.0) for stack, size in sizes})
    if name == "mapped" and mapped is not None:
        return _by_site(mapped, read.memory_by_stack.get("part_mapped", {}))
    return ()


def _by_site(profile: Profile, sizes: Mapping[int, float]) -> tuple[Share, ...]:
    """Bytes by stack id as bytes by the function that is each stack's site; largest first."""
    rows = {stack: row for row, stack in enumerate(_ids(profile))}
    shares: dict[Place | None, float] = {}
    for stack, size in sizes.items():
        frame = site_of(profile.frames_of(rows[stack])) if stack in rows else None
        place = None if frame is None else place_of(frame, "function")
        shares[place] = shares.get(place, 0.0) + size
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return tuple(Share(place, size) for place, size in ordered if size > 0)


def _ids(profile: Profile) -> list[int]:
    return [] if profile.ids is None else [int(stack) for stack in profile.ids]


# ---- Growth -----------------------------------------------------------------------------------------------------


def _growth(series: Series, read: Snapshot) -> Growth | None:
    """Against the first reading in the last half of the time up to `read`; of two readings, the first."""
    earlier = [shot for shot in series.snapshots if shot.number < read.number and _is_reading(shot)]
    if not earlier:
        return None
    late = [shot for shot in earlier if shot.offset_s >= read.offset_s / 2]
    since = late[0] if late else earlier[-1]
    before, now = _amounts(since, series.mode), _amounts(read, series.mode)
    changes = {name: now[name] - before[name] for name in _ORDER}
    grown = _rss(read) - _rss(since)
    return Growth(since, grown, changes, _cause(grown, _rss(since), changes))


def _cause(grown: float, rss: float, changes: Mapping[Name, float]) -> Cause:
    if grown < max(_LEAST_GROWTH, _LEAST_SHARE * rss):
        return "nothing"
    blocks = changes["in_use"] + changes["rounding"]
    groups: dict[Cause, float] = {
        "in_use": blocks,
        "allocator_free": changes["allocator_free"],
        "mapped": changes["mapped"],
        "elsewhere": sum(changes[name] for name in _WHOLE),
    }
    cause = max(groups, key=lambda name: groups[name])
    return cause if groups[cause] >= _MOST_OF_IT * grown else "several"
