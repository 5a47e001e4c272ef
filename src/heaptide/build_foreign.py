# SPDX-License-Identifier: Apache-2.0
"""The join for foreign files: what `formats` read + symbols -> a series with one profile.

Foreign files carry a memory map and no build ids, so names are those of the files that stand at the mapped paths now.
An address becomes a file's vaddr by the program header that holds its file offset: vaddr = address - start + offset -
p_offset + p_vaddr, for position-independent files and others alike.
"""

from __future__ import annotations

import bisect
import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from heaptide._errors import InputError
from heaptide._types import Address
from heaptide.formats import gperftools
from heaptide.formats.gperftools import Estimate, HeapFile, Mapping
from heaptide.model import Frame, Profile, Series, Snapshot, StackTable, role_of
from heaptide.symbolize import Module, Symbolizer
from heaptide.symbolize.elf import PT_LOAD, Elf
from heaptide.symbolize.files import Image, open_image

_HEAD_BYTES = 4096


def is_foreign(path: str | os.PathLike[str]) -> bool:
    """Whether the file begins like a format of `formats`. Raises InputError when it cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            _refuse_directory(path)
            return False  # opening a pipe would wait for its writer
        with open(path, "rb") as file:
            return gperftools.looks_like(file.read(_HEAD_BYTES))
    except OSError as error:
        raise InputError(path, None, error.strerror or str(error)) from error


def _refuse_directory(path: str | os.PathLike[str]) -> None:
    if os.path.isdir(path):
        raise InputError(path, None, "Is a directory", hint="name a file in it: NAME.PID.tide or NAME.NNNN.heap")


def load(path: str | os.PathLike[str], *, program: str | None = None, symbolizer: Symbolizer | None = None) -> Series:
    """Read a gperftools heap profile as a series of one snapshot.

    Args:
        path: the file.
        program: the executable, where it no longer stands at its mapped path or the file has no map.
        symbolizer: the one to use; a new one unless given.

    Raises:
        InputError: the file cannot be read or is no heap profile.
    """
    try:
        data = Path(path).read_bytes()
        modified = os.stat(path).st_mtime_ns
    except OSError as error:
        raise InputError(path, None, error.strerror or str(error)) from error
    file = gperftools.parse(data, os.fspath(path))
    estimates = file.estimates()
    moment = Snapshot(
        number=1,
        kind="file",
        realtime_ns=modified,
        offset_s=0.0,
        in_use_bytes=sum(estimate.inuse_space for estimate in estimates),
        allocated_bytes=sum(estimate.alloc_space for estimate in estimates),
    )
    main = program or _main_path(file.mappings)
    source = _Foreign(file, estimates, moment, program, symbolizer or Symbolizer())
    return Series(
        os.fspath(path),
        "sampled" if file.sampled else "exact",
        [moment],
        source,
        warnings=file.warnings,
        started_realtime_ns=modified,
        command=(main,) if main else (),
    )


class _Foreign:
    """The `Source` of a foreign file: symbolises at the first profile asked for."""

    def __init__(
        self,
        file: HeapFile,
        estimates: list[Estimate],
        moment: Snapshot,
        program: str | None,
        symbolizer: Symbolizer,
    ) -> None:
        self._file = file
        self._estimates = estimates
        self._moment = moment
        self._space = _AddressSpace(file.mappings, program)
        self._symbolizer = symbolizer

    def profile(self, index: int) -> Profile:
        """The file's only profile."""
        stacks = [record.addresses for record in self._file.records]
        values = {
            name: np.array([getattr(estimate, name) for estimate in self._estimates], np.int64)
            for name in ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
        }
        variance = {
            "alloc_space": np.array([estimate.alloc_variance for estimate in self._estimates], np.float64),
            "inuse_space": np.array([estimate.inuse_variance for estimate in self._estimates], np.float64),
        }
        return Profile(
            stacks=_name_stacks(stacks, self._space, self._symbolizer),
            values=values,
            mode="sampled" if self._file.sampled else "exact",
            variance=variance if self._file.sampled else {},
            at=self._moment,
        )


class _AddressSpace:
    """The process's code at the time of the dump: address -> module and vaddr."""

    def __init__(self, mappings: Sequence[Mapping], program: str | None) -> None:
        self._mappings = sorted((m for m in mappings if m.executable), key=lambda m: m.start)
        if program is not None:
            self._mappings = _with_program(self._mappings, program)
        self._starts = [mapping.start for mapping in self._mappings]
        self._modules: dict[str, tuple[Module, Elf | None]] = {}

    def find(self, address: int) -> tuple[Module | None, int]:
        """The module an address lies in, and its vaddr there; None and the address itself when it lies in none."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._mappings[index].limit:
            return None, address
        mapping = self._mappings[index]
        offset = address - mapping.start + mapping.offset
        if mapping.path not in self._modules:
            self._modules[mapping.path] = _module_at(mapping.path)
        module, elf = self._modules[mapping.path]
        return module, offset if elf is None else _vaddr(elf, offset)


def _module_at(path: str) -> tuple[Module, Elf | None]:
    """The module at a mapped path, with the file that stands there now, if any."""
    image = open_image(path) if path.startswith("/") else None
    if not isinstance(image, Image):
        return Module(path or "[anonymous]"), None
    return Module(path, image.elf.build_id, image.elf.phdrs), image.elf


def _vaddr(elf: Elf, offset: int) -> int:
    """The vaddr of a file offset; the offset itself where no segment holds it."""
    for phdr in elf.phdrs:
        if phdr.type == PT_LOAD and phdr.offset <= offset < phdr.offset + phdr.filesz:
            return offset - phdr.offset + phdr.vaddr
    return offset


def _with_program(mappings: list[Mapping], program: str) -> list[Mapping]:
    """The mappings with ``program`` as the main one: the first that is neither a library nor the kernel's own.

    Without any mapping the program's own segments serve: right for one that is not position-independent.
    """
    path = os.path.abspath(program)
    if not mappings:
        image = open_image(path)
        segments = image.elf.phdrs if isinstance(image, Image) else ()
        return [
            Mapping(p.vaddr, p.vaddr + p.memsz, "r-xp", p.offset, path)
            for p in segments
            if p.type == PT_LOAD and p.flags & 1
        ]
    main = _main_path(mappings)
    return [replace(m, path=path) if m.path == main else m for m in mappings]


def _main_path(mappings: Sequence[Mapping]) -> str | None:
    """The path of the main program: the first mapped code that is neither a library nor the kernel's own."""
    paths = (mapping.path for mapping in mappings if mapping.executable)
    return next((path for path in paths if path.startswith("/") and ".so" not in os.path.basename(path)), None)


def _name_stacks(stacks: Sequence[tuple[int, ...]], space: _AddressSpace, symbolizer: Symbolizer) -> StackTable:
    """Stacks of addresses as stacks of frames; each module's addresses are resolved in one go."""
    by_module: dict[Module | None, dict[int, int]] = {}
    for address in set(chain.from_iterable(stacks)):
        module, vaddr = space.find(address)
        by_module.setdefault(module, {})[address] = vaddr
    index: dict[Frame, int] = {}
    of_address: dict[int, tuple[int, ...]] = {}
    for module, addresses in by_module.items():
        for address, found in zip(addresses, _frames(module, list(addresses.values()), symbolizer), strict=True):
            of_address[address] = tuple(index.setdefault(frame, len(index)) for frame in found)
    find = of_address.__getitem__
    return StackTable(list(index), [tuple(chain.from_iterable(map(find, stack))) for stack in stacks])


def _frames(module: Module | None, vaddrs: list[int], symbolizer: Symbolizer) -> list[tuple[Frame, ...]]:
    if module is None:
        why = "no mapping of the profile holds this address"
        return [(Frame(None, None, None, None, Address(vaddr), unresolved=why),) for vaddr in vaddrs]
    path = module.path
    return [
        tuple(
            Frame(
                frame.function,
                frame.file,
                frame.line,
                path,
                Address(vaddr),
                frame.inlined,
                frame.unresolved,
                role_of(path, frame.function),
            )
            for frame in found
        )
        for vaddr, found in zip(vaddrs, symbolizer.resolve(module, vaddrs), strict=True)
    ]
