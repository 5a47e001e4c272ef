# SPDX-License-Identifier: Apache-2.0
"""Which module an address was in when its stack was recorded."""

from __future__ import annotations

from heaptide.capture import places, read
from heaptide.capture.places import Place, place_stacks
from tests.builders.capture import CaptureBuilder


def placed(capture: CaptureBuilder, *wanted: int) -> dict[int, list[tuple[int, int]]]:
    """Stack id -> [(number of the MODULE record in the file or -1, vaddr)]."""
    borders = capture.offsets()
    stacks = place_stacks(read(capture.data()).records, set(wanted))
    return {
        stack_id: [(borders.index(place.module) if place.module else -1, place.vaddr) for place in stack.places]
        for stack_id, stack in stacks.items()
    }


def test_an_address_that_is_used_twice_is_told_apart_by_order():
    capture = CaptureBuilder().process()
    capture.module(1, 0x10000, 0x20000, bias=0x10000)
    capture.stacks([(16, [0x10801])])
    capture.unload(1)
    capture.stacks([(17, [0x10801])])
    capture.module(2, 0x10000, 0x18000, bias=0xF000)
    capture.stacks([(18, [0x10801, 0x19001])])
    assert placed(capture, 16, 17, 18) == {16: [(1, 0x800)], 17: [(-1, 0x10800)], 18: [(5, 0x1800), (-1, 0x19000)]}


def test_a_module_that_overlaps_replaces():
    capture = CaptureBuilder()
    capture.module(1, 0x1000, 0x3000).module(2, 0x3000, 0x5000).module(3, 0x5000, 0x7000)
    capture.module(4, 0x2000, 0x5001)
    capture.stacks([(16, [0x1001, 0x2001, 0x4001, 0x6001])])
    assert [number for number, _ in placed(capture, 16)[16]] == [-1, 3, 3, -1]
    capture.unload(1)  # gone already: what took its place stays
    capture.stacks([(17, [0x2001])])
    assert placed(capture, 17)[17] == [(3, 0x2000)]


def test_the_address_before_the_return_address_counts():
    capture = CaptureBuilder().module(1, 0x1000, 0x2000).module(2, 0x2000, 0x3000)
    capture.stacks([(16, [0x2000, 0x1000, 0x3000, 0])])
    assert placed(capture, 16)[16] == [(0, 0x1FFF), (-1, 0xFFF), (1, 0x2FFF), (-1, 0)]


def test_frames_of_the_agent_are_left_out_at_both_ends():
    capture = CaptureBuilder().module(1, 0x1000, 0x2000).module(2, 0x2000, 0x3000, flags=2)
    capture.stacks([(16, [0x2100, 0x1100, 0x2200, 0x1200]), (17, [0x2100])])
    found = placed(capture, 16, 17)
    assert found[16] == [(0, 0x10FF), (0, 0x11FF)]
    assert found[17] == [(1, 0x20FF)]  # nothing else is left to show


def test_a_bias_beyond_the_address_wraps_as_in_c():
    capture = CaptureBuilder().module(1, 0x1000, 0x2000, bias=2**64 - 0x1000)
    capture.stacks([(16, [0x1011])])
    assert placed(capture, 16)[16] == [(0, 0x2010)]


def test_only_what_is_wanted_and_only_once():
    capture = CaptureBuilder().module(1, 0x1000, 0x2000)
    capture.stacks([(16, [0x1001]), (17, [0x1002])]).stacks([(16, [0x1003])])
    assert placed(capture, 16) == {16: [(0, 0x1000)]}


def test_laid_out_frames_have_a_ceiling(monkeypatch):
    monkeypatch.setattr(places, "_MAX_FRAMES", 1000)
    capture = CaptureBuilder()
    root = list(range(0x1000, 0x1000 + 600))
    capture.stacks([(16 + number, [0x9000 + number, *root]) for number in range(20)])
    stacks = place_stacks(read(capture.data()).records, range(16, 36))
    assert [stacks[stack_id].truncated for stack_id in (16, 17, 18, 35)] == [False, False, True, True]
    assert stacks[35].places[0] == Place(0, 0x9000 + 19 - 1)
