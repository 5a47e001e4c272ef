# SPDX-License-Identifier: Apache-2.0
"""Finds the files that know a module's names: the binary itself and its separated debug file.

Each candidate is held against the recorded build id (or, when none was recorded, against the recorded program headers);
a file of another build is refused, however well its name fits, because its names would be wrong. Every path that was
tried is remembered with what came of it.
"""

from __future__ import annotations

import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .answers import Attempt, Module, Outcome, Phdr
from .elf import PT_LOAD, Elf, ElfError
from .files import Image, open_image

DEBUG_ROOTS = ("/usr/lib/debug",)
MAX_MINI_DEBUG = 256 << 20
"""Bytes. Fedora's .gnu_debugdata unpacks to a few megabytes at most; lzma could be made to unfold to terabytes."""
DELETED = " (deleted)"

Check = Callable[[Image], Attempt | None]
"""Says what is wrong with a candidate, or None."""


@dataclass(slots=True)
class Found:
    """What was found for one module.

    `fileless` says why no file was looked for at the module's own path; `mini` is the little symbol file of
    .gnu_debugdata; `debug` may be the same image as `binary`.
    """

    module: Module
    fileless: str | None = None
    binary: Image | None = None
    debug: Image | None = None
    mini: Elf | None = None
    attempts: list[Attempt] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def outcome_of_own_path(self) -> Attempt | None:
        """What came of the path that was recorded; None when that names no file."""
        return self.attempts[0] if self.attempts and self.fileless is None else None

    def symbol_files(self) -> tuple[Elf, ...]:
        """Every file with symbol tables of this module, the richest first."""
        images = dict.fromkeys(image.path for image in (self.debug, self.binary) if image)
        by_path = {image.path: image.elf for image in (self.debug, self.binary) if image}
        return (*(by_path[path] for path in images), *((self.mini,) if self.mini else ()))


class Finder:
    """Looks for the files of modules.

    Args:
        search: directories to look in first, laid out as pprof's PPROF_BINARY_PATH, as a sysroot, or flat.
        roots: where the system keeps separated debug files.
    """

    def __init__(self, search: tuple[Path, ...] = (), roots: tuple[str, ...] = DEBUG_ROOTS) -> None:
        self._search = tuple(os.fspath(directory) for directory in search)
        self._roots = roots

    def find(self, module: Module) -> Found:
        """Everything there is for `module`. Never raises: what is in the way stands in the attempts."""
        found = Found(module, fileless=_fileless(module.path))
        build = _build_check(module)
        for path in self._binary_paths(found):
            image = _try(found, path, (build, _sound_check))
            if image is not None:
                found.binary = image
                break
        self._find_debug(found, build)
        _find_mini(found)
        return found

    # -- the binary ---------------------------------------------------------------------------------------------

    def _binary_paths(self, found: Found) -> Iterator[str]:
        module = found.module
        path = module.path.removesuffix(DELETED)
        if found.fileless is None:
            yield path
        name = path.rpartition("/")[2]
        for directory in self._search:
            if module.build_id:
                yield from _listed(os.path.join(directory, module.build_id.hex()))
            if name and found.fileless is None:
                yield os.path.join(directory, path.lstrip("/"))
                yield os.path.join(directory, name)

    # -- its debug file -----------------------------------------------------------------------------------------

    def _find_debug(self, found: Found, build: Check) -> None:
        if found.binary is not None and found.binary.elf.has_debug_info:
            found.debug = found.binary
            return
        for path in self._debug_paths(found.module):
            if self._take_debug(found, path, (build, _debug_info_check)):
                return
        if found.binary is not None and (link := found.binary.elf.debuglink) is not None:
            name, crc = link
            for path in self._link_paths(found.binary.path, name):
                if self._take_debug(found, path, (build, _debug_info_check, _crc_check(crc))):
                    return

    def _take_debug(self, found: Found, path: str, checks: tuple[Check, ...]) -> bool:
        image = _try(found, path, checks)
        found.debug = image
        return image is not None

    def _debug_paths(self, module: Module) -> Iterator[str]:
        """Debug files by build id, and by name below the search directories."""
        build_id = module.build_id.hex()
        by_id = os.path.join(build_id[:2], f"{build_id[2:]}.debug")
        path = module.path.removesuffix(DELETED)
        for directory in self._search:
            if len(build_id) > 2:
                yield os.path.join(directory, by_id)
                yield os.path.join(directory, ".build-id", by_id)
                yield os.path.join(directory, f"{build_id}.debug")
                yield from (os.path.join(directory, root.lstrip("/"), ".build-id", by_id) for root in self._roots)
            if _fileless(path) is None:
                yield os.path.join(directory, f"{path.lstrip('/')}.debug")
                yield os.path.join(directory, f"{path.rpartition('/')[2]}.debug")
        if len(build_id) > 2:
            yield from (os.path.join(root, ".build-id", by_id) for root in self._roots)
            yield os.path.join(_debuginfod_cache(), build_id, "debuginfo")

    def _link_paths(self, binary: str, link: str) -> Iterator[str]:
        """gdb's order, for the directory by which the binary was named and for the one where it really is."""
        for directory in dict.fromkeys((os.path.dirname(binary), os.path.dirname(os.path.realpath(binary)))):
            yield os.path.join(directory, link)
            yield os.path.join(directory, ".debug", link)
            yield from (os.path.join(root, directory.lstrip("/"), link) for root in self._roots)
        yield from (os.path.join(directory, link) for directory in self._search)


def _fileless(path: str) -> str | None:
    """Why `path` names no file, or None when it does."""
    if not path:
        return "recorded without a name"
    if path == "[vdso]" or path.startswith(("linux-vdso", "linux-gate")):
        return "the vdso is the kernel's own code, with no file"
    if path.startswith("/memfd:"):
        return "a memory file (memfd), nowhere on disk"
    if path.startswith(("[", "anon_inode:", "//anon")):
        return "no file"
    return None


def _listed(directory: str) -> list[str]:
    """The files of a directory named by a build id, or the name itself when it is a file."""
    try:
        return sorted(entry.path for entry in os.scandir(directory) if entry.is_file())
    except NotADirectoryError:
        return [directory]
    except OSError:
        return []


def _debuginfod_cache() -> str:
    """Where debuginfod's own client keeps what it fetched. Only looked into: nothing is fetched here."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("DEBUGINFOD_CACHE_PATH") or os.path.join(cache, "debuginfod_client")


# -- one candidate ----------------------------------------------------------------------------------------------


def _try(found: Found, path: str, checks: tuple[Check, ...]) -> Image | None:
    """Open one candidate and hold it against the checks; the attempt is remembered either way."""
    image = open_image(path)
    attempt = image if isinstance(image, Attempt) else _first_objection(image, checks)
    if attempt is None:
        attempt = Attempt(path, Outcome.USED)
    if attempt not in found.attempts:
        found.attempts.append(attempt)
    return image if isinstance(image, Image) and attempt.outcome is Outcome.USED else None


def _first_objection(image: Image, checks: tuple[Check, ...]) -> Attempt | None:
    try:
        return next((objection for check in checks if (objection := check(image)) is not None), None)
    except ElfError as error:
        return Attempt(image.path, Outcome.DAMAGED, str(error))


def _build_check(module: Module) -> Check:
    """A file must have the recorded build id; where none was recorded, the recorded PT_LOAD segments."""

    def check(image: Image) -> Attempt | None:
        elf = image.elf
        if module.build_id:
            if elf.build_id == module.build_id:
                return None
            here = f"build id {elf.build_id.hex()}" if elf.build_id else "no build id"
            return Attempt(image.path, Outcome.OTHER_BUILD, f"recorded {module.build_id.hex()}, {here} here")
        recorded = _loads(module.phdrs)
        if recorded and _loads(elf.phdrs) != recorded:
            return Attempt(image.path, Outcome.OTHER_BUILD, "no build id was recorded, and its segments differ")
        return None

    return check


def _loads(phdrs: tuple[Phdr, ...]) -> list[tuple[int, int]]:
    """What a separated debug file still shares with its binary: where each segment lies and how long it is."""
    return [(phdr.vaddr, phdr.memsz) for phdr in phdrs if phdr.type == PT_LOAD]


def _sound_check(image: Image) -> Attempt | None:
    """Reads what is asked of a binary later, so that damage shows now (as ElfError)."""
    _ = (image.elf.sections, image.elf.debuglink)
    return None


def _debug_info_check(image: Image) -> Attempt | None:
    return None if image.elf.has_debug_info else Attempt(image.path, Outcome.STRIPPED)


def _crc_check(wanted: int) -> Check:
    def check(image: Image) -> Attempt | None:
        crc = zlib.crc32(image.elf.data)
        if crc == wanted:
            return None
        return Attempt(image.path, Outcome.OTHER_BUILD, f"the link wants CRC {wanted:08x}, it is {crc:08x} here")

    return check


def _find_mini(found: Found) -> None:
    """The symbols that distributions leave in .gnu_debugdata of a stripped binary, packed with xz."""
    if found.binary is None or found.debug is not None:
        return
    try:
        section = found.binary.elf.section(".gnu_debugdata")
        if section is not None:
            packed = found.binary.elf.contents(section)
            unpacked = lzma.LZMADecompressor().decompress(bytes(packed), MAX_MINI_DEBUG)
            found.mini = Elf(unpacked)
    except (ElfError, lzma.LZMAError) as error:
        found.problems.append(f".gnu_debugdata of {found.binary.path} is damaged: {error}")
