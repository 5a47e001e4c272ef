# SPDX-License-Identifier: Apache-2.0
"""Text heap profiles: reading, writing, undoing the sampling, and what is said of files that are not right."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide._errors import InputError
from heaptide.formats import gperftools, heaps
from heaptide.formats.gperftools import HeapFile, HeapRecord
from heaptide.formats.maps import Mapping

FILE = b"""heap profile:      3:      600 [     5:     1000] @ heapprofile
     1:      500 [     1:      500] @ 0x00401001 0x7f0000002001
     2:      100 [     4:      500] @ 0x00401101

MAPPED_LIBRARIES:
00400000-00402000 r-xp 00001000 00:00 0           /bin/prog
7f0000000000-7f0000010000 r--p 00000000 00:00 123 /lib/my lib.so (deleted)
7fff0000-7fff1000 rw-p 00000000 00:00 0
"""


def test_a_file_is_read() -> None:
    file = gperftools.parse(FILE)
    assert file.kind == "heapprofile" and not file.sampled and file.warnings == ()
    assert file.header == HeapRecord(3, 600, 5, 1000, ())
    # Return addresses, the leaf's included, become addresses of the call.
    assert file.records[0] == HeapRecord(1, 500, 1, 500, (0x401000, 0x7F0000002000))
    assert file.mappings[0] == Mapping(0x400000, 0x402000, "r-xp", 0x1000, "/bin/prog")
    assert file.mappings[1].path == "/lib/my lib.so (deleted)"
    assert [mapping.executable for mapping in file.mappings] == [True, False, False]


@pytest.mark.parametrize(
    ("label", "period"),
    [
        ("heapprofile", 1),
        ("heap_v2/524288", 524288),
        ("heapz_v2/1000", 1000),
        ("heap/1000", 500),
        ("growth", 1),
        ("growthz", 1),
    ],
)
def test_kinds_and_their_periods(label: str, period: int) -> None:
    file = gperftools.parse(f"heap profile: 0: 0 [0: 0] @ {label}\n".encode())
    assert (file.period, file.records) == (period, ())


def test_sampling_is_undone_record_by_record_as_pprof_does() -> None:
    data = b"heap profile: 3: 3000 [3: 3000] @ heap_v2/524288\n 2: 2000 [2: 2000] @ 0x1\n 1: 1000 [1: 1000] @ 0x2\n"
    columns = gperftools.parse(data).columns()
    objects, space = columns.values
    scale = 1 / (1 - math.exp(-1000 / 524288))
    assert space.tolist() == [int(2000 * scale), int(1000 * scale)]
    assert objects.tolist() == [int(2 * scale), int(scale)]
    # Each sample of 1,000 bytes stands for about 524,788: the error of two is about 1.4 times that of one.
    first, second = heaps.variance(objects, space, columns.period)
    assert first == pytest.approx(2 * second, rel=1e-3)
    assert math.sqrt(second) == pytest.approx(524788, rel=0.01)


def test_a_file_that_was_cut_at_a_mebibyte_is_said_to_be() -> None:
    data = FILE.replace(b"3:      600 [     5:     1000]", b"16384: 1048576 [16384: 1048576]")
    (warning,) = gperftools.parse(data).warnings
    assert "1,048,576 bytes in use" in warning and "2 records hold 600" in warning and "1 MiB" in warning


def test_memory_that_the_header_leaves_out_is_said_to_be() -> None:
    data = FILE.replace(b"3:      600 [     5:     1000]", b"0: 0 [0: 0]")
    (warning,) = gperftools.parse(data).warnings
    assert "HEAP_PROFILE_MMAP" in warning


def test_counts_that_overflowed_32_bits_are_mended() -> None:
    data = FILE.replace(b"[     1:      500]", b"[-1294967296:      500]")
    file = gperftools.parse(data)
    assert file.records[0].alloc_objects == 3_000_000_000
    assert any("32 bits" in warning for warning in file.warnings)


def test_a_difference_may_be_negative() -> None:
    data = b"heap profile: -1: -10 [0: 0] @ heapprofile\n -1: -10 [0: 0] @ 0x10\nMAPPED_LIBRARIES:\n"
    assert gperftools.parse(data).records[0].inuse_objects == -1


def test_a_file_without_a_map_says_so() -> None:
    data = b"heap profile: 1: 10 [1: 10] @ heapprofile\n 1: 10 [1: 10] @ 0x10\n"
    assert any("no memory map" in warning for warning in gperftools.parse(data).warnings)


def test_a_file_that_ends_inside_a_record_keeps_the_rest() -> None:
    file = gperftools.parse(FILE[: FILE.index(b"4:      500]")])
    assert len(file.records) == 1
    assert any("ends inside a record" in warning for warning in file.warnings)


@pytest.mark.parametrize(
    ("data", "offset", "words"),
    [
        (b"", 0, "a header"),
        (b"hello\n", 0, "a header"),
        (b"\n\nheap profile: 1: 1 [1: 1]\n", 2, "a header"),
        (b"heap profile: 1: 1 [1: 1] @ \n", 0, "the kind of profile"),
        (b"heap profile: 1: 1 [1: 1] @ cpu\n", 0, "one of the kinds"),
        (FILE.replace(b"     2:      100", b"   two:      100"), FILE.index(b"     2:      100"), "in line 3"),
        (b"heap profile: 1: 1234567890123456789012 [1: 1] @ heapprofile\n", 0, "a header"),
    ],
)
def test_what_is_no_heap_profile_is_an_error_at_a_byte(data: bytes, offset: int, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        gperftools.parse(data, "/tmp/x.heap")
    assert caught.value.offset == offset
    assert "/tmp/x.heap" in caught.value.message


def test_what_was_read_can_be_written() -> None:
    file = gperftools.parse(FILE)
    assert gperftools.parse(gperftools.dump(file)) == file


_NUMBERS = st.integers(0, 1 << 50)
_RECORDS = st.lists(
    st.builds(
        HeapRecord,
        st.integers(1, 1 << 40),
        _NUMBERS,
        st.integers(1, 1 << 40),
        _NUMBERS,
        st.lists(st.integers(0, (1 << 64) - 2), min_size=1, max_size=5).map(tuple),
    ),
    min_size=1,
    max_size=5,
)


@given(_RECORDS, st.sampled_from([("heapprofile", 1), ("heap_v2", 524288), ("heap", 1000), ("growth", 1)]))
def test_every_profile_survives_writing_and_reading(records: list[HeapRecord], kind: tuple[str, int]) -> None:
    maps = (Mapping(0x1000, 0x2000, "r-xp", 0, "/bin/prog"),)
    file = HeapFile(kind[0], kind[1], gperftools.totals(records), tuple(records), maps)
    assert replace(gperftools.parse(gperftools.dump(file)), warnings=()) == file


@given(st.binary(max_size=300), st.integers(0, len(FILE)), st.integers(0, len(FILE)))
def test_damage_never_crashes_the_reader(junk: bytes, start: int, end: int) -> None:
    for data in (junk, FILE[:start] + junk + FILE[end:], b"heap profile: 1: 1 [1: 1] @ heapprofile\n" + junk):
        try:
            gperftools.parse(data).columns().check()
        except InputError as error:
            assert error.offset is not None and 0 <= error.offset <= len(data)
