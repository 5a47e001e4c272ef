# SPDX-License-Identifier: Apache-2.0
"""The fuzzers' corpus, whole and with damage: what tests/fuzz does for hours, in a second."""

from __future__ import annotations

import random

import pytest

from tests.fuzz import readers


@pytest.mark.parametrize("name", readers.TARGETS_TO_READ)
def test_any_bytes_are_read_or_refused(name: str) -> None:
    rng = random.Random(8)
    for seed in readers.seeds("any"):
        readers.run(name, seed)
        for _ in range(25):
            damaged = bytearray(seed)
            for _ in range(rng.choice((1, 3, 10))):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            readers.run(name, bytes(damaged[: rng.choice((len(damaged), rng.randrange(len(damaged))))]))


def test_every_seed_is_read_by_its_own_reader() -> None:
    for path in readers.CORPUS.iterdir():
        assert readers.run(path.name.partition("-")[0], path.read_bytes()), path.name
