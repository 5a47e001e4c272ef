# SPDX-License-Identifier: Apache-2.0
"""The flat and cumulative table, on stacks with known answers."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.analysis.site import no_frame, not_users
from heaptide.analysis.top import Row, Top, top
from heaptide.model import Profile, StackTable
from tests.builders.profiles import a_frame, a_profile

STACKS = {
    "malloc@allocator emplace@container work:7+ serve:3 main:9": 600,
    "malloc@allocator work:8 serve:3 main:9": 300,
    "strdup@allocator main:5": 100,
    "malloc@allocator _start@runtime": 50,
    "free@allocator main:5": 0,
}


def rows(table: Top) -> dict[str, tuple[float, float]]:
    return {row.place.function or "?": (row.flat, row.cum) for row in table.rows}


def row_of(table: Top, function: str) -> Row:
    return next(row for row in table.rows if row.place.function == function)


def test_flat_belongs_to_the_site_and_cum_to_every_caller() -> None:
    table = top(a_profile(STACKS))
    assert rows(table) == {
        "work": (900, 900),
        "serve": (0, 900),
        "main": (100, 1000),
        # A stack without any code of the user's own is kept whole.
        "malloc": (50, 50),
        "_start": (0, 50),
    }
    assert (table.total, table.whole, table.error, table.unit) == (1050, 1050, 0, "bytes")
    assert [row.place.function for row in table.rows] == ["work", "main", "malloc", "serve", "_start"]


def test_all_frames_can_be_kept() -> None:
    table = top(a_profile(STACKS), skip=no_frame)
    assert rows(table)["malloc"] == (950, 950)
    assert rows(table)["emplace"] == (0, 600)
    assert rows(table)["work"] == (0, 900)


def test_order_by_cum() -> None:
    assert [row.place.function for row in top(a_profile(STACKS), cum=True).rows][:3] == ["main", "work", "serve"]


def test_by_line_and_the_heaviest_line_of_a_function() -> None:
    table = top(a_profile(STACKS), by="line")
    lines = {(row.place.function, row.place.line): row.flat for row in table.rows}
    assert lines["work", 7] == 600 and lines["work", 8] == 300
    work = row_of(top(a_profile(STACKS)), "work")
    assert (work.file, work.line, work.lines, work.module) == ("/src/work.c", 7, 2, "/bin/prog")


@pytest.mark.parametrize(("by", "names"), [("file", {"/src/work.c", "/src/main.c"}), ("module", {"/bin/prog"})])
def test_by_file_and_by_module(by: str, names: set[str]) -> None:
    table = top(a_profile(STACKS), by=by)  # type: ignore[arg-type]
    assert names <= {row.place.file or row.place.module or "" for row in table.rows}
    assert sum(row.flat for row in table.rows) == table.total


def test_recursion_counts_once() -> None:
    table = top(a_profile({"f g f g f main": 10, "f f main": 1}))
    assert rows(table) == {"f": (11, 11), "g": (0, 10), "main": (0, 11)}


def test_other_values() -> None:
    table = top(a_profile(STACKS), value="alloc_objects")
    assert rows(table)["work"] == (180, 180) and table.unit == "objects"
    with pytest.raises(KeyError):
        top(a_profile(STACKS), value="contentions")


def test_errors_of_independent_stacks_add_up_in_squares() -> None:
    profile = a_profile({"f main": 1000, "g main": 500}, errors={"f main": 30, "g main": 40})
    table = top(profile)
    assert table.sampled
    assert row_of(table, "f").flat_error == pytest.approx(1.96 * 30)
    assert row_of(table, "main").cum_error == pytest.approx(1.96 * 50)
    assert row_of(table, "main").flat_error == 0
    assert table.error == pytest.approx(1.96 * 50)


def test_differences_keep_their_signs() -> None:
    new, old = a_profile({"f main": 100, "g main": 10}), a_profile({"f main": 40, "g main": 60})
    table = top(new - old)
    assert rows(table) == {"f": (60, 60), "g": (-50, -50), "main": (0, 10)}
    assert (table.total, table.whole, table.is_difference) == (10, 110, True)


def test_code_without_a_name_keeps_its_address_and_reason() -> None:
    table = top(a_profile({"0x1234 main": 5, "0x1238 main": 6}))
    unnamed = [row for row in table.rows if row.place.function is None]
    assert [(row.place.address, row.flat) for row in unnamed] == [(0x1238, 6), (0x1234, 5)]
    assert unnamed[0].place.unresolved == "stripped: no symbol covers 0x1238"


def test_functions_of_one_name_in_two_files_are_two() -> None:
    frames = [a_frame("f"), a_frame("main")]
    other = type(frames[0])("f", "/src/elsewhere.c", 1, "/bin/prog", None)
    profile = a_profile({"f main": 1, "g main": 2})
    profile = Profile(StackTable([*frames, other], [(0, 1), (2, 1)]), profile.values)
    assert [(row.place.file, row.flat) for row in top(profile).rows][:2] == [("/src/elsewhere.c", 2), ("/src/f.c", 1)]
    assert rows(top(profile, by="name"))["f"] == (3, 3)


def test_an_empty_profile_has_no_rows() -> None:
    assert top(a_profile({})).rows == ()
    assert top(a_profile({"f main": 0})).rows == ()


def test_a_stack_without_frames_is_counted() -> None:
    profile = Profile(StackTable([], [()]), a_profile({"f": 7}).values)
    (row,) = top(profile).rows
    assert (row.flat, row.place.unresolved) == (7, "no stack was recorded")


_WORDS = st.sampled_from(["malloc@allocator", "a", "b:2", "b:3", "c", "d+", "main", "x@runtime", "0x10", "0x20"])
_STACKS = st.dictionaries(
    st.lists(_WORDS, min_size=1, max_size=6).map(" ".join), st.integers(-1000, 1 << 60), min_size=1, max_size=8
)


@given(_STACKS)
def test_against_a_plain_count(stacks: dict[str, int]) -> None:
    flat: Counter[object] = Counter()
    cum: Counter[object] = Counter()
    profile = a_profile(stacks)
    for row, value in enumerate(profile.column("inuse_space").tolist()):
        frames = profile.frames_of(row)
        kept = next((i for i, frame in enumerate(frames) if not not_users(frame)), 0)
        names = [frame.function or frame.address for frame in frames[kept:]]
        flat[names[0]] += value
        for name in set(names):
            cum[name] += value
    table = top(profile)
    for row_ in table.rows:
        name = row_.place.function or row_.place.address
        assert (row_.flat, row_.cum) == (flat[name], cum[name])
    assert math.isclose(sum(row_.flat for row_ in table.rows), table.total)


@pytest.mark.parametrize("cum", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_a_limit_makes_the_first_rows_and_counts_all(limit: int, cum: bool) -> None:
    profile = a_profile({"a m": 50, "b m": 50, "c m": 50, "d x m": 7, "malloc@allocator e:3 m": 20, "e:9 m": 1, "m": 4})
    whole = top(profile, cum=cum)
    table = top(profile, cum=cum, limit=limit)
    assert table.rows == whole.rows[:limit]
    assert table.row_count == whole.row_count == len(whole.rows)
    assert (table.total, table.whole) == (whole.total, whole.whole)
