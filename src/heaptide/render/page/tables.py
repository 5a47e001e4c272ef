# SPDX-License-Identifier: Apache-2.0
"""The columns of the document: frames, trees of stacks, and what became of each stack."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from heaptide.analysis.page_stacks import FOLDED as FOLDED_FRAME
from heaptide.analysis.page_stacks import PageStacks
from heaptide.model import Frame, Role
from heaptide.model.changes import COUNTERS, Changes
from heaptide.render.page import varint
from heaptide.render.page.document import Section, section
from heaptide.render.page.texts import Strings

Ints = npt.NDArray[np.int64]

FOLDED = 0xFFFFFFFF
"""The frame of nodes that stand for small call paths."""
_ROLES: Mapping[Role, int] = {"user": 0, "allocator": 1, "runtime": 2, "container": 3, "agent": 4}
_ADDRESS = re.compile(r"\b0x[0-9a-f]+\b")
_LABELS = {"heap": "blocks", "mmap": "mappings"}
_CELLS = 1 << 22
"""So many numbers are encoded at once."""


class Frames:
    """The frames that are used, each once, and the texts that they need."""

    def __init__(self) -> None:
        self.strings = Strings()
        self.modules = Strings()
        self._frames: list[Frame] = []
        self._index: dict[Frame, int] = {}

    def numbers(self, frames: Sequence[Frame], used: Ints) -> Ints:
        """For the frames at the places `used` their numbers here. No place (-1) is 0."""
        of_place = np.zeros(len(frames) + 1, np.int64)
        for place in dict.fromkeys(used.tolist()):  # in the order of the tree, so that numbers rise along it
            if place >= 0:
                of_place[place] = FOLDED if frames[place] is FOLDED_FRAME else self._number(frames[place])
        return of_place[used]

    def _number(self, frame: Frame) -> int:
        number = self._index.get(frame)
        if number is None:
            number = self._index[frame] = len(self._frames)
            self._frames.append(frame)
        return number

    def sections(self) -> dict[str, Section]:
        """The columns; those of text hold places in `strings` and `modules` plus 1."""
        frames, strings = self._frames, self.strings
        columns = {
            "function": [strings.number(frame.function) for frame in frames],
            "file": [strings.number(frame.file) for frame in frames],
            "module": [self.modules.number(frame.module) for frame in frames],
            "reason": [strings.number(_reason(frame)) for frame in frames],
            "line": [min(max(frame.line or 0, 0), 0xFFFFFFFF) for frame in frames],
        }
        flags = [int(frame.inlined) | _ROLES[frame.role] << 1 for frame in frames]
        addresses = [-1.0 if frame.address is None else float(frame.address) for frame in frames]
        found = {f"frame.{name}": section("u32", np.array(column, np.int64)) for name, column in columns.items()}
        found["frame.flags"] = section("u8", np.array(flags, np.int64))
        found["frame.address"] = section("f64", np.array(addresses, np.float64))
        return found


def _reason(frame: Frame) -> str | None:
    """Why a frame is not known. Its address stands beside it: without it the reason is that of many frames."""
    if frame.unresolved is None or frame.address is None:
        return frame.unresolved
    return _ADDRESS.sub("the address", frame.unresolved)


def dataset_sections(found: PageStacks, frames: Frames) -> dict[str, Section]:
    """The columns of blocks or of mappings."""
    tree = found.tree
    columns = {
        "node.parent": section("varint", np.arange(len(tree.parent)) - tree.parent),
        "node.frame": section("u32", frames.numbers(found.frames, tree.frame)),
        "stack.leaf": section("u32", found.leaf),
        "stack.site": section("u32", found.site),
        **{name: _changes(found.changes, name) for name in COUNTERS},
    }
    return {f"{found.kind}.{name}": column for name, column in columns.items()}


def dataset_header(found: PageStacks) -> dict[str, object]:
    """What the header says of it."""
    return {
        "kind": found.kind,
        "label": _LABELS[found.kind],
        "stacks": len(found.paths),
        "folded": found.folded,
        "nodes": len(found.tree.parent),
        "scale": found.changes.object_scale,
        "values": list(found.values),
    }


def _changes(changes: Changes, name: str) -> Section:
    """Moment by moment, stack by stack; a few moments at a time, for most of it is zeros."""
    step = max(1, _CELLS // max(changes.stacks, 1))
    parts = [
        varint.encode(changes.matrix(name, begin, min(begin + step, changes.moments)).reshape(-1))
        for begin in range(0, changes.moments, step)
    ]
    return Section("varint", changes.moments * changes.stacks, b"".join(parts))
