# SPDX-License-Identifier: Apache-2.0
"""A program before it starts: where it is, and whether the agent can come along.

Read from the file itself, for a program that the agent would stop (AddressSanitizer's run-time library insists on
coming first) must be left alone. Only the standard library is imported here: the program waits for us.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heaptide._errors import NotExecutable, NotFound

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3  # types of program headers
_DT_NEEDED, _DT_STRTAB, _DT_SYMTAB, _DT_GNU_HASH = 1, 5, 6, 0x6FFFFEF5  # tags of dynamic entries
_SYMBOL_BYTES = 24


@dataclass(frozen=True, slots=True)
class Program:
    """A program that can be executed."""

    path: Path
    """Where the search found it."""
    warning: str | None = None
    """Why nothing of it can be recorded, and what to do; None: it can."""
    note: str | None = None
    """Why a recording will not show what it should, and what to do; None: it will."""

    @property
    def recordable(self) -> bool:
        return self.warning is None


def check_program(argv0: str) -> Program:
    """Find a program as a shell would, and see whether the agent can come along.

    Raises:
        NotFound: there is no such program.
        NotExecutable: it is there and may not be executed.
    """
    path = _find(argv0)
    files = [file for file in (path, interpreter_of_script(path)) if file]
    warnings = [_rights(file) or _format(file) for file in files]
    notes = [_allocator_of_its_own(file) for file in files]
    return Program(path, next(filter(None, [*warnings, _preloaded()]), None), next(filter(None, notes), None))


def _find(argv0: str) -> Path:
    names = [argv0] if "/" in argv0 else [os.path.join(folder or ".", argv0) for folder in os.get_exec_path()]
    files = [Path(name) for name in names if argv0 and os.path.exists(name) and not os.path.isdir(name)]
    for path in files:
        if os.access(path, os.X_OK):
            return path
    if files:
        hint = f"if it is a program: chmod +x {files[0]}"
        raise NotExecutable(f"{files[0]} may not be executed", hint=hint)
    if os.path.isdir(argv0):
        raise NotExecutable(f"{argv0} is a directory", hint="name the program in it")
    raise NotFound(f"no such program: {argv0}", hint="check its name and PATH")


def interpreter_of_script(path: Path) -> Path | None:
    """What the first line of a script names."""
    try:
        with open(path, "rb") as file:
            line = file.read(256).split(b"\n", 1)[0]
    except OSError:
        return None
    words = line[2:].split() if line.startswith(b"#!") else []
    return Path(os.fsdecode(words[0])) if words else None


# ---- What stops the agent --------------------------------------------------------------------------------------------


def _rights(path: Path) -> str | None:
    try:
        info = path.stat()
    except OSError:
        return None
    if (info.st_mode & stat.S_ISUID and info.st_uid != os.geteuid()) or (
        info.st_mode & stat.S_ISGID and info.st_mode & stat.S_IXGRP and info.st_gid != os.getegid()
    ):
        return (
            f"{path} is setuid or setgid: the system ignores preloading for it and nothing will be recorded; "
            "run it as its owner, or a copy without that bit"
        )
    return None


def _format(path: Path) -> str | None:
    head = _head(path)
    if head[:4] != b"\x7fELF":  # or it may be executed and not read: it may well be recorded
        return None
    if _architecture(head) != _architecture(_head(Path("/proc/self/exe"))):
        return (
            f"{path} is for another architecture than heaptide's agent: nothing will be recorded; "
            "use a heaptide built for it"
        )
    elf = _read(path)
    if elf is not None and not elf.has_interpreter:
        return (
            f"{path} is statically linked, nothing can be preloaded into it: nothing will be recorded; "
            "link it dynamically, or with -lheaptide"
        )
    if elf is not None and (any(map(_is_asan, elf.needed)) or "__asan_init" in elf.defines):
        return (
            f"{path} is built with AddressSanitizer, which must be the first to intercept malloc: nothing will be "
            "recorded; record a build without it"
        )
    return None


def _preloaded() -> str | None:
    """AddressSanitizer, preloaded already, would end the program if anything came before it."""
    for name in os.environ.get("LD_PRELOAD", "").replace(":", " ").split():
        if _is_asan(name):
            return (
                f"LD_PRELOAD has AddressSanitizer ({name}), which must be the first to intercept malloc: nothing will "
                "be recorded; record without it"
            )
    return None


def _is_asan(library: str) -> bool:
    return "asan" in os.path.basename(library)  # libasan.so.8, libclang_rt.asan-x86_64.so, libhwasan.so.0


def _allocator_of_its_own(path: Path) -> str | None:
    elf = _read(path)
    if elf is None or "malloc" not in elf.defines:
        return None
    return (
        f"{path} defines malloc itself, or links an allocator statically: its blocks will not be seen, only its "
        "mappings and its children; link the allocator as a shared library"
    )


# ---- ELF, as far as it is needed before the start --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Elf:
    has_interpreter: bool
    needed: tuple[str, ...]
    """Names of the shared libraries that it is linked with."""
    defines: frozenset[str]
    """Those of _ASKED that it defines for all."""


_ASKED = ("malloc", "__asan_init")


def _head(path: Path) -> bytes:
    """The first 64 bytes of a file; nothing where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError:
        return b""


def _architecture(head: bytes) -> tuple[int, bytes]:
    """Class (32 or 64 bits) and machine of an ELF header."""
    return head[4], head[18:20]


def _read(path: Path) -> _Elf | None:
    """What a 64-bit ELF file says of itself; None for any other, and for a damaged one."""
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _parse(data) if data[:5] == b"\x7fELF\x02" else None
    except (OSError, ValueError, IndexError, struct.error):
        return None


def _parse(data: mmap.mmap) -> _Elf:
    phdrs = list(_program_headers(data))
    tables = _Tables(data, phdrs)
    defines = frozenset(name for name in _ASKED if tables.defines(name.encode()))
    return _Elf(any(kind == _PT_INTERP for kind, *_ in phdrs), tuple(tables.needed()), defines)


def _program_headers(data: mmap.mmap) -> Iterator[tuple[int, int, int, int]]:
    """Type, file offset, address and bytes in the file."""
    (at,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for index in range(count):
        kind, _flags, offset, address, _, filesz = struct.unpack_from("<IIQQQQ", data, at + index * size)
        yield kind, offset, address, filesz


class _Tables:
    """The dynamic section and what it points to."""

    def __init__(self, data: mmap.mmap, phdrs: list[tuple[int, int, int, int]]) -> None:
        self._data, self._phdrs = data, phdrs
        self._entries: list[tuple[int, int]] = []
        for kind, offset, _, filesz in phdrs:
            if kind == _PT_DYNAMIC:
                self._entries = [struct.unpack_from("<qQ", data, at) for at in range(offset, offset + filesz, 16)]
        self._at = dict(self._entries)

    def needed(self) -> Iterator[str]:
        for tag, value in self._entries:
            if tag == _DT_NEEDED:
                yield os.fsdecode(self._text(value))

    def defines(self, name: bytes) -> bool:
        """Looked up as the loader does, in DT_GNU_HASH. It may hold names that are only referred to."""
        if _DT_GNU_HASH not in self._at or _DT_SYMTAB not in self._at:
            return False
        table, symbols = self._offset(self._at[_DT_GNU_HASH]), self._offset(self._at[_DT_SYMTAB])
        buckets, first, bloom_words, _ = struct.unpack_from("<4I", self._data, table)
        bucket_at = table + 16 + 8 * bloom_words
        wanted = _gnu_hash(name)
        (index,) = struct.unpack_from("<I", self._data, bucket_at + 4 * (wanted % buckets))
        while index >= first:
            (found,) = struct.unpack_from("<I", self._data, bucket_at + 4 * (buckets + index - first))
            name_at, _info, _other, section = struct.unpack_from("<IBBH", self._data, symbols + _SYMBOL_BYTES * index)
            if found | 1 == wanted | 1 and self._text(name_at) == name:
                return bool(section)
            if found & 1:
                return False
            index += 1
        return False

    def _text(self, at: int) -> bytes:
        start = self._offset(self._at[_DT_STRTAB]) + at
        return self._data[start : self._data.find(b"\0", start)]

    def _offset(self, address: int) -> int:
        for kind, offset, start, filesz in self._phdrs:
            if kind == _PT_LOAD and start <= address < start + filesz:
                return offset + address - start
        raise ValueError(f"no segment holds {address:#x}")


def _gnu_hash(name: bytes) -> int:
    value = 5381
    for byte in name:
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value
