# SPDX-License-Identifier: Apache-2.0
"""Damages bytes as disks, copies and people do."""

from __future__ import annotations

import random
from collections.abc import Sequence


def damaged(data: bytes, rng: random.Random, borders: Sequence[int] = ()) -> tuple[str, bytes]:
    """One to three injuries, and what they were. `borders`: where records begin, so that whole ones can be lost."""
    said = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name = rng.choice(KINDS)
        place = rng.choice(borders) if borders and rng.random() < 0.3 else rng.randrange(len(data) + 1)
        said.append(f"{name} at {place}")
        data = INJURIES[name](data, min(place, len(data)), rng, borders)
    return ", ".join(said), data


def _flip(data: bytes, place: int, rng: random.Random, _: Sequence[int]) -> bytes:
    place = min(place, len(data) - 1)
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :] if data else data


def _overwrite(data: bytes, place: int, rng: random.Random, _: Sequence[int]) -> bytes:
    noise = rng.choice((bytes, rng.randbytes))(rng.choice((1, 4, 8, 64, 512, 4096)))
    return (data[:place] + noise + data[place + len(noise) :])[: len(data)]


def _insert(data: bytes, place: int, rng: random.Random, _: Sequence[int]) -> bytes:
    return data[:place] + rng.randbytes(rng.choice((1, 3, 8, 16, 100))) + data[place:]


def _delete(data: bytes, place: int, rng: random.Random, borders: Sequence[int]) -> bytes:
    end = place + rng.choice((1, 3, 8, 16, 100))
    later = [border for border in borders if border > place]
    if later and rng.random() < 0.5:
        end = rng.choice(later)
    return data[:place] + data[end:]


def _cut(data: bytes, place: int, _: random.Random, __: Sequence[int]) -> bytes:
    return data[:place]


def _repeat(data: bytes, place: int, rng: random.Random, borders: Sequence[int]) -> bytes:
    """A stretch of the file once more, somewhere else: old blocks that a file system brought back."""
    source = rng.choice(borders) if borders else rng.randrange(len(data) + 1)
    later = [border for border in borders if border > source] or [source + 64]
    return data[:place] + data[source : rng.choice(later)] + data[place:]


INJURIES = {
    "flip": _flip,
    "overwrite": _overwrite,
    "insert": _insert,
    "delete": _delete,
    "cut": _cut,
    "repeat": _repeat,
}
KINDS = tuple(INJURIES)
