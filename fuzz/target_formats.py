# SPDX-License-Identifier: Apache-2.0
"""The readers of foreign files, without atheris: what tests/fuzz/readers.py asks, of seeds with bytes changed."""

from __future__ import annotations

import random

from tests.fuzz import readers


def seeds() -> list[bytes]:
    return list(readers.seeds("any"))


def mutate(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(len(changed))
        changed[place : place + rng.choice((0, 1, 1, 4))] = rng.randbytes(rng.choice((0, 1, 1, 4)))
        changed = changed or bytearray(b"\0")
    return bytes(changed)


def run(data: bytes) -> None:
    readers.run("any", data)
