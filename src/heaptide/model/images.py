# SPDX-License-Identifier: Apache-2.0
"""The programs and libraries of a process: what lay where in its memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """A loadable part of a file: ``size`` bytes, from ``offset`` on, at the file's virtual address ``vaddr``."""

    offset: int
    vaddr: int
    size: int
    executable: bool


@dataclass(frozen=True, slots=True)
class Image:
    """A file in memory. An address in the process is the file's virtual address plus ``bias``."""

    path: str
    build_id: str
    """In hexadecimal; empty when there is none."""
    bias: int
    main: bool
    """The program itself."""
    segments: tuple[Segment, ...]
