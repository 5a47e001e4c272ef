# SPDX-License-Identifier: Apache-2.0
"""STACKS records: what the reader decodes is what the builder's naive encoder wrote."""

from __future__ import annotations

import random
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heaptide.capture.stacks import Malformed, decode_stacks, varints, zigzag
from tests.builders.capture import encode_stacks, varint
from tests.builders.capture import zigzag as to_zigzag

ADDRESSES = st.one_of(st.sampled_from([0x401000, 0x401001, 0x7F0000001000]), st.integers(0, 2**64 - 1))
STACKS = st.lists(
    st.tuples(st.integers(16, 2**32 - 1), st.lists(ADDRESSES, max_size=12), st.integers(0, 15)),
    max_size=30,
    unique_by=lambda stack: stack[0],
)


@given(st.lists(st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))))
def test_varints(numbers):
    assert varints(b"".join(varint(number) for number in numbers)).tolist() == numbers


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_zigzag(numbers):
    words = varints(b"".join(varint(to_zigzag(number)) for number in numbers))
    assert zigzag(words).astype("int64").tolist() == numbers


@settings(max_examples=300)
@given(STACKS)
def test_any_stacks_come_back(stacks):
    record = decode_stacks(memoryview(encode_stacks(stacks)), 0)
    assert record.ids.tolist() == [stack_id for stack_id, _, _ in stacks]
    assert record.flags.tolist() == [flags for _, _, flags in stacks]
    for row, (_, addresses, _) in enumerate(stacks):
        assert record.addresses(row) == addresses
        assert record.addresses(row, 3) == addresses[:3]


def tree_of_stacks(count: int, depth: int, seed: int = 1) -> list[tuple[int, list[int]]]:
    """As a program has them: neighbours share their roots."""
    rng = random.Random(seed)
    places = [0x7F0000000000 + rng.randrange(1 << 24) for _ in range(3000)]
    stacks, root_first = [], []
    for number in range(count):
        kept = root_first[: rng.randrange(depth)]
        root_first = kept + [rng.choice(places) for _ in range(depth - len(kept))]
        stacks.append((16 + number, root_first[::-1]))
    return stacks


def test_fifty_thousand_stacks_take_about_a_second():
    stacks = tree_of_stacks(50_000, 30)
    payload = memoryview(encode_stacks(stacks))
    begun = time.process_time()
    record = decode_stacks(payload, 0)
    laid_out = [record.addresses(row) for row in range(len(stacks))]
    assert time.process_time() - begun < 4  # 0.6 s where it was written
    assert laid_out == [addresses for _, addresses in stacks]


def test_shared_roots_cost_no_memory():
    """Six bytes for each stack of 1000 frames: nothing is laid out before it is asked for."""
    deep = [(16 + number, [0x2000 + number % 2, *range(0x1000, 0x1000 + 999)]) for number in range(2000)]
    payload = memoryview(encode_stacks(deep))
    tracemalloc.start()
    record = decode_stacks(payload, 0)
    assert record.addresses(1999) == deep[-1][1]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 << 20  # the frames of all stacks would be 16 MB


@pytest.mark.parametrize("seed", range(40))
def test_noise_is_refused_or_read_but_never_more(seed):
    rng = random.Random(seed)
    payload = bytearray(encode_stacks(tree_of_stacks(200, 20, seed)))
    for _ in range(rng.randrange(1, 20)):
        payload[rng.randrange(8, len(payload))] = rng.randrange(256)
    try:
        record = decode_stacks(memoryview(bytes(payload)), 0)
    except Malformed:
        return
    for row in range(len(record.ids)):
        assert len(record.addresses(row)) == record.depth(row) <= 1024
