# SPDX-License-Identifier: Apache-2.0
"""Which format a file is of, and the one way to read them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from heaptide._errors import InputError
from heaptide.formats import collapsed, gperftools, heaptrack, jemalloc, massif, packed, pprof
from heaptide.model.columns import Columns

HEAD_BYTES = 4096
"""How much of a file `kind_of` wants to see; it looks at no more."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A profile, and when it was taken: seconds since the program's start, None where the file does not say."""

    columns: Columns
    offset_s: float | None = None


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a file says. ``moments`` are in the order of time, and there is at least one."""

    format: str
    moments: tuple[Moment, ...]
    warnings: tuple[str, ...] = ()
    """What a reader of the numbers has to know."""
    alloc_is_inuse: bool = False
    """The file has one pair of values because nothing had been freed: they are what was allocated, too."""
    command: str = ""
    """The program and its arguments, where the file says them."""

    @property
    def columns(self) -> Columns:
        """The last moment's."""
        return self.moments[-1].columns


def _read_gperftools(data: bytes, path: str) -> Foreign:
    file = gperftools.parse(data, path)
    head = file.header
    same = (head.alloc_objects, head.alloc_space) == (head.inuse_objects, head.inuse_space)
    return Foreign("gperftools", (Moment(file.columns()),), file.warnings, alloc_is_inuse=same)


def _read_jemalloc(data: bytes, path: str) -> Foreign:
    file = jemalloc.parse(data, path)
    return Foreign("jemalloc", (Moment(file.columns()),), file.warnings)


def _read_pprof(data: bytes, path: str) -> Foreign:
    return Foreign("pprof", (Moment(pprof.parse(data, path)),))


def _read_collapsed(data: bytes, path: str) -> Foreign:
    return Foreign("collapsed", (Moment(collapsed.parse(data, path)),))


def _read_heaptrack(data: bytes, path: str) -> Foreign:
    file = heaptrack.parse(data, path)
    moments = tuple(Moment(columns, seconds) for seconds, columns in file.moments())
    return Foreign("heaptrack", moments, tuple(file.warnings), command=file.command)


def _read_massif(data: bytes, path: str) -> Foreign:
    file = massif.parse(data, path)
    moments = tuple(Moment(columns, seconds) for seconds, columns in file.moments)
    return Foreign("massif", moments, tuple(file.warnings), command=file.command)


READERS: dict[str, tuple[Callable[[bytes], bool], Callable[[bytes, str], Foreign]]] = {
    "gperftools": (gperftools.looks_like, _read_gperftools),
    "jemalloc": (jemalloc.looks_like, _read_jemalloc),
    "heaptrack": (heaptrack.looks_like, _read_heaptrack),
    "massif": (massif.looks_like, _read_massif),
    "collapsed": (collapsed.looks_like, _read_collapsed),
    "pprof": (pprof.looks_like, _read_pprof),
}
"""In the order in which they are asked: the sure ones first."""


def kind_of(head: bytes) -> str | None:
    """The format of a file that begins with ``head`` (its first `HEAD_BYTES`), None if it is none that is read."""
    if packed.is_zstd(head):  # its first block may be longer than what is seen; nothing else that is read is packed so
        return "heaptrack"
    inner = packed.head_of(head)
    for name, (looks_like, _) in READERS.items():
        if looks_like(inner):
            return name
    return None


def read(data: bytes, path: str = "<profile>") -> Foreign:
    """Read a file of any format. ``path`` is only named in errors.

    Raises:
        InputError: it is of no format that is read, or not what it begins as.
    """
    kind = kind_of(data[:HEAD_BYTES])
    if kind is None:
        raise InputError(
            path, 0, "the beginning of a profile", found=repr(data[:16]), hint=f"read are: {', '.join(READERS)}"
        )
    if packed.is_gzip(data) or packed.is_zstd(data):
        data = packed.unpack(data, path, cut=kind == "heaptrack")  # it is written while the program runs
    return READERS[kind][1](data, path)
