# SPDX-License-Identifier: Apache-2.0
"""Frames and stacks, each stored once."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from heaptide._types import Address, FileOffset
from heaptide.model.roles import Role


@dataclass(frozen=True, slots=True)
class Frame:
    """One function at one place. What is not known is None, and then `unresolved` says why."""

    function: str | None
    """Demangled name."""
    file: str | None
    """Source file as the debug information names it."""
    line: int | None
    """From 1."""
    module: str | None
    """Path of the program or library; None where no module was mapped."""
    address: FileOffset | Address | None
    """Of the call instruction (the return address less one): a virtual address of the file `module`, the same in every
    run of that file. Without a module: as it was in the process. None for frames that have none (foreign formats)."""
    inlined: bool = False
    """The compiler put this call's body into the next frame of the stack, which shares its address."""
    unresolved: str | None = None
    """Why `function` (or, with a function, its line) is not known, in words for people."""
    role: Role = "user"

    def key(self) -> Hashable:
        """Equal for frames that are the same to a person: by name and line when there is a name (it holds across
        builds), else by module and address (it holds across runs)."""
        if self.function is not None:
            return (self.function, self.file, self.line, self.inlined)
        return (self.module, self.address, self.unresolved if self.address is None else None)


@dataclass(frozen=True, slots=True)
class StackTable:
    """Stacks as tuples of indices into `frames`, leaf first, inlined calls expanded (the innermost comes first)."""

    frames: list[Frame]
    stacks: list[tuple[int, ...]]

    def __len__(self) -> int:
        """Number of stacks."""
        return len(self.stacks)

    def frames_of(self, row: int) -> tuple[Frame, ...]:
        """The frames of stack number `row`, leaf first."""
        return tuple(self.frames[index] for index in self.stacks[row])

    def keys(self) -> list[tuple[Hashable, ...]]:
        """One key for each stack; stacks of equal keys are the same to a person (see `Frame.key`)."""
        frame_keys = [frame.key() for frame in self.frames]
        return [tuple(frame_keys[index] for index in stack) for stack in self.stacks]


@dataclass(slots=True)
class StackTableBuilder:
    """Collects stacks and keeps each distinct frame once.

    >>> builder = StackTableBuilder()
    >>> row = builder.add([Frame("malloc", None, None, None, None), Frame("main", None, None, None, None)])
    >>> table = builder.table()
    """

    frames: list[Frame] = field(default_factory=list)
    stacks: list[tuple[int, ...]] = field(default_factory=list)
    _index: dict[Frame, int] = field(default_factory=dict)

    def frame(self, frame: Frame) -> int:
        """The index of `frame`, which is added when it is new."""
        index = self._index.get(frame)
        if index is None:
            index = self._index[frame] = len(self.frames)
            self.frames.append(frame)
        return index

    def add(self, frames: Iterable[Frame]) -> int:
        """Appends a stack (leaf first) and returns its row. Equal stacks are not joined: rows are the caller's."""
        self.stacks.append(tuple(self.frame(frame) for frame in frames))
        return len(self.stacks) - 1

    def table(self) -> StackTable:
        """What was collected. The builder must not be used after this."""
        return StackTable(self.frames, self.stacks)
