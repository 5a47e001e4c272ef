# SPDX-License-Identifier: Apache-2.0
"""Functions, lines and inlined calls from DWARF, by the `symbolic` library (70 MB, so loaded at first need only).

Known to be missing, against addr2line: lines in code without a function of its own in the DWARF (thunks of virtual
destructors, functions that gcc merged: 4 addresses of 1,000 in librados), which get their name from the symbol table;
and an inlined call that begins in the middle of a line row (3 of 10,000, in .cold parts): the caller's frame remains.
"""

from __future__ import annotations

import importlib
import io
from functools import cache, lru_cache
from importlib.metadata import version
from typing import IO, Any, Protocol, cast

from .answers import SourceFrame
from .debugline import mend
from .demangle import demangle
from .elf import UnsupportedCompression
from .files import Image
from .symcache import DiskCache


class _Location(Protocol):
    symbol: str
    full_path: str | None
    line: int


class _SymCache(Protocol):
    """What we use of symbolic.symcache.SymCache, whose functions carry no types."""

    def lookup(self, addr: int, /) -> list[_Location]: ...

    def dump_into(self, f: IO[bytes], /) -> None: ...


class BadDebugInfo(Exception):
    """The debug info could not be digested; the message says what was wrong with it."""


class LineTable:
    """One module's debug info, ready to be asked.

    Args:
        image: a file with .debug_info.
        build_id: for the name of the cache entry.
        disk: the cache, or None to do without.

    Raises:
        BadDebugInfo: `symbolic` cannot read the file.
        ElfError: its headers or .debug_line are damaged.
    """

    def __init__(self, image: Image, build_id: bytes, disk: DiskCache | None) -> None:
        self.problems: list[str] = []
        self._base = image.elf.image_base
        self._cache = self._from_disk(image, build_id, disk) if disk else self._digest(image)

    def lookup(self, vaddr: int) -> tuple[SourceFrame, ...]:
        """The frames at a vaddr, innermost first; empty when the debug info does not cover it.

        What `symbolic` took from the symbol table, which shows by its having neither file nor line, is left out: it
        would name the nearest symbol before the address, which `SymbolTable` does not.
        """
        if vaddr < self._base:
            return ()
        found = self._cache.lookup(vaddr - self._base)
        if not any(location.full_path or location.line for location in found):
            return ()
        last = len(found) - 1
        return tuple(
            _frame(location.symbol, location.full_path, location.line, i != last) for i, location in enumerate(found)
        )

    def _from_disk(self, image: Image, build_id: bytes, disk: DiskCache) -> _SymCache:
        symcache = _symbolic("symcache")
        entry = disk.path_of(build_id, f"{image.identity} {image.path if not build_id else ''} {_symbolic_version()}")
        if disk.load(entry):
            try:
                return cast(_SymCache, symcache.SymCache.open(str(entry)))
            except _symbolic(
                "exceptions"
            ).SymbolicError:  # sound by its checksum and yet not to this version's taste: make it anew
                pass
        made = self._digest(image)
        buffer = io.BytesIO()
        made.dump_into(buffer)
        # An entry that was made without a mend that was due would outlive the installation of what was missing.
        if not self.problems:
            disk.store(entry, buffer.getvalue())
        return made

    def _digest(self, image: Image) -> _SymCache:
        archives = _symbolic("debuginfo").Archive
        try:
            mended = mend(image.elf)
        except UnsupportedCompression as error:
            mended = None
            self.problems.append(f"lines of {image.path} may be wrong: {error.problem}")
        try:
            # `mended` must outlive the archive, which does not hold on to it by itself.
            archive = archives.from_bytes(mended) if mended is not None else archives.open(image.path)
            return cast(_SymCache, next(archive.iter_objects()).make_symcache())
        except (_symbolic("exceptions").SymbolicError, StopIteration) as error:
            raise BadDebugInfo(f"the debug info of {image.path} cannot be read: {error}") from error


@lru_cache(maxsize=1 << 16)
def _frame(symbol: str, path: str | None, line: int, inlined: bool) -> SourceFrame:
    """One frame for each place, however many addresses share it. Line 0 is DWARF for "no line"."""
    if not symbol:
        return SourceFrame(None, path, line or None, inlined, "the debug info names no function here")
    return SourceFrame(demangle(symbol), path, line or None, inlined)


def _symbolic(module: str) -> Any:
    """A module of the library, loaded now if it was not yet."""
    return importlib.import_module(f"symbolic.{module}")


@cache
def _symbolic_version() -> str:
    return version("symbolic")
