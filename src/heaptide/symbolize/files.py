# SPDX-License-Identifier: Apache-2.0
"""Opening files whose names come from a capture: a hostile one may name a FIFO, a device or a terabyte of nothing."""

from __future__ import annotations

import mmap
import os
import stat
from dataclasses import dataclass, field

from .answers import Attempt, Outcome
from .elf import Elf, ElfError


@dataclass(frozen=True, slots=True)
class Image:
    """An ELF file, mapped. `identity` changes when the file is replaced or rewritten."""

    path: str
    identity: tuple[int, int, int, int]  # device, inode, bytes, modification time in ns
    elf: Elf = field(repr=False, compare=False)


def open_image(path: str) -> Image | Attempt:
    """Map the ELF file at `path`, or say what is in the way. Never blocks on a FIFO and opens no device."""
    try:
        status, mapped = _map(path)
    except (FileNotFoundError, NotADirectoryError):
        return Attempt(path, Outcome.MISSING)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return Attempt(path, Outcome.UNREADABLE, getattr(error, "strerror", None) or str(error))
    if mapped is None:
        return Attempt(path, Outcome.DAMAGED, "empty") if _regular(status) else Attempt(path, Outcome.NOT_A_FILE)
    try:
        elf = Elf(memoryview(mapped))
    except ElfError as error:
        return Attempt(path, Outcome.DAMAGED, str(error))
    return Image(path, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns), elf)


def _map(path: str) -> tuple[os.stat_result, mmap.mmap | None]:
    """The file's status and its bytes; no bytes when it is empty or no regular file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not _regular(status) or not status.st_size:
            return status, None
        return status, mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
    finally:
        os.close(descriptor)


def _regular(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode)
