# SPDX-License-Identifier: Apache-2.0
"""PACKED records: every width, exceptions, and payloads that claim what is not there."""

from __future__ import annotations

import random

import pytest

from heaptide.capture import format as fmt
from heaptide.capture import read
from heaptide.capture.packed import decode_columns
from heaptide.capture.records import SnapshotRecord
from heaptide.capture.stacks import Malformed
from tests.builders.capture import CaptureBuilder, Counter, encode_packed


def counters(seed: int) -> dict[int, Counter]:
    rng = random.Random(seed)
    rows = {}
    for stack_id in rng.sample(range(1, 5000), rng.randrange(0, 60)):
        size, count = rng.randrange(1 << rng.choice([3, 9, 17, 30, 41, 62])), rng.randrange(1 << rng.choice([2, 8, 20]))
        freed, gone = rng.randrange(size + 1), rng.randrange(count + 1)
        rows[stack_id] = Counter(size, count, freed, gone, float(count), float(gone), count, gone)
    return rows


@pytest.mark.parametrize("mode", ["exact", "sampled"])
@pytest.mark.parametrize("width", range(9))
def test_what_was_written_is_read(mode: str, width: int) -> None:
    for seed in range(20):
        rows = counters(100 * width + seed)
        recording = read(CaptureBuilder(mode).process().packed("time", rows, width=width).end().data())
        assert recording.complete, recording.damage
        (snapshot,) = (item for item in recording.records if isinstance(item, SnapshotRecord))
        assert snapshot.ids.tolist() == sorted(rows)
        for name, column in snapshot.columns.items():
            assert column.tolist() == [getattr(rows[stack_id], name) for stack_id in sorted(rows)], name


def _column(values: list[int], width: int) -> bytes:
    return encode_packed(values, width)


LIES = {
    "more rows than bytes": (10_000, b"".join(_column([1], 1) for _ in range(5))),
    "a width of nine": (1, bytes([9]) + bytes(64)),
    "more exceptions than rows": (1, fmt.COLUMN.pack(width=1, exceptions=2) + bytes(64)),
    "an exception beyond the rows": (
        1,
        fmt.COLUMN.pack(width=0, exceptions=1) + (5).to_bytes(8, "little") + (1).to_bytes(8, "little"),
    ),
    "ids that stand still": (2, _column([3, 0], 1) + 4 * _column([1, 1], 1)),
    "ids beyond 32 bits": (2, _column([2**31, 2**31], 4) + 4 * _column([1, 1], 1)),
    "a column that is cut off": (2, _column([1, 1], 1) + 3 * _column([1, 1], 1)),
    "a counter that is negative": (1, _column([1], 1) + _column([2**63], 8) + 3 * _column([1], 1)),
    "nothing": (1, b""),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_payload_that_cannot_be_is_refused(lie: str) -> None:
    count, body = LIES[lie]
    with pytest.raises(Malformed):
        decode_columns(memoryview(body), count, fmt.EXACT_COLUMNS)


def test_any_bytes_at_all() -> None:
    """Damage behind a right checksum: refused or read, and never another exception."""
    rng = random.Random(7)
    ranges = [(1, 9), (200, 255), (1, 150), (200, 255), (1, 150)]
    good = b"".join(encode_packed([rng.randrange(*some) for _ in range(30)], 1) for some in ranges)
    refused = 0
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            decode_columns(memoryview(bytes(data)), 30, fmt.EXACT_COLUMNS)
        except Malformed:
            refused += 1
    assert 0 < refused < 3000
