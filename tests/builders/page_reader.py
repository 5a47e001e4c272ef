# SPDX-License-Identifier: Apache-2.0
"""Reads a page's document and adds up ranges as the page does, in the simplest way, to hold it against `top`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from heaptide.analysis.places import Granularity, Place, place_of
from heaptide.analysis.site import not_users
from heaptide.analysis.top import top
from heaptide.model import Frame, Profile, Role, Series
from heaptide.render.page.document import unpack
from heaptide.render.page.tables import FOLDED

ROLES: tuple[Role, ...] = ("user", "allocator", "runtime", "container", "agent")
Key = tuple[object, ...]
Table = dict[Key, tuple[float, float]]
"""Flat and cumulative by place."""


class Page:
    """A document, unpacked."""

    def __init__(self, data: bytes) -> None:
        self.header, self.columns = unpack(data)
        self.moments: Mapping[str, list[Any]] = self.header["moments"]
        self.frames = [self._frame(number) for number in range(len(self.columns["frame.function"]))]

    def _frame(self, number: int) -> Frame:
        def text(name: str, table: str = "strings") -> str | None:
            index = int(self.columns[f"frame.{name}"][number])
            return self.header[table][index - 1] if index else None

        address, flags = self.columns["frame.address"][number], int(self.columns["frame.flags"][number])
        return Frame(
            text("function"),
            text("file"),
            int(self.columns["frame.line"][number]) or None,
            text("module", "modules"),
            None if address < 0 else int(address),  # type: ignore[arg-type]
            inlined=bool(flags & 1),
            unresolved=text("reason"),
            role=ROLES[flags >> 1],
        )

    def index(self, number: int) -> int:
        """Where the snapshot of a number stands among the moments."""
        return self.moments["number"].index(number)

    def values(self, kind: str, value: str, a: int, b: int) -> np.ndarray:
        """By stack, over the range (a, b] of moments; a = -1 is before the first."""
        info = next(one for one in self.header["datasets"] if one["kind"] == kind)
        changes = self.columns[f"{kind}.{value}"].reshape(len(self.moments["number"]), info["stacks"])
        total: np.ndarray = changes[a + 1 : b + 1].sum(axis=0)
        return total / info["scale"] if value.endswith("objects") else total

    def path(self, kind: str, node: int) -> list[Frame | None]:
        """The frames from a node up to the root; None is what stands for folded call paths."""
        parent = np.arange(len(self.columns[f"{kind}.node.parent"])) - self.columns[f"{kind}.node.parent"]
        frames = self.columns[f"{kind}.node.frame"]
        out = []
        while node:
            out.append(None if frames[node] == FOLDED else self.frames[frames[node]])
            node = int(parent[node])
        return out

    def table(self, kind: str, value: str, a: int, b: int, by: Granularity) -> Table:
        """As `heaptide top` adds up; places with no change are left out."""
        found: dict[Key, list[float]] = {}
        sites = self.columns[f"{kind}.stack.site"].tolist()
        for size, site in zip(self.values(kind, value, a, b).tolist(), sites, strict=True):
            if size:
                keys = [key_of(frame, by) for frame in self.path(kind, site)]
                found.setdefault(keys[0], [0, 0])[0] += size
                for key in dict.fromkeys(keys):
                    found.setdefault(key, [0, 0])[1] += size
        return {key: (flat, cum) for key, (flat, cum) in found.items() if flat or cum}


def key_of(frame: Frame | None, by: Granularity) -> Key:
    """A place, its reason without an address in it."""
    return ("folded",) if frame is None else key(place_of(frame, by))


def key(place: Place) -> Key:
    reason = place.unresolved
    plain = replace(place, unresolved=reason and re.sub(r"\b0x[0-9a-f]+\b", "the address", reason))
    return (plain.function, plain.file, plain.line, plain.module, plain.address, plain.unresolved)


def profile_of(series: Series, base: int | None, at: int) -> Profile:
    """What `top --at '#at' --base '#base'` shows."""
    profile = series.at(at)
    return profile if base is None else profile - series.at(base)


def top_table(profile: Profile, value: str, by: Granularity) -> Table:
    """The rows of `heaptide top`. Changes that cancel out are a row of zeros there if they are of two stacks with the
    same frames; a page has those two as one."""
    rows = top(profile, value=value, by=by, skip=not_users).rows
    return {key(row.place): (row.flat, row.cum) for row in rows if row.flat or row.cum}
