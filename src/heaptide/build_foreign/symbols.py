# SPDX-License-Identifier: Apache-2.0
"""Names for the addresses of columns: each mapping's file is opened once, and says what it can.

An address becomes a file's vaddr by the program header that holds its file offset: vaddr = address - start + offset -
p_offset + p_vaddr, for position-independent files and others alike.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum

import numpy as np

from heaptide.model.columns import Addresses, Columns, Functions, Mapped
from heaptide.symbolize import Module, SourceFrame, Symbolizer
from heaptide.symbolize.elf import PT_LOAD, Elf
from heaptide.symbolize.files import Image, open_image

_OUTSIDE = "no mapping of the profile holds this address"
_NO_ADDRESS = "the profile has neither a name nor an address for it"


class Modules:
    """The files behind the mappings of one profile, as they stand here now."""

    def __init__(self, mappings: Sequence[Mapped], program: str | None = None) -> None:
        self._program = os.path.abspath(program) if program else None
        self.named = [one.file for one in mappings]
        if self._program and mappings and (not any(self.named) or is_program(mappings[0].file)):
            self.named[0] = self._program
        self._mappings = mappings
        self._open: dict[int, tuple[Module, Elf | None]] = {}

    def module(self, mapping: int) -> Module:
        """The module that a mapping (its index) is of."""
        return self._opened(mapping)[0]

    def vaddrs(self, columns: Columns) -> Addresses:
        """For each location its address as the file numbers it; as in the process where no file is known."""
        places = columns.locations
        out = places.address.copy()
        for mapping in np.unique(places.mapping).tolist():
            if mapping >= 0 and self.named[mapping]:
                rows = np.flatnonzero(places.mapping == mapping)
                out[rows] = self._to_vaddr(mapping, places.address[rows])
        return out

    def _opened(self, mapping: int) -> tuple[Module, Elf | None]:
        if mapping not in self._open:
            self._open[mapping] = _module_at(self.named[mapping], self._mappings[mapping].build_id)
        return self._open[mapping]

    def _to_vaddr(self, mapping: int, addresses: Addresses) -> Addresses:
        one, (_, elf) = self._mappings[mapping], self._opened(mapping)
        if self.named[mapping] == self._program and not one.file:
            return addresses  # no map: right for a program that is not position-independent, and all that can be done
        offsets: Addresses = addresses - np.uint64(one.start) + np.uint64(one.offset)
        out = offsets.copy()
        for head in elf.phdrs if elf is not None else ():
            if head.type == PT_LOAD:
                inside = (offsets >= np.uint64(head.offset)) & (
                    offsets - np.uint64(head.offset) < np.uint64(head.filesz)
                )
                out[inside] = offsets[inside] - np.uint64(head.offset) + np.uint64(head.vaddr)
        return out


class Standing(Enum):
    """How a mapped file stands here now."""

    SAME = "the one that was mapped, as far as can be told"
    GONE = "not here"
    OTHER = "here in another build"
    CHANGED = "here, and changed since"
    NO_FILE = "not a file"


def standing(mapping: Mapped, profiled_ns: int) -> Standing:
    """How the file of a mapping stands here: by its build id, else by the time of the profile (ns since 1970)."""
    if not mapping.file.startswith("/"):
        return Standing.NO_FILE
    image = open_image(mapping.file.removesuffix(" (deleted)"))
    if not isinstance(image, Image):
        return Standing.GONE
    wanted = _bytes_of(mapping.build_id)
    if wanted:
        return Standing.SAME if image.elf.build_id == wanted else Standing.OTHER
    modified_ns = image.identity[3]
    changed = modified_ns > profiled_ns or mapping.file.endswith(" (deleted)")
    return Standing.CHANGED if changed else Standing.SAME


def is_program(path: str) -> bool:
    """Whether a mapped path is named like a program and not like a library or one of the kernel's own mappings."""
    return path.startswith("/") and ".so" not in os.path.basename(path)


def _module_at(path: str, build_id: str) -> tuple[Module, Elf | None]:
    """The module at a mapped path, with the file that stands there now, if it is the one that was mapped."""
    wanted = _bytes_of(build_id)
    image = open_image(path) if path.startswith("/") else None
    if not isinstance(image, Image) or (wanted and image.elf.build_id != wanted):
        return Module(path or "[anonymous]", wanted), None
    return Module(path, image.elf.build_id, image.elf.phdrs), image.elf


def _bytes_of(build_id: str) -> bytes:
    """A build id from hexadecimal; empty when it is none (Go's own are text)."""
    try:
        return bytes.fromhex(build_id)
    except ValueError:
        return b""


def with_names(columns: Columns, modules: Modules, symbolizer: Symbolizer) -> Columns:
    """The same columns with lines for the locations that had none, as far as symbols are found, else the reason."""
    places = columns.locations
    wanted = np.flatnonzero(np.diff(places.line_start) == 0)
    found = _resolve(columns, modules, symbolizer, wanted)
    return _with_lines(columns, modules, found) if found else columns


def _resolve(
    columns: Columns, modules: Modules, symbolizer: Symbolizer, wanted: np.typing.NDArray[np.int64]
) -> dict[int, tuple[SourceFrame, ...]]:
    """Frames for the locations ``wanted``, by their index; each module's addresses are resolved in one go."""
    places = columns.locations
    vaddr = modules.vaddrs(columns)
    found: dict[int, tuple[SourceFrame, ...]] = {}
    for mapping in np.unique(places.mapping[wanted]).tolist():
        rows = wanted[places.mapping[wanted] == mapping]
        if mapping < 0 or not modules.named[mapping]:
            for row in rows.tolist():
                why = _OUTSIDE if places.address[row] else _NO_ADDRESS
                found[row] = (SourceFrame(None, unresolved=why),)
            continue
        frames = symbolizer.resolve(modules.module(mapping), vaddr[rows].tolist())
        found.update(zip(rows.tolist(), frames, strict=True))
    return found


def _with_lines(columns: Columns, modules: Modules, found: dict[int, tuple[SourceFrame, ...]]) -> Columns:
    old, places = columns.functions, columns.locations
    names, system_names, files = list(old.name), list(old.system_name), list(old.filename)
    index: dict[tuple[str, str], int] = {}
    function, line, column = places.function.tolist(), places.line.tolist(), places.column.tolist()
    start = places.line_start.tolist()
    new: list[tuple[int, int, int]] = []
    bounds = [0]
    unresolved = dict(places.unresolved)
    for row in range(len(places)):
        frames = found.get(row)
        if frames is None:
            new += list(zip(*(part[start[row] : start[row + 1]] for part in (function, line, column)), strict=True))
        elif frames[0].function is None:
            unresolved[row] = frames[0].unresolved or "no name is known"
        else:
            for frame in frames:
                key = (frame.function or "", frame.file or "")
                if key not in index:
                    index[key] = len(names)
                    names.append(key[0])
                    system_names.append(key[0])
                    files.append(key[1])
                new.append((index[key], frame.line or 0, 0))
        bounds.append(len(new))
    table = np.array(new, np.int64).reshape(-1, 3)
    start_lines = np.concatenate((old.start_line, np.zeros(len(names) - len(old), np.int64)))
    return replace(
        columns,
        functions=Functions(names, system_names, files, start_lines),
        locations=replace(
            places,
            line_start=np.array(bounds, np.int64),
            function=table[:, 0].astype(np.int32),
            line=table[:, 1].copy(),
            column=table[:, 2].copy(),
            unresolved=unresolved,
        ),
        mappings=_described(columns, modules, found),
    )


def _described(columns: Columns, modules: Modules, found: dict[int, tuple[SourceFrame, ...]]) -> tuple[Mapped, ...]:
    """The mappings, with build ids of the files used and what is known of their locations now."""
    mapping = columns.locations.mapping.tolist()
    out = list(columns.mappings)
    for row, frames in found.items():
        number = mapping[row]
        if number < 0 or frames[0].function is None:
            continue
        one = out[number]
        files = any(frame.file for frame in frames)
        lines = any(frame.line for frame in frames)
        if not (one.has_functions and one.has_filenames >= files and one.has_inline_frames >= (len(frames) > 1)):
            out[number] = replace(
                one,
                file=modules.named[number],
                build_id=one.build_id or modules.module(number).build_id.hex(),
                has_functions=True,
                has_filenames=one.has_filenames or files,
                has_line_numbers=one.has_line_numbers or lines,
                has_inline_frames=one.has_inline_frames or len(frames) > 1,
            )
    return tuple(out)
