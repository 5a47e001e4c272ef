# SPDX-License-Identifier: Apache-2.0
"""Choosing stacks and parts of stacks: by hand, and against a plain loop over lists."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.analysis.choose import chosen
from heaptide.analysis.filters import ByName, prune, prune_from, show_from
from heaptide.analysis.patterns import BadPattern, Regex
from heaptide.model.columns import Columns
from heaptide.model.heap_frames import DROP_FRAMES
from tests.builders.profiles import a_profile
from tests.builders.some_columns import some_columns, stacks_of


def columns(*stacks: str) -> Columns:
    return some_columns([(stack, (1, 10 * (i + 1))) for i, stack in enumerate(stacks)])


def left(found: Columns) -> list[str]:
    found.check()
    return [stack for stack, _ in stacks_of(found)]


STACKS = ("leaf a main", "leaf+ b main", "c main", "other")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"focus": "^a$"}, ["leaf a main"]),
        ({"focus": "leaf"}, ["leaf a main", "leaf+b main"]),
        ({"focus": "/src/c.c"}, ["c main"]),
        ({"focus": "prog"}, ["leaf a main", "leaf+b main", "c main", "other"]),
        ({"ignore": "leaf"}, ["c main", "other"]),
        ({"focus": "leaf", "ignore": "^a$"}, ["leaf+b main"]),
        ({"hide": "leaf"}, ["a main", "b main", "c main", "other"]),
        ({"hide": "^(c|main)$"}, ["leaf a", "leaf+b", "other"]),
        ({"show": "leaf|main"}, ["leaf main", "leaf main", "main"]),
        ({"focus": "leaf", "hide": "leaf"}, ["a main", "b main"]),
    ],
)
def test_by_name(wanted: dict[str, str], expected: list[str]) -> None:
    found = ByName(**{name: re.compile(text) for name, text in wanted.items()}).apply(columns(*STACKS))
    assert left(found.columns) == expected and found.idle == ()


def test_what_matched_nothing_is_told() -> None:
    found = ByName(focus=re.compile("nothing"), hide=re.compile("leaf")).apply(columns(*STACKS))
    assert found.idle == ("focus",) and left(found.columns) == []


def test_show_from_keeps_what_lies_below_the_highest_match() -> None:
    found = show_from(columns("x a y a main", "x+ a+ z main", "x main"), re.compile("^a$"))
    assert left(found.columns) == ["x a y a", "x+a"]
    assert show_from(columns("x"), re.compile("nothing")).idle == ("show_from",)


def test_prune_from_drops_what_lies_below_the_lowest_match() -> None:
    found = prune_from(columns("x a y a main", "x+ a+ z main", "x main"), re.compile("^a$"))
    assert left(found.columns) == ["a y a main", "a+z main", "x main"]


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        ("malloc work main", "work main"),
        ("deep malloc work main", "work main"),
        ("malloc+ work main", "work main"),
        ("malloc new work main", "work main"),
        ("malloc", "malloc"),
        ("malloc new", "malloc new"),
        ("a malloc b malloc c", "c"),
        ("malloc work malloc", "work malloc"),
        ("keep_malloc work main", "keep_malloc work main"),
        ("inner+ malloc+ outer main", "outer main"),
    ],
)
def test_frames_of_the_allocator_are_dropped_with_what_they_called(stack: str, expected: str) -> None:
    dropping = replace(columns(stack), drop_frames=".*malloc|new", keep_frames="keep_.*")
    assert left(prune(dropping)) == [expected]
    assert left(prune(replace(dropping, drop_frames=""))) == [stack.replace("+ ", "+")]


def test_parameters_do_not_keep_a_name_from_being_dropped() -> None:
    found = columns("new work")
    names = ["operator new(unsigned long)", ".(anonymous namespace)::work(int)"]
    named = replace(found, functions=replace(found.functions, name=names), drop_frames="operator new")
    assert left(prune(named)) == [".(anonymous namespace)::work(int)"]


def test_patterns_of_a_file_end_in_time() -> None:
    """Python's re would try 2**40 ways here."""
    assert left(prune(replace(columns("a" * 40 + " main"), drop_frames="(a|a)*b"))) == ["a" * 40 + " main"]
    with pytest.raises(BadPattern, match="missing"):
        prune(replace(columns("a"), drop_frames="("))


def test_names_that_are_no_utf_8_are_matched_where_they_can_be() -> None:
    assert Regex("^a.b$").search("a\udcffb") and not Regex("^ab$").search("a\udcffb") and Regex("ö").search("grö")


@pytest.mark.parametrize(
    ("name", "dropped"),
    [
        ("malloc", True),
        ("operator new", True),
        ("operator new[]", True),
        ("std::__new_allocator::allocate", True),
        ("tcmalloc::allocate_full_cpp_throw_oom", True),
        ("tc_malloc", True),
        ("my_malloc", False),
        ("std::vector::push_back", False),
        ("reallocate", False),
    ],
)
def test_what_heaps_drop(name: str, dropped: bool) -> None:
    assert (Regex(DROP_FRAMES).fullmatch(name) is not None) is dropped


_WORDS = st.sampled_from(["a", "b", "c", "d+", "e+"])
_LISTS = st.lists(st.lists(_WORDS, min_size=1, max_size=6), min_size=1, max_size=6)
_PATTERN = st.sets(st.sampled_from("abcde"), max_size=3)


@given(_LISTS, _PATTERN, _PATTERN, _PATTERN)
def test_against_a_plain_loop(lists: list[list[str]], focus: set[str], ignore: set[str], hide: set[str]) -> None:
    stacks = [" ".join([*words, "a"]).replace("+ ", "+").split() for words in lists]
    wanted = {"focus": focus, "ignore": ignore, "hide": hide}
    patterns = {name: re.compile(f"^[{''.join(sorted(letters))}]$") for name, letters in wanted.items() if letters}
    expected = [_chosen(stack, focus, ignore, hide) for stack in stacks]
    found = ByName(**patterns).apply(columns(*(" ".join(stack).replace("+", "+ ") for stack in stacks)))
    assert left(found.columns) == [stack for stack in expected if stack]


def _chosen(stack: list[str], focus: set[str], ignore: set[str], hide: set[str]) -> str:
    names = {name for place in stack for name in place.split("+")}
    if (focus and not names & focus) or names & ignore:
        return ""
    places = ["+".join(name for name in place.split("+") if name not in hide) for place in stack]
    return " ".join(place for place in places if place)


@given(_LISTS, _PATTERN, _PATTERN, _PATTERN)
def test_profiles_are_filtered_as_columns_are(
    lists: list[list[str]], focus: set[str], ignore: set[str], hide: set[str]
) -> None:
    wanted = {"focus": focus, "ignore": ignore, "hide": hide}
    by_name = ByName(**{name: re.compile(f"^[{''.join(letters)}]$") for name, letters in wanted.items() if letters})
    profile = a_profile({" ".join([*words, "a"]): 10 for words in lists})
    found = chosen(profile, by_name)
    found.check()
    ours = [" ".join(frame.function or "" for frame in found.frames_of(row)) for row in range(len(found))]
    stacks = [" ".join(frame.function or "" for frame in profile.frames_of(row)) for row in range(len(profile))]
    theirs = by_name.apply(columns(*stacks)).columns
    assert ours == left(theirs)
