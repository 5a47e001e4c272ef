# SPDX-License-Identifier: Apache-2.0
"""The capture reader and the join: every snapshot of whatever can be read becomes a profile that agrees with itself.

Half of the inputs get their checksums set right after the damage, so that nonsense reaches the decoders behind them.
"""

from __future__ import annotations

import random
import struct
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from heaptide.build import load
from heaptide.capture import format as fmt
from heaptide.symbolize import Module, SourceFrame
from tests.builders.capture import CaptureBuilder, Counter, Phdr
from tests.builders.damage import damaged

_EDGES = (0, 1, 15, 16, 127, 128, 255, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
_PATH = Path(tempfile.mkdtemp(prefix="heaptide-fuzz-")) / "x.tide"


class _Nameless:
    def resolve(self, module: Module, vaddrs: Sequence[int]) -> list[tuple[SourceFrame, ...]]:
        return [(SourceFrame(f"{vaddr:x}"),) for vaddr in vaddrs]


def seeds() -> list[bytes]:
    return [_seed(mode, size) for mode in ("exact", "sampled") for size in (1, 3, 8)]


def _seed(mode: str, size: int) -> bytes:
    rng = random.Random(size)
    capture = CaptureBuilder(mode).process().module(1, 0x400000, 0x500000, bias=0x400000, flags=1, phdrs=[Phdr()])
    for step in range(size):
        capture.module(step + 2, 0x700000, 0x710000, bias=0x700000, path=f"/lib/{step}.so", flags=rng.choice((0, 2)))
        stacks = [(16 + 3 * step + n, [0x400000 + rng.randrange(0x9000) for _ in range(9)], n) for n in range(3)]
        capture.stacks(stacks)
        extra = (2.5, 1.5, 5, 2) if mode == "sampled" else ()
        changed = {rng.randrange(16 + 3 * step + 3): Counter(9 * step + 9, step + 3, 4, 1, *extra) for _ in range(6)}
        capture.snapshot("time", changed).memory({102: 4096}).unload(step + 2)
    return capture.agent().note(2, "a note").end().data()


def mutate(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return damaged(data, rng)[1]
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        width = rng.choice((1, 2, 4, 8))
        place = rng.randrange(fmt.FILE_HEADER.size, len(changed) - 8)
        changed[place : place + width] = (rng.choice(_EDGES) & (1 << 8 * width) - 1).to_bytes(width, "little")
    return _with_checksums(changed)


def _with_checksums(data: bytearray) -> bytes:
    """Every mark that a record may begin at gets the checksum of what its length says."""
    place = data.find(fmt.MARK)
    while place >= 0:
        (length,) = struct.unpack_from("<I", data, min(place + 12, len(data) - 4))
        if place + fmt.RECORD.size + length <= len(data):
            covered = data[place + 8 : place + fmt.RECORD.size + length]
            data[place + 4 : place + 8] = zlib.crc32(covered).to_bytes(4, "little")
        place = data.find(fmt.MARK, place + 4)
    return bytes(data)


def run(data: bytes) -> None:
    _PATH.write_bytes(data)
    series = load(_PATH, symbolizer=_Nameless())
    for snapshot in series.snapshots:
        profile = series.at(snapshot)
        profile.check()
        assert snapshot.in_use_bytes == profile.total("inuse_space"), "two totals of one snapshot"
        for value in profile.values:
            profile.error(value)
    for moment in ("start", "peak", "end", "exit") if series.snapshots else ():
        (series.at(moment) - series.at("start")).check()
