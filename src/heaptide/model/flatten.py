# SPDX-License-Identifier: Apache-2.0
"""Any profile as columns: stacks of frames become stacks of locations in the memory of a process.

A frame knows its file and the address there. Where the file lay is told by the series' images; one that none tells of,
or that would cover another (a library loaded where one had been unloaded), is laid into free addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from heaptide.model.columns import Columns, Functions, Indices, Ints, Locations, Mapped, ValueType
from heaptide.model.heap_frames import DROP_FRAMES, KEEP_FRAMES
from heaptide.model.images import Image, Segment
from heaptide.model.profile import VALUES, Profile
from heaptide.model.tables import Frame

_PAGE = 4096
_ALL = (1 << 64) - 1
_FREE = 0x6000_0000_0000
"""Where images go that cannot lie where they lay; nothing of a Linux process is near."""
_UNITS = {"objects": "count"}


def columns_of(profile: Profile, images: Sequence[Image] = ()) -> Columns:
    """The columns of a profile: those it came with, or of a capture its stacks in full, inlined calls as lines.

    Values become whole numbers (objects of a sampled profile are fractions). What one profile knows and columns cannot
    hold, the error of its estimates, is told in a comment.
    """
    if profile.columns is not None:
        return profile.columns
    stack, start, groups = _locations(profile)
    places, functions, mappings = _Places(profile.stacks.frames, images).tables(groups)
    at = profile.at
    return Columns(
        sample_types=tuple(_value_type(name) for name in profile.values),
        values=_whole(profile),
        stack_start=start,
        stack=stack,
        locations=places,
        functions=functions,
        mappings=mappings,
        period_type=ValueType("space", "bytes"),
        period=1 if profile.mode == "exact" else 0,
        time_ns=at.realtime_ns if at else 0,
        duration_ns=int(at.offset_s * 1e9) if at else 0,
        comments=_comments(profile),
        default_sample_type="inuse_space" if "inuse_space" in profile.values else "",
        drop_frames=DROP_FRAMES,
        keep_frames=KEEP_FRAMES,
    )


def _value_type(name: str) -> ValueType:
    unit = VALUES.get(name, "count")
    return ValueType(name, _UNITS.get(unit, unit))


def _whole(profile: Profile) -> Ints:
    columns = [np.rint(column).astype(np.int64) for column in profile.values.values()]
    return np.array(columns, np.int64).reshape(len(columns), len(profile))


def _comments(profile: Profile) -> tuple[str, ...]:
    if profile.mode == "exact":
        return ()
    spaces = [name for name in profile.variance if name in profile.values]
    told = [f"{name} {profile.total(name):.0f} +- {profile.error(name):.0f} bytes" for name in spaces]
    return (f"heaptide: estimates from samples, 95 % interval: {', '.join(told)}",)


def _locations(profile: Profile) -> tuple[Indices, Ints, list[tuple[int, ...]]]:
    """Stacks of locations: flat, their bounds, and for each location its frames, innermost inlined call first.

    A location is a run of frames of which all but the last are inlined calls. Runs are numbered as a tree of prefixes:
    each step gives runs that are equal so far, and go on with the same frame, the same number.
    """
    frames, stacks = profile.stacks.frames, profile.stacks.stacks
    lengths = np.fromiter(map(len, stacks), np.int64, len(stacks))
    flat = np.fromiter(chain.from_iterable(stacks), np.int64, int(lengths.sum()))
    bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    last = ~np.fromiter((frame.inlined for frame in frames), np.bool_, len(frames))[flat]
    last[bounds[1:][lengths > 0] - 1] = True
    ends = np.flatnonzero(last) + 1
    begins = np.concatenate((np.zeros(1, np.int64), ends))[:-1]
    number = flat[begins]
    runs: list[tuple[int, ...]] = [(frame,) for frame in range(len(frames))]
    length = ends - begins
    for step in range(1, int(length.max(initial=1))):
        longer = np.flatnonzero(length > step)
        keys = number[longer] * len(frames) + flat[begins[longer] + step]
        distinct, inverse = np.unique(keys, return_inverse=True)
        number[longer] = inverse + len(runs)
        runs += [(*runs[key // len(frames)], key % len(frames)) for key in distinct.tolist()]
    used, stack = np.unique(number, return_inverse=True)
    above: Ints = np.concatenate((np.zeros(1, np.int64), np.cumsum(last, dtype=np.int64)))
    return stack.astype(np.int32), above[bounds], [runs[run] for run in used.tolist()]


@dataclass(slots=True)
class _Laid:
    """An image where it was laid: the mappings of its code (numbers) and their segments."""

    bias: int
    parts: list[tuple[int, Segment]]


class _Places:
    """Makes locations, functions and mappings of frames."""

    def __init__(self, frames: Sequence[Frame], images: Sequence[Image]) -> None:
        self._frames = frames
        self._mappings: list[Mapped] = []
        self._laid: dict[str, _Laid] = {}
        self._known = {image.path: image for image in reversed(images)}
        self._taken: list[tuple[int, int]] = []
        self._free = _FREE

    def tables(self, groups: Sequence[tuple[int, ...]]) -> tuple[Locations, Functions, tuple[Mapped, ...]]:
        """The tables, one location for each group of frames."""
        self._lay({self._frames[group[-1]] for group in groups})
        index: dict[tuple[str, str], int] = {}
        lines: list[tuple[int, int]] = []
        bounds = [0]
        where: list[tuple[int, int]] = []
        unresolved: dict[int, str] = {}
        for row, group in enumerate(groups):
            outer = self._frames[group[-1]]
            where.append(self._place(outer))
            if len(group) == 1 and outer.function is None:
                unresolved[row] = outer.unresolved or "no name is known"
            else:
                for frame in (self._frames[number] for number in group):
                    key = (frame.function or "", frame.file or "")
                    lines.append((index.setdefault(key, len(index)), frame.line or 0))
            bounds.append(len(lines))
        table = np.array(lines, np.int64).reshape(-1, 2)
        addresses = np.array([address for address, _ in where], np.uint64)
        mapping = np.array([number for _, number in where], np.int32)
        start = np.array(bounds, np.int64)
        places = Locations(
            address=addresses,
            mapping=mapping,
            folded=np.zeros(len(groups), np.bool_),
            line_start=start,
            function=table[:, 0].astype(np.int32),
            line=table[:, 1].copy(),
            column=np.zeros(len(table), np.int64),
            unresolved=unresolved,
        )
        names = [name for name, _ in index]
        files = [file for _, file in index]
        functions = Functions(names, names, files, np.zeros(len(names), np.int64))
        return places, functions, _described(self._mappings, places, files)

    def _place(self, frame: Frame) -> tuple[int, int]:
        """Address in the process and number of the mapping; 0 and -1 where there is none."""
        if frame.address is None:
            return 0, -1
        laid = self._laid.get(frame.module or "")
        if laid is None:
            return frame.address & _ALL, -1
        for number, part in laid.parts:
            if part.vaddr <= frame.address < part.vaddr + part.size:
                return frame.address + laid.bias & _ALL, number
        return frame.address + laid.bias & _ALL, laid.parts[0][0]

    def _lay(self, frames: set[Frame]) -> None:
        """Lays the images of all the frames, the program first."""
        spans: dict[str, tuple[int, int]] = {}
        for frame in frames:
            if frame.module is not None and frame.address is not None:
                low, high = spans.get(frame.module, (frame.address, frame.address))
                spans[frame.module] = (min(low, frame.address), max(high, frame.address))
        unknown = Image("", "", 0, False, ())
        for path in sorted(spans, key=lambda path: (not self._known.get(path, unknown).main, path)):
            self._lay_one(path, *spans[path])

    def _lay_one(self, path: str, low: int, high: int) -> None:
        image = self._known.get(path)
        code = [part for part in image.segments if part.executable and part.size] if image else []
        if not any(part.vaddr <= low and high < part.vaddr + part.size for part in code):
            floor = low // _PAGE * _PAGE  # no segment tells: the addresses that are used stand for the file's
            code = [*code, Segment(floor, floor, high + 1 - floor, True)]
        first = min(part.vaddr for part in code) // _PAGE * _PAGE
        end = max(part.vaddr + part.size for part in code) + _PAGE
        bias = image.bias if image else None
        if bias is None or any(a < end + bias and first + bias < b for a, b in self._taken):
            bias = self._free - first
            self._free += (end - first) // _PAGE * _PAGE + 16 * _PAGE
        self._taken.append((first + bias, end + bias))
        parts: list[tuple[int, Segment]] = []
        for part in code:
            parts.append((len(self._mappings), part))
            shift = part.vaddr % _PAGE
            limit = -(-(part.vaddr + part.size + bias) // _PAGE) * _PAGE
            build_id = image.build_id if image else ""
            self._mappings.append(Mapped(part.vaddr + bias - shift, limit, max(part.offset - shift, 0), path, build_id))
        self._laid[path] = _Laid(bias, parts)


def _described(mappings: Sequence[Mapped], places: Locations, files: Sequence[str]) -> tuple[Mapped, ...]:
    """The mappings with what is known of their locations."""
    per_location = np.diff(places.line_start)
    owner = np.repeat(places.mapping, per_location)
    has_file = np.array([bool(file) for file in files], np.bool_)[places.function]

    def of(flags: npt.NDArray[np.bool_], owners: Indices) -> set[int]:
        return set(np.unique(owners[flags]).tolist())

    named, lined = of(per_location > 0, places.mapping), of(places.line > 0, owner)
    filed, inlined = of(has_file, owner), of(per_location > 1, places.mapping)
    return tuple(
        Mapped(
            one.start,
            one.limit,
            one.offset,
            one.file,
            one.build_id,
            number in named,
            number in filed,
            number in lined,
            number in inlined,
        )
        for number, one in enumerate(mappings)
    )
