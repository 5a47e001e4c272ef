# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a capture to a `Recording`. No I/O.

Captures are hostile input. Nothing a file claims is believed before it was compared with the bytes that are there, so
memory and time are proportional to the file. A record counts only when its checksum is right; behind damage the next
record is found by its mark. Every loss is a `Damage` that points at the byte. The only exception is InputError, for a
file that is no capture at all.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from heaptide._errors import InputError
from heaptide.capture import format as fmt
from heaptide.capture.decode import DECODERS
from heaptide.capture.records import ProcessRecord, Record
from heaptide.capture.stacks import Malformed

MAX_DAMAGE = 1000
"""Damages are listed up to this many; the last of them then covers the rest of the file."""

_SEARCH_FACTOR = 16
"""Bytes of false records checked for each byte of the file while a mark is sought: more is an attack, no accident."""

_FOREIGN: tuple[tuple[bytes, str, str | None], ...] = (
    (b"heap profile:", "a gperftools heap profile", "read it with `heaptide pprof`"),
    (b"heap_v2/", "a jemalloc heap profile", "read it with jeprof"),
    (b"\x1f\x8b", "a gzip file (perhaps a profile.proto, .pb.gz)", None),
    (b"\x28\xb5\x2f\xfd", "a zstd file (perhaps heaptrack's)", None),
    (b"\x7fELF", "an ELF file (a program or a library)", "name the capture, NAME.PID.tide, and not the program"),
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"#!", "a script", None),
    (b"desc:", "a massif or callgrind output", None),
)


@dataclass(frozen=True, slots=True)
class FileHeader:
    """The head of the file."""

    version: int
    created_realtime_ns: int


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of the file that could not be read."""

    offset: int
    """The first byte of it."""
    expected: str
    found: str
    skipped_bytes: int
    """Reading went on at `offset + skipped_bytes`."""

    def __str__(self) -> str:
        return (
            f"at byte {self.offset}: expected {self.expected}, found {self.found}; {self.skipped_bytes} bytes skipped"
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """What was read of a capture, in the order of the file."""

    header: FileHeader
    records: list[Record]
    damage: list[Damage] = field(default_factory=list)
    complete: bool = False
    """It ends with an END record and has no damage."""


def read(data: bytes | memoryview, *, path: str = "", live: bool = False) -> Recording:
    """Read a capture.

    Args:
        data: the whole file, or as much as has been written.
        path: named in errors.
        live: the file is still being written, so a record that is cut off by the end is not damage.

    Raises:
        InputError: `data` is no capture, or one of another version.
    """
    view = memoryview(data).cast("B")
    if live and not len(view):
        return Recording(FileHeader(fmt.VERSION, 0), [])  # its writer has created it and not yet begun
    header, damage = _file_header(view, path)
    reader = _Reader(view, live)
    reader.damage.extend(damage)
    reader.run()
    ended = bool(reader.records) and type(reader.records[-1]).__name__ == "EndRecord"
    return Recording(header, reader.records, reader.damage, complete=ended and not reader.damage)


def is_capture(head: bytes) -> bool:
    """Whether a file that begins with these bytes (8 suffice) claims to be a capture."""
    return head[: len(fmt.MAGIC)] == fmt.MAGIC


def name_of(head: bytes) -> tuple[str, str | None]:
    """What a file that is no capture seems to be, from its first bytes, and what to do with it."""
    if not head:
        return "an empty file", "nothing was recorded, or the file was cut to nothing"
    for magic, name, hint in _FOREIGN:
        if head.startswith(magic):
            return name, hint
    return f"{bytes(head[:8])!r}", "name a capture (NAME.PID.tide) or a gperftools heap profile (NAME.NNNN.heap)"


def _file_header(view: memoryview, path: str) -> tuple[FileHeader, list[Damage]]:
    head = bytes(view[:16])
    if not is_capture(head):
        found, hint = name_of(head)
        raise InputError(path, 0, f"a heaptide capture, which begins with {fmt.MAGIC.decode()}", found=found, hint=hint)
    if len(view) < fmt.FILE_HEADER.size:
        raise InputError(
            path,
            len(view),
            f"a file header of {fmt.FILE_HEADER.size} bytes",
            found="the end of the file",
            hint="the capture was cut before its first record",
        )
    fields = fmt.FILE_HEADER.unpack(view)
    if not 1 <= fields["version"] <= fmt.VERSION:
        raise InputError(
            path,
            fmt.FILE_HEADER.offsets["version"],
            f"a capture of format version 1 to {fmt.VERSION}",
            found=f"version {fields['version']}",
            hint="a newer heaptide wrote it: upgrade to read it, or the byte is damaged",
        )
    damage = []
    if fields["header_bytes"] != fmt.FILE_HEADER.size:
        place = fmt.FILE_HEADER.offsets["header_bytes"]
        damage.append(Damage(place, f"a header size of {fmt.FILE_HEADER.size}", str(fields["header_bytes"]), 0))
    return FileHeader(fields["version"], fields["created_realtime_ns"]), damage


class _Reader:
    """Walks over the records and finds the way again behind damage."""

    def __init__(self, view: memoryview, live: bool) -> None:
        self.view = view
        self.data = view.obj if isinstance(view.obj, bytes) and len(view.obj) == len(view) else bytes(view)
        self.live = live
        self.records: list[Record] = []
        self.damage: list[Damage] = []
        self.search_budget = _SEARCH_FACTOR * len(view)
        self.sequence = 0

    def run(self) -> None:
        position = fmt.FILE_HEADER.size
        while position < len(self.view):
            problem = self._problem(position)
            if problem is None:
                position = self._accept(position)
            elif self.live and self._cut_off(position):
                return
            else:
                position = self._resynchronise(position, *problem)

    def _problem(self, position: int) -> tuple[str, str] | None:
        """What is wrong with the record that should begin here: (expected, found); None when its checksum is right."""
        left = len(self.view) - position
        if left < fmt.RECORD.size:
            return f"a record head of {fmt.RECORD.size} bytes", f"the end of the file after {left}"
        mark = bytes(self.view[position : position + 4])
        if mark != fmt.MARK:
            return f"a record mark {fmt.MARK!r}", repr(mark)
        head = fmt.RECORD.unpack(self.view, position)
        length: int = head["length"]
        if length > fmt.MAX_RECORD:
            return f"a record of at most {fmt.MAX_RECORD} bytes", f"a length of {length}"
        if length > left - fmt.RECORD.size:
            return f"{length} bytes of payload", f"the end of the file after {left - fmt.RECORD.size}"
        crc = self._crc(position, length)
        if crc != head["crc"]:
            return f"checksum {head['crc']:08x}", f"{crc:08x}"
        return None

    def _crc(self, position: int, length: int) -> int:
        begin = position + fmt.RECORD.offsets["type"]
        return zlib.crc32(self.view[begin : position + fmt.RECORD.size + length])

    def _accept(self, position: int) -> int:
        """Decodes the record at `position`, whose checksum is right; returns where the next one begins."""
        head = fmt.RECORD.unpack(self.view, position)
        self._follow(head["sequence"], position)
        begin = position + fmt.RECORD.size
        end = begin + head["length"]
        following: int = min(begin + (head["length"] + 7 & ~7), len(self.view))
        decoder: Callable[[memoryview, int], Record] | None = DECODERS.get(head["type"])
        if decoder is None:
            self._note(position, f"a record type from 1 to {max(DECODERS)}", f"type {head['type']}", following)
            return following
        try:
            self.records.append(decoder(self.view[begin:end], position))
        except Malformed as problem:
            name = fmt.RECORD_NAMES[head["type"]]
            self._note(position, f"{problem.expected} in a {name} record", problem.found, following)
        return following

    def _follow(self, sequence: int, position: int) -> None:
        """Notes records that are gone without leaving a damaged byte behind."""
        last = self.damage[-1] if self.damage else None
        behind_damage = last is not None and last.offset + last.skipped_bytes == position
        if sequence != self.sequence and not behind_damage:
            self._note(position, f"record number {self.sequence}", f"number {sequence}: records are missing", position)
        self.sequence = (sequence + 1) % fmt.SEQUENCE_MODULUS

    def _cut_off(self, position: int) -> bool:
        """The file ends inside a record that may still be on its way."""
        left = len(self.view) - position
        if left < fmt.RECORD.size:
            return bool(fmt.MARK.startswith(bytes(self.view[position : position + 4])))
        head = fmt.RECORD.unpack(self.view, position)
        length: int = head["length"]
        marked = self.data.startswith(fmt.MARK, position)
        return marked and left - fmt.RECORD.size < length <= fmt.MAX_RECORD

    def _resynchronise(self, position: int, expected: str, found: str) -> int:
        """Finds the next sound record behind `position` (at any byte: insertions shift the file) and notes the loss."""
        candidate = position
        while True:
            candidate = self.data.find(fmt.MARK, candidate + 1)
            if candidate < 0:
                candidate = len(self.view)
                break
            self.search_budget -= fmt.RECORD.size + self._claimed(candidate)
            if self.search_budget < 0:
                found += "; too many false record marks behind it, so the rest of the file was left unread"
                candidate = len(self.view)
                break
            if self._problem(candidate) is None:
                break
        if len(self.damage) >= MAX_DAMAGE:
            found += "; too much damage, so the rest of the file was left unread"
            candidate = len(self.view)
        self._note(position, expected, found, candidate)
        return candidate

    def _claimed(self, position: int) -> int:
        """How many bytes the checksum of a would-be record would cover; 0 when its length cannot be."""
        if len(self.view) - position < fmt.RECORD.size:
            return 0
        length: int = fmt.RECORD.unpack(self.view, position)["length"]
        return length if length <= min(fmt.MAX_RECORD, len(self.view) - position - fmt.RECORD.size) else 0

    def _note(self, position: int, expected: str, found: str, following: int) -> None:
        self.damage.append(Damage(position, expected, found, following - position))


def process_of(recording: Recording) -> ProcessRecord | None:
    """The first PROCESS record, if it was read."""
    return next((record for record in recording.records if isinstance(record, ProcessRecord)), None)
