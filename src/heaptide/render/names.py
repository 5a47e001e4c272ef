# SPDX-License-Identifier: Apache-2.0
"""How places and frames are named in reports: by function and source line, else by module and offset.

Names come out of files that anybody may have made. What leaves this module holds no character that a terminal would
obey and no line break: see `heaptide.render.harmless`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from heaptide.analysis.places import Place
from heaptide.analysis.top import Row
from heaptide.model import Frame
from heaptide.render import units
from heaptide.render.harmless import harmless


def base_name(path: str) -> str:
    """The last part of a path."""
    return harmless(posixpath.basename(path) or path)


def code_name(module: str | None, address: int | None) -> str:
    """Code without a name: ``libjq.so.1.0.4+0x1234``, ``0x7f47a4bab11d`` where no module is known."""
    if module is None:
        return "?" if address is None else units.address(address)
    return f"[{base_name(module)}]" if address is None else f"{base_name(module)}+{address:#x}"


def where(file: str | None, line: int | None, *, full: bool = False) -> str:
    """``server.c:73``; the path in full when asked; nothing when the file is not known."""
    if file is None:
        return ""
    name = harmless(file) if full else base_name(file)
    return f"{name}:{line}" if line is not None else name


def place_name(place: Place) -> str:
    """A place in full, on one line."""
    if place.function is None and place.file is None:
        if place.module is not None and place.address is None:
            return harmless(place.module) if place.unresolved is None else code_name(place.module, None)
        if place.module is None and place.address is None:
            return harmless(f"({place.unresolved or 'unknown'})")
        return code_name(place.module, place.address)
    parts = [harmless(place.function or ""), where(place.file, place.line, full=True)]
    if place.address is not None:
        parts.insert(0, f"{place.address:016x}")
    return " ".join(part for part in parts if part)


def row_name(row: Row) -> tuple[str, str]:
    """A table row's name, and its place in the source where the name does not hold it already."""
    place = row.place
    if place.function is None or place.line is not None or place.address is not None:
        return place_name(place), ""
    source = where(row.file, row.line)
    others = f" and {row.lines - 1} more" if row.lines > 1 else ""
    return harmless(place.function), source + others


def frame_name(frame: Frame) -> tuple[str, str]:
    """A frame's name, and where it is: the source line, else the module and the reason why the line is not known."""
    if frame.function is None:
        return code_name(frame.module, frame.address), harmless(f"({frame.unresolved})") if frame.unresolved else ""
    source = where(frame.file, frame.line, full=True)
    if not source:
        source = f"{base_name(frame.module)}" if frame.module else ""
        if frame.unresolved:
            source += harmless(f" ({frame.unresolved})")
    return harmless(frame.function) + (" (inline)" if frame.inlined else ""), source


def reasons(places: Iterable[Place]) -> list[str]:
    """Why places have no name: one line for each module and reason, addresses left out, in order of appearance."""
    found: dict[str, int] = {}
    for place in places:
        if place.unresolved is None or (place.module is None and place.address is None):
            continue
        why = re.sub(r"\b0x[0-9a-f]+\b", "the address", place.unresolved)
        line = f"{base_name(place.module)}: {why}" if place.module is not None else why
        found[line] = found.get(line, 0) + 1
    return [harmless(line) if times == 1 else f"{harmless(line)} ({times} times)" for line, times in found.items()]
