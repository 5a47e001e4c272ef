# SPDX-License-Identifier: Apache-2.0
"""Writes captures, byte for byte as native/format.h says, so that a test can build any it needs: sound, odd or false.

    capture = CaptureBuilder(mode="exact")
    capture.process(exe="/bin/prog")
    capture.module(1, 0x400000, 0x500000, bias=0x400000, path="/bin/prog", flags=1)
    capture.stacks([(16, [0x401111, 0x402222])])
    capture.snapshot("time", {16: Counter(alloc_bytes=100, alloc_objects=1)})
    capture.end()
    data = capture.data()

Encoding is written from the format's text and not from the reader, with none of its tricks.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

from heaptide.capture import format as fmt

REALTIME = 1_795_000_000_000_000_000
BOOTTIME = 5_000_000_000_000
KINDS: dict[str, int] = {name: number for number, name in fmt.SNAPSHOT_KINDS.items()}
TYPES = {name: number for number, name in enumerate(fmt.RECORD_NAMES)}


@dataclass
class Counter:
    """Totals of one stack since recording began, in the units of the capture."""

    alloc_bytes: int = 0
    alloc_objects: int = 0
    free_bytes: int = 0
    free_objects: int = 0
    alloc_variance: float = 0.0
    free_variance: float = 0.0
    alloc_samples: int = 0
    free_samples: int = 0


@dataclass
class Phdr:
    type: int = 1
    flags: int = 5
    offset: int = 0
    vaddr: int = 0
    filesz: int = 0x1000
    memsz: int = 0x1000
    align: int = 0x1000


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> int:
    """`value` is taken modulo 2**64, as C does."""
    value &= 2**64 - 1
    if value >> 63:
        value -= 2**64
    return (value << 1 ^ value >> 63) & 2**64 - 1


def record(kind: int, payload: bytes, sequence: int = 0, *, crc: int | None = None, length: int | None = None) -> bytes:
    """One record with its head and padding; `crc` and `length` to tell lies."""
    tail = struct.pack("<HHI", kind, sequence, len(payload) if length is None else length)
    checksum = zlib.crc32(tail + payload) if crc is None else crc
    return fmt.MARK + struct.pack("<I", checksum) + tail + payload + bytes(-len(payload) % 8)


def encode_stacks(stacks: Sequence[tuple[int, Sequence[int]] | tuple[int, Sequence[int], int]]) -> bytes:
    """A STACKS payload: (id, addresses leaf first[, flags]) each."""
    out = bytearray(struct.pack("<II", len(stacks), 0))
    previous_id = 0
    previous: list[int] = []
    for stack_id, leaf_first, *flags in stacks:
        root_first = list(leaf_first)[::-1]
        keep = 0
        while keep < min(len(previous), len(root_first)) and previous[keep] == root_first[keep]:
            keep += 1
        out += varint(zigzag(stack_id - previous_id)) + varint(flags[0] if flags else 0)
        out += varint(keep) + varint(len(root_first) - keep)
        before = root_first[keep - 1] if keep else 0
        for pc in root_first[keep:]:
            out += varint(zigzag(pc - before))
            before = pc
        previous_id, previous = stack_id, root_first
    return bytes(out)


def encode_column(values: Sequence[int | float], width: int | None = None) -> bytes:
    if values and isinstance(values[0], float):
        width, raw = 8, struct.pack(f"<{len(values)}d", *values)
    else:
        top = max(values, default=0)
        width = width or next(bytes_ for bytes_ in (1, 2, 4, 8) if top < 1 << 8 * bytes_)
        raw = b"".join(int(value).to_bytes(width, "little") for value in values)
    return bytes([width]) + bytes(7) + raw + bytes(-len(raw) % 8)


def encode_packed(values: Sequence[int | float], width: int) -> bytes:
    """A column of a PACKED record with so many bytes for a value; those that do not fit are exceptions."""
    as_float, as_word = ("<f", "<I") if width == 4 else ("<d", "<Q")
    words = [struct.unpack(as_word, struct.pack(as_float, v))[0] if isinstance(v, float) else v for v in values]
    large = [row for row, word in enumerate(words) if word >= 1 << 8 * width]
    narrow = b"".join((0 if row in large else word).to_bytes(width, "little") for row, word in enumerate(words))
    rows = b"".join(struct.pack("<I", row) for row in large)
    head = fmt.COLUMN.pack(width=width, exceptions=len(large))
    body = b"".join(part + bytes(-len(part) % 8) for part in (narrow, rows))
    return head + body + b"".join(struct.pack("<Q", words[row]) for row in large)


def in_use(allocated: float, freed: float) -> float:
    """What a PACKED record says beside what was allocated."""
    if isinstance(allocated, float):
        return max(allocated - freed, 0.0)
    return int(allocated) - int(freed) & 2**64 - 1


class CaptureBuilder:
    """Collects records. Times advance by `step_s` with each snapshot unless `at_s` says otherwise."""

    def __init__(self, mode: str = "exact", *, step_s: float = 1.0) -> None:
        self.mode = mode
        self.step_s = step_s
        self.parts: list[bytes] = [
            fmt.FILE_HEADER.pack(
                magic=fmt.MAGIC,
                version=fmt.VERSION,
                header_bytes=fmt.FILE_HEADER.size,
                created_realtime_ns=REALTIME,
            )
        ]
        self.number = 0
        self.now_s = 0.0

    def raw(self, kind: str | int, payload: bytes) -> CaptureBuilder:
        sequence = len(self.parts) - 1 & 0xFFFF
        self.parts.append(record(TYPES[kind] if isinstance(kind, str) else kind, payload, sequence))
        return self

    def process(
        self, *, exe: str = "/bin/prog", argv: Sequence[str] = ("prog",), pid: int = 4711, flags: int = 0
    ) -> CaptureBuilder:
        head = fmt.PROCESS.pack(
            pid=pid,
            parent_pid=1,
            uid=1000,
            mode=fmt.MODE_EXACT if self.mode == "exact" else fmt.MODE_SAMPLED,
            process_start_ticks=12345,
            ticks_per_second=100,
            started_realtime_ns=REALTIME,
            started_boottime_ns=BOOTTIME,
            interval=1 if self.mode == "exact" else 1 << 19,
            flags=flags,
            page_bytes=4096,
            cpus=2,
            argc=len(argv),
        )
        strings = (exe, "/home/u", "host", "6.18", "0.1.0", "0.1.0", "x86_64", *argv)
        return self.raw("PROCESS", head + b"".join(text.encode() + b"\0" for text in strings))

    def module(
        self,
        number: int,
        start: int,
        end: int,
        *,
        bias: int = 0,
        path: str = "/bin/prog",
        flags: int = 0,
        build_id: bytes = b"\xab" * 20,
        phdrs: Iterable[Phdr] = (),
    ) -> CaptureBuilder:
        headers = list(phdrs)
        head = fmt.MODULE.pack(
            module=number,
            flags=flags,
            start=start,
            end=end,
            bias=bias,
            seen_boottime_ns=BOOTTIME,
            phnum=len(headers),
            build_id_bytes=len(build_id),
            path_bytes=len(path.encode()),
        )
        tail = b"".join(struct.pack("<IIQQQQQ", *astuple(header)) for header in headers)
        return self.raw("MODULE", head + tail + build_id + path.encode())

    def unload(self, number: int) -> CaptureBuilder:
        return self.raw("UNLOAD", fmt.UNLOAD.pack(module=number, boottime_ns=BOOTTIME))

    def stacks(self, stacks: Sequence[tuple[int, Sequence[int]] | tuple[int, Sequence[int], int]]) -> CaptureBuilder:
        return self.raw("STACKS", encode_stacks(stacks))

    def snapshot(
        self,
        kind: str,
        counters: Mapping[int, Counter],
        *,
        number: int | None = None,
        flags: int = 0,
        at_s: float | None = None,
        realtime_shift_s: float = 0.0,
    ) -> CaptureBuilder:
        self.number = self.number + 1 if number is None else number
        self.now_s = self.now_s + self.step_s if at_s is None else at_s
        names = fmt.EXACT_COLUMNS if self.mode == "exact" else fmt.SAMPLED_COLUMNS
        ids = sorted(counters)
        head = fmt.SNAPSHOT.pack(
            number=self.number,
            kind=KINDS[kind],
            flags=flags,
            realtime_ns=REALTIME + round((self.now_s + realtime_shift_s) * 1e9),
            boottime_ns=BOOTTIME + round(self.now_s * 1e9),
            interval=1 if self.mode == "exact" else 1 << 19,
            columns=1 + len(names),
            count=len(ids),
        )
        columns = [ids] + [[getattr(counters[stack_id], name) for stack_id in ids] for name in names]
        return self.raw("SNAPSHOT", head + b"".join(encode_column(column) for column in columns))

    def packed(
        self,
        kind: str,
        counters: Mapping[int, Counter],
        *,
        width: int = 2,
        thinned: int = 0,
        flags: int = 0,
        sums: tuple[int, int, int, int] = (0, 0, 0, 0),
        low_high: tuple[int, int] = (0, 0),
    ) -> CaptureBuilder:
        """A snapshot as PACKED, `thinned` of those before it taken out; `sums` are in use and allocated, twice."""
        self.number += 1 + thinned
        self.now_s += self.step_s * (1 + thinned)
        ids = sorted(counters)
        columns: list[Sequence[int | float]] = [[after - before for before, after in zip([0, *ids], ids, strict=False)]]
        for pair in ("bytes", "objects", "variance", "samples")[: 2 if self.mode == "exact" else 4]:
            both = [(getattr(counters[i], f"alloc_{pair}"), getattr(counters[i], f"free_{pair}")) for i in ids]
            columns += [[pair[0] for pair in both], [in_use(*pair) for pair in both]]
        head = fmt.SNAPSHOT.pack(
            number=self.number,
            kind=KINDS[kind],
            flags=flags,
            realtime_ns=REALTIME + round(self.now_s * 1e9),
            boottime_ns=BOOTTIME + round(self.now_s * 1e9),
            interval=1 if self.mode == "exact" else 1 << 19,
            columns=len(columns),
            count=len(ids),
        )
        low, high = low_high
        whole = fmt.PACKED.pack(
            snapshot=head, thinned=thinned, in_use_bytes=sums[:2], alloc_bytes=sums[2:], low_bytes=low, high_bytes=high
        )
        doubles = width if width in (0, 4) else 8
        widths = [doubles if index in (5, 6) else width for index in range(len(columns))]
        body = b"".join(encode_packed(column, wide) for column, wide in zip(columns, widths, strict=True))
        return self.raw("PACKED", whole + body)

    def memory(self, figures: Mapping[int, int], *, snapshot: int | None = None) -> CaptureBuilder:
        head = fmt.MEMORY.pack(snapshot=self.number if snapshot is None else snapshot, count=len(figures))
        now = BOOTTIME + round(self.now_s * 1e9)
        body = b"".join(fmt.FIGURE.pack(key=key, boottime_ns=now, value=value) for key, value in figures.items())
        return self.raw("MEMORY", head + body)

    def agent(self, *, losses: Mapping[str, int] | None = None, bad_options: int = 0) -> CaptureBuilder:
        wanted = losses or {}
        values = [wanted.get(name, 0) for name in fmt.LOSSES] + [0] * (32 - len(fmt.LOSSES))
        return self.raw("AGENT", fmt.AGENT.pack(snapshot=self.number, losses=values, bad_options=bad_options))

    def note(self, severity: int, text: str) -> CaptureBuilder:
        return self.raw("NOTE", fmt.NOTE.pack(severity=severity) + text.encode())

    def end(self, cause: int = fmt.END_EXITED, status: int = 0) -> CaptureBuilder:
        times = {"realtime_ns": REALTIME, "boottime_ns": BOOTTIME}
        return self.raw("END", fmt.END.pack(cause=cause, status=status, **times))

    def offsets(self) -> list[int]:
        """Where each record begins, and last the length of the file."""
        out, position = [], 0
        for part in self.parts:
            position += len(part)
            out.append(position)
        return out

    def data(self) -> bytes:
        return b"".join(self.parts)
