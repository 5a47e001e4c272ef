# SPDX-License-Identifier: Apache-2.0
"""Trees of stacks, and what folding the small ones keeps: every total, the largest functions, nothing else invented."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from heaptide.analysis import page_stacks
from heaptide.analysis.page_stacks import FOLDED, PageStacks, fold, importance, largest
from heaptide.analysis.prefix_tree import PrefixTree, ancestors_at, depths, prefix_tree
from heaptide.analysis.report import report
from heaptide.analysis.stack_changes import stack_changes_of
from heaptide.model import VALUES
from heaptide.model.changes import COUNTERS, changes_of_totals
from heaptide.render.page import make
from heaptide.render.page.make import document, room_beside
from tests.builders.page_reader import Page
from tests.builders.profiles import a_profile, a_series


def some_stacks(seed: int, count: int = 300) -> dict[str, int]:
    """Call paths below a few callers, leaf first as `a_profile` wants them; a few hold most."""
    draw = random.Random(seed)
    stacks: dict[str, int] = {}
    while len(stacks) < count:
        depth = draw.randrange(1, 7)
        path = [f"f{draw.randrange(9)}" for _ in range(depth)]
        stacks[" ".join(["malloc@allocator", *path, "main"])] = 10 + int(10**6 / (1 + len(stacks)) ** 1.5)
    return stacks


def blocks(seed: int = 1) -> PageStacks:
    return page_stacks.page_stacks(stack_changes_of([a_profile(some_stacks(seed))]), "heap")


def test_a_tree_holds_its_stacks() -> None:
    stacks = [(1, 2, 3), (1,), (2,), (1, 2, 4), (), (1, 2, 3)]
    tree = prefix_tree(stacks)
    assert (tree.parent[1:] < np.arange(1, len(tree.parent))).all()
    assert tree.parent[0] == 0 and tree.frame[0] == -1
    assert [path_of(tree, leaf) for leaf in tree.leaf.tolist()] == stacks
    assert len(tree.parent) == 1 + len({stack[:length] for stack in stacks for length in range(1, len(stack) + 1)})
    assert depths(tree)[tree.leaf].tolist() == [len(stack) for stack in stacks]
    assert [len(path_of(tree, node)) for node in range(len(tree.parent))] == depths(tree).tolist()


def path_of(tree: PrefixTree, node: int) -> tuple[int, ...]:
    out = []
    while node:
        out.append(int(tree.frame[node]))
        node = int(tree.parent[node])
    return tuple(reversed(out))


def test_ancestors() -> None:
    tree = prefix_tree([(1, 2, 3)])
    assert ancestors_at(tree, np.array([3, 3, 3, 1]), np.array([0, 2, 3, 5])).tolist() == [3, 1, 0, 0]


def test_the_largest_value_of_each_stack() -> None:
    totals = {name: np.array([5, 9, 2, 7, -8]) for name in COUNTERS}
    row, moment = np.array([0, 0, 0, 2, 2]), np.array([0, 1, 2, 0, 1])
    changes = changes_of_totals(3, 3, row, moment, totals, {}, 1)
    assert largest(changes, "inuse_space").tolist() == [9, 0, 8]


def test_folding_keeps_the_totals_and_names_no_stack_twice() -> None:
    whole = blocks()
    keep = importance(whole) > np.median(importance(whole))
    part = fold(whole, keep)
    assert part.folded == int((~keep).sum()) and len(part.paths) < len(whole.paths)
    assert len(set(zip(part.paths, part.site.tolist(), strict=True))) == len(part.paths)
    for name in COUNTERS:
        assert part.changes.totals(name).tolist() == whole.changes.totals(name).tolist()
    kept = {path for path, flag in zip(whole.paths, keep.tolist(), strict=True) if flag}
    assert kept <= set(part.paths)
    for path in set(part.paths) - kept:
        assert any(part.frames[frame] is FOLDED for frame in path)


def test_a_folded_path_hangs_below_its_nearest_kept_caller() -> None:
    whole = blocks()
    keep = importance(whole) > np.quantile(importance(whole), 0.8)
    part = fold(whole, keep)
    prefixes = {
        path[:end] for path, flag in zip(whole.paths, keep, strict=True) if flag for end in range(len(path) + 1)
    }
    expected = set()
    for path, flag in zip(whole.paths, keep.tolist(), strict=True):
        if not flag:
            expected.add(max((path[:end] for end in range(len(path) + 1) if path[:end] in prefixes), key=len))
    folded = len(part.frames) - 1
    assert {path[: path.index(folded)] for path in part.paths if folded in path} == expected


def test_the_sites_of_large_functions_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = blocks()
    monkeypatch.setattr(page_stacks, "_NAMED", 4)
    part = fold(whole, importance(whole) > np.quantile(importance(whole), 0.9))
    flat = [by_site(one) for one in (whole, part)]
    weights = np.zeros(len(whole.frames))
    np.add.at(weights, whole.site_frame, importance(whole))
    largest_sites = np.argsort(-weights)[:4].tolist()
    assert all(flat[0][site] == flat[1][site] for site in largest_sites)
    assert sum(flat[0].values()) == sum(flat[1].values())
    assert any(flat[0][site] != flat[1].get(site) for site in flat[0])


def by_site(found: PageStacks) -> dict[int, int]:
    out: dict[int, int] = {}
    for row, size in zip(found.changes.row.tolist(), found.changes.columns["inuse_space"].tolist(), strict=True):
        site = int(found.site_frame[row])
        out[site] = out.get(site, 0) + size
    return out


def test_a_document_keeps_within_its_room() -> None:
    found = report(a_series(a_profile(some_stacks(2, 3000))))
    whole = document(found, no_lines)
    room = len(whole.data) * 3 // 4
    small = document(found, no_lines, room=room)
    assert len(small.data) <= room
    page, full = Page(small.data), Page(whole.data)
    (info,) = page.header["datasets"]
    assert 0 < info["folded"] < 3000 and full.header["datasets"][0]["folded"] == 0
    for value in VALUES:
        assert page.values("heap", value, -1, 0).sum() == full.values("heap", value, -1, 0).sum()
    assert None in [frame for leaf in page.columns["heap.stack.leaf"].tolist() for frame in page.path("heap", leaf)]


def test_what_cannot_be_made_to_fit_is_as_small_as_can_be() -> None:
    found = report(a_series(a_profile(some_stacks(3))))
    small = document(found, no_lines, room=100)
    (info,) = Page(small.data).header["datasets"]
    assert info["folded"] >= 0.9 * info["stacks"] and len(small.data) < len(document(found, no_lines).data)


def test_what_is_accused_is_kept_first() -> None:
    whole = blocks()
    accused = np.zeros(len(whole.paths), bool)
    smallest = int(np.argmin(importance(whole)))
    accused[smallest] = True
    assert int(np.argmax(importance(whole, accused))) == smallest


def test_mappings_and_blocks_share_the_room() -> None:
    found = report(a_series(a_profile(some_stacks(4, 800))))
    both = replace(found, stacks=(found.stacks[0], replace(found.stacks[0], kind="mmap")))
    whole = document(both, no_lines)
    small = Page(document(both, no_lines, room=len(whole.data) * 3 // 4).data)
    folded = [info["folded"] for info in small.header["datasets"]]
    assert min(folded) > 0 and abs(folded[0] - folded[1]) <= 1


def test_room_counts_what_stands_beside_a_document() -> None:
    assert room_beside("") * 4 / 3 <= make.REPORT_ROOM
    assert room_beside("x" * 4_000_000) * 4 / 3 + 4_000_000 <= make.REPORT_ROOM
    assert room_beside("x" * 6_000_000) < 0 or room_beside("x" * 6_000_000) == -1000


def no_lines(_: str) -> str:
    return "there is no source"
