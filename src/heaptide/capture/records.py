# SPDX-License-Identifier: Apache-2.0
"""What a capture holds, record by record. `offset` is the byte of the file at which the record begins."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from heaptide.capture.format import MAX_DEPTH, SnapshotKind
from heaptide.capture.frames import Frames


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """Whose heap it is, on which machine, since when."""

    offset: int
    pid: int
    parent_pid: int
    uid: int
    mode: int
    process_start_ticks: int
    ticks_per_second: int
    started_realtime_ns: int
    started_boottime_ns: int
    interval: int
    flags: int
    page_bytes: int
    cpus: int
    exe: str
    cwd: str
    hostname: str
    kernel: str
    agent_version: str
    recorder_version: str
    machine: str
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProgramHeader:
    """One ELF program header of a module, as it was in memory."""

    type: int
    flags: int
    offset: int
    vaddr: int
    filesz: int
    memsz: int
    align: int


@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """A program or library that was mapped at [start, end). A file's virtual address is the runtime one less `bias`."""

    offset: int
    module: int
    flags: int
    start: int
    end: int
    bias: int
    seen_boottime_ns: int
    phdrs: tuple[ProgramHeader, ...]
    build_id: bytes
    path: str


@dataclass(frozen=True, slots=True)
class UnloadRecord:
    """From here on, addresses in this module's range mean something else."""

    offset: int
    module: int
    boottime_ns: int


@dataclass(frozen=True, slots=True)
class StacksRecord:
    """Stacks; one of `ids`, `flags` and `frames` for each."""

    offset: int
    ids: npt.NDArray[np.int64]
    flags: npt.NDArray[np.int64]
    frames: Frames

    def depth(self, row: int) -> int:
        """How many frames a stack has; at most MAX_DEPTH."""
        return self.frames.depth(row)

    def addresses(self, row: int, most: int = MAX_DEPTH) -> list[int]:
        """The addresses of a stack as the capture holds them (return addresses), leaf first; the leaf-most `most`."""
        return self.frames.addresses(row, most)


@dataclass(frozen=True, slots=True)
class Sums:
    """Over all stacks at a snapshot, in bytes: of blocks, of mappings."""

    in_use_bytes: tuple[int, int]
    alloc_bytes: tuple[int, int]
    low_bytes: int
    """Least in use, blocks, at any snapshot since the one before in the file."""
    high_bytes: int
    """The most."""


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """The counters that changed since the snapshot before, as totals since recording began."""

    offset: int
    number: int
    kind: SnapshotKind
    flags: int
    realtime_ns: int
    boottime_ns: int
    interval: int
    ids: npt.NDArray[np.int64]
    """Ascending, each once."""
    columns: Mapping[str, npt.NDArray[Any]]
    """By the names of format.EXACT_COLUMNS or SAMPLED_COLUMNS: unsigned, as wide as written; variances float64."""
    thinned: int = 0
    """So many snapshots before this one were taken out of the file to keep to its budget."""
    sums: Sums | None = None
    """Where the writer said them."""
    overdrawn: bool = False
    """PACKED: a stack freed more than it allocated."""

    @property
    def sampled(self) -> bool:
        """The columns are those of sampled mode."""
        return "alloc_variance" in self.columns


@dataclass(frozen=True, slots=True)
class Figure:
    """One of the process's figures, with its own time."""

    key: int
    boottime_ns: int
    value: int
    id: int = 0
    """The stack that it is of; 0: of the process."""


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """The process's own memory figures, read beside a snapshot."""

    offset: int
    snapshot: int
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class AgesRecord:
    """What is in use by birth, estimated; a row for each stack and birth, ascending."""

    offset: int
    snapshot: int
    step: int
    """Births are rounded up to multiples of it."""
    boottime_ns: int
    left_out_bytes: int
    ids: npt.NDArray[np.int64]
    born: npt.NDArray[np.int64]
    """Number of the first snapshot that can hold the block."""
    bytes: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]
    objects: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """What the tool itself cost and lost; `losses` and `memory` in books.h's order (format.LOSSES, AGENT_MEMORY)."""

    offset: int
    snapshot: int
    losses: tuple[int, ...]
    memory: tuple[int, ...]
    stacks: int
    recorder_cpu_ns: int
    recorder_rss_bytes: int
    bad_options: int


@dataclass(frozen=True, slots=True)
class NoteRecord:
    """Text for people. Severity 2: numbers are affected."""

    offset: int
    severity: int
    text: str


@dataclass(frozen=True, slots=True)
class EndRecord:
    """The capture was finished in order. `cause` is one of format.END_*; `status` an exit status or a signal by it."""

    offset: int
    cause: int
    status: int
    realtime_ns: int
    boottime_ns: int
    oom_kills: int


Record = (
    ProcessRecord
    | ModuleRecord
    | UnloadRecord
    | StacksRecord
    | SnapshotRecord
    | MemoryRecord
    | AgesRecord
    | AgentRecord
    | NoteRecord
    | EndRecord
)
