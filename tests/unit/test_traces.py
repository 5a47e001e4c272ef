# SPDX-License-Identifier: Apache-2.0
"""Every stack with its values, its site, and the reasons for missing names."""

from __future__ import annotations

import pytest

from heaptide.analysis.simplify import simple_name
from heaptide.analysis.site import site_of
from heaptide.analysis.traces import traces
from tests.builders.profiles import a_profile


def test_stacks_by_falling_value_with_their_sites() -> None:
    stacks = {"malloc@allocator f main": 30, "g main": 500, "malloc@allocator _start@runtime": 7, "h main": 0}
    found = traces(a_profile(stacks))
    assert [trace.value for trace in found.traces] == [500, 30, 7]
    assert [trace.site for trace in found.traces] == [0, 1, None]
    assert found.traces[0].values == {
        "alloc_objects": 100,
        "alloc_space": 1000,
        "inuse_objects": 50,
        "inuse_space": 500,
    }
    assert found.total == 537


def test_the_site_is_the_leafmost_frame_of_the_users_own() -> None:
    profile = a_profile({"malloc@allocator push@container work g_malloc@allocator main": 1})
    site = site_of(profile.frames_of(0))
    assert site is not None and site.function == "work"
    assert site_of(a_profile({"malloc@allocator": 1}).frames_of(0)) is None


def test_differences_are_ordered_by_their_size() -> None:
    found = traces(a_profile({"f main": 1, "g main": 50}) - a_profile({"f main": 100, "g main": 10}))
    assert [trace.value for trace in found.traces] == [-99, 40] and found.is_difference


@pytest.mark.parametrize(
    ("name", "simple"),
    [
        ("main", "main"),
        ("std::vector<int, std::allocator<int> >::push_back(int const&)", "std::vector::push_back"),
        ("void f<int>(int)", "f"),
        ("(anonymous namespace)::helper(int)", "(anonymous namespace)::helper"),
        ("void (anonymous namespace)::g<char>(char)", "(anonymous namespace)::g"),
        ("A::operator()(int) const", "A::operator()"),
        ("A::operator<(A const&) const", "A::operator<"),
        ("std::ostream& operator<< <char>(std::ostream&)", "std::ostream& operator<<"),
        ("operator new(unsigned long)", "operator new"),
        ("A::operator->() const", "A::operator->"),
        ("f(void (*)(int))", "f"),
        ("my_operator_new(int)", "my_operator_new"),
        ("broken<", "broken<"),
        ("f()::{lambda(int)#1}::operator()(int) const", "f"),
    ],
)
def test_names_as_pprof_shows_them(name: str, simple: str) -> None:
    assert simple_name(name) == simple
