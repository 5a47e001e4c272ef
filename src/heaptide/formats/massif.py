# SPDX-License-Identifier: Apache-2.0
"""massif's output (``massif.out.PID``): snapshots of the heap, some with a tree of who holds it.

    desc: --stacks=no
    cmd: ./prog
    time_unit: ms
    #-----------
    snapshot=4
    #-----------
    time=65
    mem_heap_B=663011
    heap_tree=detailed
    n2: 663011 (heap allocation functions) malloc/new/new[], --alloc-fns, etc.
     n1: 650390 0x4874248: jv_mem_alloc (in /usr/lib/libjq.so.1)
      n0: 650390 0x10AF00: main (main.c:12)
     n0: 12621 in 39 places, all below massif's threshold (1.00%)

A line's depth is its indentation; what stands below it are its callers. Each snapshot with a tree becomes a moment of
bytes in use. Of stacks that hold less than massif's threshold only the sum is known, and what it is a part of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from heaptide._errors import InputError
from heaptide.model.columns import Columns, Functions, Locations, Mapped, ValueType

_NODE = re.compile(r"( *)n(\d{1,9}): (\d{1,18}) (.*)$", re.ASCII)
_PLACE = re.compile(r"0x([0-9A-Fa-f]{1,16}): (.*?)(?: \(([^()]*)\))?$", re.ASCII)
_LINE = re.compile(r"(.*):(\d{1,9})$", re.ASCII)
_DEEPEST = 1000
_SECONDS = {"ms": 1e-3}
"""Units of time that are time; massif may also count instructions or bytes."""


@dataclass(slots=True)
class _Tree:
    """One snapshot: when, and its samples, each the path of places from the leaf on, with its bytes."""

    time: float | None
    samples: list[tuple[tuple[int, ...], int]] = field(default_factory=list)


@dataclass(slots=True)
class MassifFile:
    """A parsed file. ``moments``: seconds (None where massif counted instructions or bytes) and columns."""

    command: str
    moments: list[tuple[float | None, Columns]]
    warnings: list[str]


def looks_like(head: bytes) -> bool:
    """Whether a file begins as massif's do."""
    return head.startswith(b"desc:") and b"\ntime_unit:" in head[:4096]


def parse(data: bytes, path: str = "<profile>") -> MassifFile:
    """Read massif's output. ``path`` is only named in errors: InputError, with the byte, when it is none."""
    if not looks_like(data):
        raise InputError(path, 0, "lines 'desc:', 'cmd:' and 'time_unit:'", found=repr(data[:40]))
    reader = _Reader()
    byte = 0
    for line in data.split(b"\n"):
        try:
            reader.line(line.decode("utf-8", "surrogateescape"))
        except ValueError as error:
            raise InputError(path, byte, f"a line of massif ({error})", found=repr(line[:60])) from None
        byte += len(line) + 1
    reader.close()
    warnings = []
    if reader.hidden:
        warnings.append(
            f"massif names no stack for {reader.hidden:,} bytes of the last tree: each of their places is below its "
            "threshold (--threshold)"
        )
    if not reader.trees:
        warnings.append("no snapshot of the file has a tree (--detailed-freq): there is nothing to show")
        reader.trees.append(_Tree(None))
    return MassifFile(reader.command, [(tree.time, reader.columns(tree)) for tree in reader.trees], warnings)


class _Reader:
    """Takes lines one by one."""

    def __init__(self) -> None:
        self.command = ""
        self.trees: list[_Tree] = []
        self.hidden = 0
        self._scale: float | None = None
        self._time: float | None = None
        self._places: dict[tuple[int, str, str], int] = {}
        self._path: list[tuple[int | None, int]] = []
        """From the tree's root on: place (None for the root), and bytes that no caller seen so far accounts for."""

    def line(self, line: str) -> None:
        if (match := _NODE.match(line)) is not None:
            if self.trees:
                self._node(len(match[1]), int(match[3]), match[4])
            return
        key, _, value = line.partition("=")
        if key == "time" and value.isdecimal() and len(value) < 19:
            self._time = int(value) * self._scale if self._scale else None
        elif key == "heap_tree" and value in ("detailed", "peak"):
            self.close()
            self.hidden = 0
            self.trees.append(_Tree(self._time))
        elif line.startswith("cmd: "):
            self.command = line[5:]
        elif line.startswith("time_unit: "):
            self._scale = _SECONDS.get(line[11:].strip())

    def _node(self, depth: int, size: int, text: str) -> None:
        """A line of a tree: closes the branches that end before it."""
        if depth > len(self._path) or depth > _DEEPEST:
            raise ValueError("it stands deeper than the line above allows")
        self._close_to(depth)
        if self._path:
            place, left = self._path[-1]
            self._path[-1] = (place, left - size)
        if depth == 0:
            self._path.append((None, size))
        elif text.startswith("in ") and not text.startswith("in 0x"):
            self.hidden += size
            self._path.append((self._place(0, f"[{text.partition(',')[0]}, below massif's threshold]", ""), size))
        else:
            match = _PLACE.match(text)
            if match is None:
                raise ValueError("a place '0xADDRESS: FUNCTION (WHERE)'")
            self._path.append((self._place(int(match[1], 16), match[2], match[3] or ""), size))

    def _place(self, address: int, function: str, where: str) -> int:
        return self._places.setdefault((address, function, where), len(self._places))

    def _close_to(self, depth: int) -> None:
        """Ends branches down to ``depth``; bytes that no caller accounts for are a sample that ends there."""
        while len(self._path) > depth:
            left = self._path[-1][1]
            if left > 0:
                stack = tuple(place for place, _ in self._path if place is not None)
                self.trees[-1].samples.append((stack, left))
            self._path.pop()

    def close(self) -> None:
        """Ends the tree."""
        self._close_to(0)

    def columns(self, tree: _Tree) -> Columns:
        """A tree's samples as columns; the tables are those of all trees."""
        functions: dict[tuple[str, str], int] = {}
        modules: dict[str, int] = {}
        table = list(self._described(functions, modules))
        count = len(table)
        locations = Locations(
            address=np.array([address for address, *_ in self._places], np.uint64),
            mapping=np.array([module for module, _, _ in table], np.int32),
            folded=np.zeros(count, np.bool_),
            line_start=np.arange(count + 1, dtype=np.int64),
            function=np.array([function for _, function, _ in table], np.int32),
            line=np.array([line for _, _, line in table], np.int64),
            column=np.zeros(count, np.int64),
        )
        names = [name for name, _ in functions]
        start = np.zeros(len(tree.samples) + 1, np.int64)
        np.cumsum([len(stack) for stack, _ in tree.samples], out=start[1:])
        known = Mapped(has_functions=True, has_filenames=True, has_line_numbers=True)
        return Columns(
            sample_types=(ValueType("inuse_space", "bytes"),),
            values=np.array([[size for _, size in tree.samples]], np.int64).reshape(1, -1),
            stack_start=start,
            stack=np.array([place for stack, _ in tree.samples for place in stack], np.int32),
            locations=locations,
            functions=Functions(names, names, [file for _, file in functions], np.zeros(len(names), np.int64)),
            mappings=tuple(replace(known, file=module) for module in modules),
        )

    def _described(
        self, functions: dict[tuple[str, str], int], modules: dict[str, int]
    ) -> Iterator[tuple[int, int, int]]:
        """For each place its module (-1 for none), function and line; ``???`` is massif's word for an unknown name."""
        for _, name, where in self._places:
            module, file, line = -1, "", 0
            if where.startswith("in "):
                module = modules.setdefault(where[3:], len(modules))
            elif (match := _LINE.match(where)) is not None:
                file, line = match[1], int(match[2])
            key = ("" if name == "???" else name, file)
            yield module, functions.setdefault(key, len(functions)), line
