# SPDX-License-Identifier: Apache-2.0
"""The call graph: weights, trimming, residual edges; on graphs small enough to be drawn by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.analysis.call_tree import TreeMaker
from heaptide.analysis.drafts import GraphMaker, Weights
from heaptide.analysis.graph import CallGraph, Trim, call_graph
from heaptide.analysis.importance import Order
from heaptide.analysis.places import walks
from heaptide.analysis.site import no_frame
from tests.builders.profiles import a_profile

EVERYTHING = Trim(nodecount=0, nodefraction=0, edgefraction=0)


def nodes(graph: CallGraph) -> dict[str, tuple[float, float]]:
    return {node.place.function or "?": (node.flat, node.cum) for node in graph.nodes}


def edges(graph: CallGraph) -> dict[tuple[str, str], tuple[float, bool, bool]]:
    name = [node.place.function or "?" for node in graph.nodes]
    return {(name[e.source], name[e.target]): (e.weight, e.residual, e.inline) for e in graph.edges}


def test_nodes_and_edges() -> None:
    graph = call_graph(a_profile({"c b a": 5, "c a": 3, "a": 1, "d+ b a": 2}), trim=EVERYTHING)
    assert nodes(graph) == {"a": (1, 11), "b": (0, 7), "c": (8, 8), "d": (2, 2)}
    assert edges(graph) == {
        ("a", "b"): (7, False, False),
        ("b", "c"): (5, False, False),
        ("a", "c"): (3, False, False),
        ("b", "d"): (2, False, True),
    }
    assert (graph.total, graph.whole, graph.shown) == (11, 11, 11)


def test_recursion_counts_once_and_makes_no_edge_to_itself() -> None:
    graph = call_graph(a_profile({"b b a b a": 4}), trim=EVERYTHING)
    assert nodes(graph) == {"a": (0, 4), "b": (4, 4)}
    assert edges(graph) == {("a", "b"): (4, False, False), ("b", "a"): (4, False, False)}


def test_the_site_gets_the_flat_value() -> None:
    stacks = {"malloc@allocator push@container f main": 5}
    assert nodes(call_graph(a_profile(stacks), trim=EVERYTHING)) == {"f": (5, 5), "main": (0, 5)}
    assert "malloc" in nodes(call_graph(a_profile(stacks), trim=EVERYTHING, skip=no_frame))


def test_small_nodes_are_left_out_and_the_edge_across_them_is_residual() -> None:
    # b is too small; of what c holds, some comes through it.
    stacks = {"c b a": 10, "c x a": 500, "d a": 490}
    graph = call_graph(a_profile(stacks), trim=Trim(nodefraction=0.05))
    assert set(nodes(graph)) == {"a", "c", "d", "x"}
    assert graph.dropped_nodes == 1
    # ... but c is reached from a by way of x, so the residual edge tells nothing new.
    assert ("a", "c") not in edges(graph)
    graph = call_graph(a_profile({"c b a": 1000, "d a": 10, "b a": -995}), trim=Trim(nodefraction=0.5))
    assert edges(graph) == {("a", "c"): (1000, True, False), ("a", "d"): (10, False, False)}


def test_nobody_gets_the_flat_value_of_a_leaf_that_is_left_out() -> None:
    graph = call_graph(a_profile({"tiny a": 1, "a": 999}), trim=Trim(nodefraction=0.01))
    assert nodes(graph) == {"a": (999, 1000)}


def test_the_most_important_nodes_are_kept() -> None:
    stacks = {f"leaf{i} mid{i} main": 100 + i for i in range(50)}
    graph = call_graph(a_profile(stacks), trim=Trim(nodecount=10, nodefraction=0, edgefraction=0))
    assert len(graph.nodes) == 10 and graph.nodes_before_count == 101
    assert graph.nodes[0].place.function == "main"
    assert all(edge.source < 10 and edge.target < 10 for edge in graph.edges)


def test_small_edges_are_dropped() -> None:
    graph = call_graph(a_profile({"b a": 5, "b c": 995, "a": 500}), trim=Trim(nodefraction=0, edgefraction=0.01))
    assert set(edges(graph)) == {("c", "b")} and graph.dropped_edges == 1


def test_shares_of_a_filtered_profile_refer_to_the_whole() -> None:
    assert call_graph(a_profile({"b a": 5}), whole=50.0).whole == 50


def test_an_empty_profile_has_no_nodes() -> None:
    assert call_graph(a_profile({"a": 0})).nodes == ()


@pytest.mark.parametrize("order", ["flat", "cum", "entropy"])
def test_the_order_does_not_depend_on_the_order_of_stacks(order: Order) -> None:
    stacks = {f"l{i} m{i % 3} main": 10 for i in range(12)}
    backwards = dict(reversed(stacks.items()))
    forward = [node.place for node in call_graph(a_profile(stacks), order=order).nodes]
    assert forward == [node.place for node in call_graph(a_profile(backwards), order=order).nodes]


_STACKS = st.dictionaries(
    st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=7).map(" ".join),
    st.integers(-100, 1000),
    min_size=1,
    max_size=8,
)


@given(_STACKS, st.sets(st.sampled_from("abcdefg"), max_size=4))
def test_against_a_plain_walk(stacks: dict[str, int], hidden: set[str]) -> None:
    """The graph over any set of kept nodes against the definition, step by step."""
    profile = a_profile(stacks)
    steps = walks(profile, "inuse_space", "name", no_frame)
    every = GraphMaker(steps, Weights(profile.column("inuse_space"))).all()
    kept = [i for i, place in enumerate(every.place.tolist()) if steps.places[place].function not in hidden]
    draft = every.only(np.array(kept, np.int64))
    names = [steps.places[place].function or "?" for place in draft.place.tolist()]
    flat: Counter[str] = Counter()
    cum: Counter[str] = Counter()
    weight: Counter[tuple[str, str]] = Counter()
    residual: dict[tuple[str, str], bool] = {}
    for stack, value in stacks.items():
        if value:
            _walk(stack.split()[::-1], value, hidden, flat, cum, weight, residual)
    assert dict(zip(names, draft.cum.tolist(), strict=True)) == {**dict.fromkeys(names, 0), **cum}
    assert dict(zip(names, draft.flat.tolist(), strict=True)) == {**dict.fromkeys(names, 0), **flat}
    edges = draft.edges
    ends = [(names[a], names[b]) for a, b in zip(edges.source.tolist(), edges.target.tolist(), strict=True)]
    found = dict(zip(ends, zip(edges.weight.tolist(), edges.residual.tolist(), strict=True), strict=True))
    assert found == {pair: (weight[pair], residual[pair]) for pair in residual}


def _walk(
    path: list[str],
    value: int,
    hidden: set[str],
    flat: Counter[str],
    cum: Counter[str],
    weight: Counter[tuple[str, str]],
    residual: dict[tuple[str, str], bool],
) -> None:
    parent, skipped, seen_nodes, seen_edges = None, False, set(), set()
    for name in path:
        if name in hidden:
            skipped = True
            continue
        if name not in seen_nodes:
            seen_nodes.add(name)
            cum[name] += value
        if parent is not None and parent != name and (parent, name) not in seen_edges:
            seen_edges.add((parent, name))
            weight[parent, name] += value
            residual[parent, name] = residual.get((parent, name), False) or skipped
        parent, skipped = name, False
    if parent is not None and not skipped:
        flat[parent] += value


@given(_STACKS, st.sets(st.sampled_from("abcdefg"), max_size=4))
def test_a_tree_against_a_plain_walk(stacks: dict[str, int], hidden: set[str]) -> None:
    """The tree over the paths whose last name is not hidden: children of a hidden path go to its nearest kept one."""
    profile = a_profile(stacks)
    steps = walks(profile, "inuse_space", "name", no_frame)
    every = TreeMaker(steps, Weights(profile.column("inuse_space"))).all()
    names = [steps.places[place].function or "?" for place in every.place.tolist()]
    draft = every.only(np.array([i for i, name in enumerate(names) if name not in hidden], np.int64))
    expected: Counter[tuple[str, str, int]] = Counter()  # (parent, child, weight) of each kept path below another
    cum: Counter[str] = Counter()
    paths: Counter[str] = Counter()
    for stack, value in stacks.items():
        path = stack.split()[::-1] if value else []
        for end in range(1, len(path) + 1):
            paths[" ".join(path[:end])] += value
    for text, value in paths.items():
        *above, last = text.split()
        if last not in hidden:
            cum[last] += value
            kept = [name for name in above if name not in hidden]
            if kept:
                expected[kept[-1], last, value] += 1
    names = [steps.places[place].function or "?" for place in draft.place.tolist()]
    found: Counter[str] = Counter()
    for name, value in zip(names, draft.cum.tolist(), strict=True):
        found[name] += value
    assert {n: v for n, v in found.items() if v} == {n: v for n, v in cum.items() if v}
    edges = draft.edges
    ends = zip(edges.source.tolist(), edges.target.tolist(), edges.weight.tolist(), strict=True)
    assert Counter((names[a], names[b], weight) for a, b, weight in ends) == expected
