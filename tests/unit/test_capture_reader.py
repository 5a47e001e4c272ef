# SPDX-License-Identifier: Apache-2.0
"""The reader against captures that the builder wrote: sound ones, damaged ones, and files that are no captures."""

from __future__ import annotations

import itertools
import struct
import time

import pytest

from heaptide._errors import InputError
from heaptide.capture import Recording, read
from heaptide.capture import format as fmt
from heaptide.capture.records import (
    AgentRecord,
    EndRecord,
    MemoryRecord,
    ModuleRecord,
    NoteRecord,
    ProcessRecord,
    SnapshotRecord,
    StacksRecord,
    UnloadRecord,
)
from tests.builders.capture import CaptureBuilder, Counter, Phdr, encode_column, record


def every_kind() -> CaptureBuilder:
    capture = CaptureBuilder("sampled")
    capture.process(exe="/bin/prög", argv=("prög", "", "-x"))
    capture.module(1, 0x1000, 0x9000, bias=0x1000, flags=1, phdrs=[Phdr(), Phdr(type=2, vaddr=0x2000)])
    capture.module(2, 0xA000, 0xB000, path="/lib/libx.so", build_id=b"")
    capture.stacks([(16, [0x1111, 0x2222]), (18, [0x1112, 0x2222], 3), (17, [0x2222])])
    capture.unload(2)
    capture.snapshot("start", {})
    capture.snapshot("time", {3: Counter(1, 65536), 16: Counter(300, 65536, 2**40, 7, 1.5, 0.25, 9, 8)}, flags=1)
    capture.packed("time", {16: Counter(400, 65537, 2**40, 8, 2.5, 0.25, 9, 8)}, thinned=3, sums=(5, 6, 7, 8))
    capture.memory({102: 2**40, 302: 2**64 - 1, 999: 5})
    capture.agent(losses={"nested": 4, "depth": 2}, bad_options=5)
    capture.note(2, "disk full")
    capture.end(fmt.END_KILLED, 9)
    return capture


def of(recording: Recording, kind: type) -> list:
    return [item for item in recording.records if type(item) is kind]


def test_reads_back_every_record():
    data = every_kind().data()
    recording = read(data)
    assert recording.damage == [] and recording.complete
    process = of(recording, ProcessRecord)[0]
    assert (process.exe, process.argv, process.mode) == ("/bin/prög", ("prög", "", "-x"), fmt.MODE_SAMPLED)
    first, second = of(recording, ModuleRecord)
    assert [head.type for head in first.phdrs] == [1, 2] and first.phdrs[1].vaddr == 0x2000
    assert (second.path, second.build_id, second.phdrs) == ("/lib/libx.so", b"", ())
    stacks = of(recording, StacksRecord)[0]
    assert stacks.ids.tolist() == [16, 18, 17] and stacks.flags.tolist() == [0, 3, 0]
    assert [stacks.addresses(row) for row in range(3)] == [[0x1111, 0x2222], [0x1112, 0x2222], [0x2222]]
    assert of(recording, UnloadRecord)[0].module == 2
    start, snapshot, packed = of(recording, SnapshotRecord)
    assert (start.kind, len(start.ids)) == ("start", 0)
    assert snapshot.ids.tolist() == [3, 16] and snapshot.sampled and snapshot.flags == fmt.SNAPSHOT_LATE
    assert snapshot.columns["free_bytes"].tolist() == [0, 2**40]
    assert snapshot.columns["alloc_variance"].tolist() == [0.0, 1.5]
    assert (packed.number, packed.thinned, packed.ids.tolist()) == (6, 3, [16]) and packed.sampled
    assert {name: column.tolist() for name, column in packed.columns.items()} == {
        "alloc_bytes": [400],
        "alloc_objects": [65537],
        "free_bytes": [2**40],
        "free_objects": [8],
        "alloc_variance": [2.5],
        "free_variance": [0.25],
        "alloc_samples": [9],
        "free_samples": [8],
    }
    assert packed.sums.in_use_bytes == (5, 6) and packed.sums.alloc_bytes == (7, 8)
    figures = of(recording, MemoryRecord)[0].figures
    assert [(figure.key, figure.value) for figure in figures] == [(102, 2**40), (302, 2**64 - 1), (999, 5)]
    agent = of(recording, AgentRecord)[0]
    assert agent.losses[fmt.LOSSES.index("nested")] == 4 and agent.bad_options == 5
    assert of(recording, NoteRecord)[0].text == "disk full"
    assert (of(recording, EndRecord)[0].cause, of(recording, EndRecord)[0].status) == (fmt.END_KILLED, 9)


def test_offsets_are_where_records_begin():
    capture = every_kind()
    assert [item.offset for item in read(capture.data()).records] == capture.offsets()[:-1]


@pytest.mark.parametrize("alive", [False, True])
def test_a_cut_anywhere_costs_no_more_than_the_record_it_is_in(alive):
    capture = every_kind()
    data, borders = capture.data(), capture.offsets()
    for length in range(fmt.FILE_HEADER.size, len(data)):
        recording = read(data[:length], live=alive)
        whole = sum(1 for border in borders[1:] if border <= length)
        assert len(recording.records) in (whole, whole + 1)  # padding need not be there
        assert not recording.complete
        if length in borders or alive:
            assert recording.damage == []
        elif len(recording.records) == whole:
            assert recording.damage[0].offset == max(border for border in borders if border <= length)


def test_a_flipped_byte_is_found_and_named():
    capture = every_kind()
    data, borders = capture.data(), capture.offsets()
    sound = read(data)
    for number, (begin, end) in enumerate(itertools.pairwise(borders)):
        damaged = bytearray(data)
        damaged[begin + 17 if end - begin > 17 else begin] ^= 0x40
        recording = read(bytes(damaged))
        assert [item.offset for item in recording.records] == [
            item.offset for item in sound.records if item.offset != begin
        ], number
        (damage,) = recording.damage
        assert (damage.offset, damage.skipped_bytes) == (begin, end - begin)
        assert damage.expected.startswith("checksum") and not recording.complete


@pytest.mark.parametrize("count", [1, 3, 8, 1000])
def test_inserted_and_deleted_bytes_shift_what_follows(count):
    capture = every_kind()
    data, borders = capture.data(), capture.offsets()
    inside = borders[4] + 20
    longer = read(data[:inside] + b"\x55" * count + data[inside:])
    assert [item.offset for item in longer.records] == [
        border + count * (border > inside) for number, border in enumerate(borders[:-1]) if number != 4
    ]
    shorter = read(data[:inside] + data[inside + 3 :])
    assert len(shorter.records) == len(borders) - 2


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"", "an empty file"),
        (b"heap profile:      1:     10 [  1: 10] @ heapprofile\n", "gperftools"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x7fELF\x02\x01\x01", "ELF"),
        (b"heap_v2/524288\n", "jemalloc"),
        (b"\x00\x01 whatever", "x01"),
    ],
)
def test_no_capture_is_named(head, name):
    with pytest.raises(InputError) as caught:
        read(head, path="some.file")
    assert caught.value.offset == 0 and name in str(caught.value) and "some.file" in str(caught.value)


def test_another_version_is_refused():
    data = bytearray(every_kind().data())
    data[8] = 1
    assert read(bytes(data)).complete, "an older one is read"
    data[8] = 3
    with pytest.raises(InputError) as caught:
        read(bytes(data))
    assert caught.value.offset == 8 and "version 3" in str(caught.value)


def test_a_file_cut_inside_its_header():
    with pytest.raises(InputError) as caught:
        read(every_kind().data()[:20])
    assert caught.value.offset == 20


def snapshot_payload(count: int, columns: list[bytes], *, number: int = 1, kind: int = 2, width: int = 5) -> bytes:
    head = fmt.SNAPSHOT.pack(number=number, kind=kind, columns=width, count=count)
    return head + b"".join(columns)


def stacks_payload(count: int, body: bytes) -> bytes:
    return struct.pack("<II", count, 0) + body


ONE = encode_column([16])
HOSTILE = {
    "count beyond the record": ("SNAPSHOT", snapshot_payload(2**60, [ONE] * 5)),
    "ids out of order": ("SNAPSHOT", snapshot_payload(2, [encode_column([17, 16])] + [encode_column([1, 1])] * 4)),
    "a column of width 3": ("SNAPSHOT", snapshot_payload(1, [b"\x03" + bytes(15)] * 5)),
    "a column that ends early": ("SNAPSHOT", snapshot_payload(9, [encode_column([1] * 9, 1)] * 4 + [b"\x08"])),
    "six columns": ("SNAPSHOT", snapshot_payload(1, [ONE] * 6, width=6)),
    "an unknown kind": ("SNAPSHOT", snapshot_payload(1, [ONE] * 5, kind=77)),
    "number nought": ("SNAPSHOT", snapshot_payload(1, [ONE] * 5, number=0)),
    "a counter of 2**63": ("SNAPSHOT", snapshot_payload(1, [ONE, encode_column([2**63])] + [ONE] * 3)),
    "a variance that is no number": (
        "SNAPSHOT",
        snapshot_payload(1, [ONE] * 5 + [encode_column([float("nan")])] * 2 + [ONE] * 2, width=9),
    ),
    "a short head": ("SNAPSHOT", b"\0" * 47),
    "billions of stacks": ("STACKS", stacks_payload(2**32 - 1, bytes(8))),
    "a number without end": ("STACKS", stacks_payload(1, b"\xff" * 9)),
    "a number of 71 bits": ("STACKS", stacks_payload(1, b"\xff" * 10 + b"\x01" + bytes(4))),
    "more kept than there was": ("STACKS", stacks_payload(1, b"\x20\x00\x05\x00")),
    "more addresses than numbers": ("STACKS", stacks_payload(1, b"\x20\x00\x00\x7f\x01")),
    "a depth of 2000": ("STACKS", stacks_payload(1, b"\x20\x00\x00\xd0\x0f" + b"\x01" * 2000)),
    "a special id": ("STACKS", stacks_payload(1, b"\x06\x00\x00\x00")),
    "numbers behind the last stack": ("STACKS", stacks_payload(1, b"\x20\x00\x00\x00\x01")),
    "too many program headers": ("MODULE", fmt.MODULE.pack(module=1, phnum=2**32 - 1)),
    "a range that ends before it begins": ("MODULE", fmt.MODULE.pack(module=1, start=9, end=8)),
    "too many arguments": ("PROCESS", fmt.PROCESS.pack(mode=1, argc=2**32 - 1) + b"\0" * 8),
    "mode 3": ("PROCESS", fmt.PROCESS.pack(mode=3) + b"\0" * 8),
    "too many figures": ("MEMORY", fmt.MEMORY.pack(count=2**32 - 1)),
    "a short AGENT": ("AGENT", b"\0" * 100),
    "a short NOTE": ("NOTE", b"\0"),
    "a short END": ("END", b""),
    "a short UNLOAD": ("UNLOAD", b"\1"),
    "type 0": (0, b"x"),
    "type 99": (99, b"x"),
    "PACKED too short": (10, b"x"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_nonsense_under_a_right_checksum_is_damage(case):
    kind, payload = HOSTILE[case]
    capture = CaptureBuilder().process().raw(kind, payload).note(1, "after")
    recording = read(capture.data())
    (damage,) = recording.damage
    borders = capture.offsets()
    assert (damage.offset, damage.skipped_bytes) == (borders[1], borders[2] - borders[1])
    assert of(recording, NoteRecord)[0].text == "after"


def test_a_forest_of_false_marks_ends():
    """Each mark claims a long record, so that each checksum would cover the file again."""
    false = fmt.MARK + struct.pack("<IHHI", 0, 5, 0, 1 << 20)
    data = every_kind().data() + false * (1 << 17)
    begun = time.monotonic()
    recording = read(data)
    assert time.monotonic() - begun < 5
    assert "false record marks" in recording.damage[-1].found and len(recording.records) == 12


def test_damage_without_end_is_summed_up():
    bad = record(fmt.REC_NOTE, b"\0" * 8, crc=0) + record(fmt.REC_NOTE, b"\0" * 8)
    recording = read(CaptureBuilder().data() + bad * 3000)
    assert len(recording.damage) <= 1001 and "too much damage" in recording.damage[-1].found


def test_header_size_that_lies_is_damage_and_not_believed():
    data = bytearray(every_kind().data())
    data[12] = 64
    recording = read(bytes(data))
    assert [damage.offset for damage in recording.damage] == [12] and len(recording.records) == 12


def test_texts_that_are_not_utf8_are_shown():
    capture = CaptureBuilder().process().raw("NOTE", struct.pack("<II", 1, 0) + b"bad \xff byte")
    assert of(read(capture.data()), NoteRecord)[0].text == "bad \\xff byte"
