# SPDX-License-Identifier: Apache-2.0
"""One program: can it be preloaded, and will its allocations be seen?"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from heaptide.cli.checks import Finding
from heaptide.symbolize import elf as elves
from heaptide.symbolize.elf import Elf, ElfError
from heaptide.symbolize.files import Image, open_image

_PT_INTERP = 3
_SYMBOL = {True: [("name", "u4"), ("info", "u1"), ("other", "u1"), ("shndx", "u2"), ("rest", "u8", 2)],
           False: [("name", "u4"), ("rest", "u4", 2), ("info", "u1"), ("other", "u1"), ("shndx", "u2")]}  # fmt: skip
_SCRIPT_DEPTH = 4


def find(program: str) -> Path | Finding:
    """The file that a shell would run for ``program``, or why there is none."""
    found = shutil.which(program)
    if found is not None:
        return Path(found)
    path = Path(program)
    if path.is_dir():
        return Finding("problem", "program", f"{program} is a directory", "name the program in it")
    if "/" not in program or not path.exists():
        return Finding("problem", "program", f"{program}: not found", "give its path, or set PATH")
    return Finding("problem", "program", f"{program} is not executable", f"chmod +x {program}")


def findings(path: Path, depth: int = 0) -> Iterator[Finding]:
    """Everything about the program at ``path``, or about the interpreter of the script there."""
    yield Finding("ok", "program", f"{path} is executable")
    interpreter = _interpreter(path)
    if interpreter is not None:
        yield from _script(path, interpreter, depth)
        return
    image = open_image(str(path))
    if not isinstance(image, Image):
        yield Finding("problem", "elf", f"{path} cannot be examined: {image.outcome.value} {image.detail}".rstrip())
        return
    yield from privileges(path)
    try:
        yield from _linkage(path, image.elf)
    except ElfError as error:
        yield Finding("problem", "elf", f"{path}: {error}")


def _interpreter(path: Path) -> str | None:
    """The interpreter of a script, as its first line names it."""
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError:
        return None
    if not head.startswith(b"#!"):
        return None
    words = head[2:].split(b"\n")[0].decode("utf-8", "replace").split()
    if len(words) > 1 and os.path.basename(words[0]) == "env":
        return next((word for word in words[1:] if not word.startswith("-") and "=" not in word), words[0])
    return words[0] if words else None


def _script(path: Path, interpreter: str, depth: int) -> Iterator[Finding]:
    yield Finding("ok", "script", f"{path} is a script: what is profiled is {interpreter} and what it starts")
    target = find(interpreter)
    if isinstance(target, Finding):
        yield target
    elif depth < _SCRIPT_DEPTH:
        yield from findings(target, depth + 1)


def privileges(path: Path) -> Iterator[Finding]:
    """The dynamic loader ignores LD_PRELOAD where the program gains rights."""
    try:
        status = path.stat()
        capabilities = "security.capability" in os.listxattr(path) and os.geteuid() != 0
    except OSError:
        return
    setuid = status.st_mode & stat.S_ISUID and status.st_uid != os.geteuid()
    setgid = status.st_mode & stat.S_ISGID and status.st_gid != os.getegid()
    if setuid or setgid or capabilities:
        what = "setuid" if setuid else "setgid" if setgid else "given file capabilities"
        yield Finding(
            "problem",
            "setuid",
            f"{path} is {what}: the dynamic loader ignores LD_PRELOAD for it",
            "run a copy without these rights (cp does not keep them), or link it with -lheaptide",
        )


def _linkage(path: Path, elf: Elf) -> Iterator[Finding]:
    loader = _loader(elf)
    if loader is None:
        yield Finding(
            "problem",
            "static",
            f"{path} is linked statically: nothing can be preloaded",
            "link it dynamically, or with -lheaptide",
        )
        return
    yield Finding("ok", "dynamic", f"{path} is linked dynamically ({loader})")
    yield from _same_kind(path, elf, loader)
    yield from _own_allocator(path, elf)
    yield from _own_heap(path, elf)


def _loader(elf: Elf) -> str | None:
    """The dynamic loader that the program asks for."""
    for phdr in elf.phdrs:
        if phdr.type == _PT_INTERP:
            return bytes(elf.data[phdr.offset : phdr.offset + phdr.filesz]).rstrip(b"\0").decode("utf-8", "replace")
    return None


def _same_kind(path: Path, elf: Elf, loader: str) -> Iterator[Finding]:
    from heaptide._errors import HeaptideError
    from heaptide.launch import agent_path

    try:
        agent = open_image(str(agent_path()))
    except HeaptideError:
        return  # said by the system's checks
    if isinstance(agent, Image) and (agent.elf.machine, agent.elf.layout.is64) != (elf.machine, elf.layout.is64):
        yield Finding(
            "problem",
            "machine",
            f"{path} is built for another kind of processor than the agent is",
            "build the agent for it",
        )
    if "ld-musl" in loader:
        yield Finding("problem", "musl", f"{path} uses musl, the agent glibc", "build the agent with musl-gcc")


def _own_allocator(path: Path, elf: Elf) -> Iterator[Finding]:
    defined = defines(elf, ("malloc", "je_malloc", "tc_malloc", "mi_malloc", "__asan_init"))
    if "__asan_init" in defined:
        yield Finding("problem", "sanitizer", f"{path} is built with AddressSanitizer, which intercepts malloc itself",
                      "profile a build without it")  # fmt: skip
    elif defined:
        yield Finding(
            "problem",
            "own-malloc",
            f"{path} brings its own allocator ({', '.join(sorted(defined))} is defined in it), which comes before a "
            "preloaded one",
            "link the allocator as a shared library, or use --allocator",
        )
    else:
        yield Finding("ok", "own-malloc", f"{path} takes malloc from a library")


def _own_heap(path: Path, elf: Elf) -> Iterator[Finding]:
    """Languages whose objects do not come from malloc."""
    if elf.section(".go.buildinfo") is not None:
        yield Finding("warn", "go", f"{path} is a Go program: Go's own heap is not malloc's, only cgo's part is seen")
    if re.fullmatch(r"python3?(\.\d+)?", path.resolve().name):
        yield Finding(
            "warn",
            "python",
            "Python keeps blocks of up to 512 bytes in arenas of its own, which count as one block each",
            "set PYTHONMALLOC=malloc to see every object",
        )


def defines(elf: Elf, wanted: tuple[str, ...]) -> set[str]:
    """Those of ``wanted`` that the file's symbol tables define (and not only refer to)."""
    found: set[str] = set()
    for section in elf.sections:
        if section.type not in (elves.SHT_DYNSYM, elves.SHT_SYMTAB) or section.link >= len(elf.sections):
            continue
        names = bytes(elf.contents(elf.sections[section.link]))
        dtype = np.dtype(_SYMBOL[elf.layout.is64]).newbyteorder(elf.layout.order)
        raw = elf.contents(section)
        table = np.frombuffer(raw, dtype, count=len(raw) // dtype.itemsize)
        at = table["name"][table["shndx"] != 0]
        for name in wanted:
            places = [match.start() + 1 for match in re.finditer(b"\0" + name.encode() + b"(?=\0)", names)]
            if places and np.isin(at, places).any():
                found.add(name)
    return found


def loaded_files(path: Path) -> list[str]:
    """The program (a script's interpreter) and the libraries that its dynamic loader would load for it."""
    from heaptide.cli.checks.names import libraries_of

    for _ in range(_SCRIPT_DEPTH):
        interpreter = _interpreter(path)
        target = find(interpreter) if interpreter is not None else None
        if not isinstance(target, Path):
            break
        path = target
    image = open_image(str(path))
    loader = _loader(image.elf) if isinstance(image, Image) else None
    return [str(path)] if loader is None else libraries_of(path, loader)
