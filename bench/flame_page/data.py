# SPDX-License-Identifier: Apache-2.0
"""One made-up tree of calls, as the page's document and as the JSON that d3-flame-graph reads.

The tree is skewed as real ones are: most call paths hold next to nothing, a few hold most, and deep ones are common.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heaptide.render.page.document import Section, pack, section

MODULES = ("server", "libstdc++.so.6", "libc.so.6", "libpq.so.5", "libssl.so.3")
FUNCTIONS = 2000
DEEPEST = 60
_LEAST, _SHAPE = 64, 0.9
"""Bytes at each node: Pareto's distribution from the first on, with this exponent."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Nodes in depth-first order; node 0 is the root and holds nothing."""

    parent: npt.NDArray[np.int64]
    function: npt.NDArray[np.int64]
    """Index of each node's function."""
    own: npt.NDArray[np.int64]
    """Bytes at the node itself."""


def grown(nodes: int, seed: int) -> Tree:
    """A tree of so many nodes besides the root, the same for the same seed. No two siblings have the same function."""
    random = np.random.default_rng(seed)
    parent, depth, function = [0], [0], [0]
    callees: list[set[int]] = [set()]
    while len(parent) <= nodes:
        # A recent node as often as any at all: long chains, and wide ones.
        recent = len(parent) - 1 - int(random.integers(min(len(parent), 8)))
        above = recent if random.random() < 0.6 else int(random.integers(len(parent)))
        called = int(random.integers(FUNCTIONS))
        if depth[above] >= DEEPEST or called in callees[above]:
            continue
        callees[above].add(called)
        callees.append(set())
        parent.append(above)
        depth.append(depth[above] + 1)
        function.append(called)
    own = np.minimum(_LEAST * (random.pareto(_SHAPE, len(parent)) + 1), 1 << 30).astype(np.int64)
    own[0] = 0
    return _depth_first(np.array(parent), np.array(function), own)


def _depth_first(parent: npt.NDArray[np.int64], function: npt.NDArray[np.int64], own: npt.NDArray[np.int64]) -> Tree:
    callees: list[list[int]] = [[] for _ in parent]
    for node in range(1, len(parent)):
        callees[parent[node]].append(node)
    order, waiting = [], [0]
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting.extend(reversed(callees[node]))
    number = np.empty(len(parent), np.int64)
    number[order] = np.arange(len(parent))
    return Tree(number[parent[order]], function[order], own[order])


def name_of(function: int) -> str:
    """As long as C++ names are."""
    return f"app::module{function % 37}::Handler<int, std::string>::call_{function}(Request const&, Response*)"


def document(tree: Tree) -> bytes:
    """The page's document of one moment: a stack for each node that holds anything."""
    size = len(tree.parent)
    functions = np.arange(FUNCTIONS)
    nothing = np.zeros(FUNCTIONS, np.int64)
    leaf = np.flatnonzero(tree.own)
    sections: dict[str, Section] = {
        "frame.function": section("u32", functions + 1),
        "frame.module": section("u32", functions % len(MODULES) + 1),
        **{f"frame.{name}": section("u32", nothing) for name in ("file", "reason", "line")},
        "frame.flags": section("u8", np.where(functions % len(MODULES) < 1, 0, functions % 4 << 1)),
        "frame.address": section("f64", np.full(FUNCTIONS, -1.0)),
        "heap.node.parent": section("varint", np.arange(size) - tree.parent),
        "heap.node.frame": section("u32", tree.function),
        "heap.stack.leaf": section("u32", leaf),
        "heap.stack.site": section("u32", leaf),
    }
    for column, values in {"space": tree.own[leaf], "objects": np.ones(len(leaf), np.int64)}.items():
        sections[f"heap.alloc_{column}"] = sections[f"heap.inuse_{column}"] = section("varint", values)
    return pack(_header(tree, len(leaf)), sections)


def _header(tree: Tree, stacks: int) -> dict[str, object]:
    total = int(tree.own.sum())
    moments = {"number": [1], "kind": ["end"], "t_s": [1.0], "wall": ["12:00:00"], "in_use": [total]}
    sizes = {"in_use_error": [0], "allocated": [total], "total_snapshots": 1, "end": 0, "peak": 0}
    nodes = len(tree.parent)
    data = {"kind": "heap", "label": "blocks", "stacks": stacks, "folded": 0, "nodes": nodes, "scale": 1}
    headline = {"verdict": "none", "text": "", "detail": ""}
    return {
        "schema": 1,
        "tool": "bench",
        "view": "flame",
        "start": "",
        **dict.fromkeys(("title", "capture", "command", "growth_text"), "bench"),
        **dict.fromkeys(("pid", "started_ms", "errors", "ledger", "survivors")),
        **dict.fromkeys(("live", "damaged"), False),
        **{name: [] for name in ("warnings", "costs", "top_sites", "suspects", "sources")},
        "mode": "exact",
        "duration_s": 1.0,
        "headline": headline,
        "moments": moments | sizes,
        "strings": [name_of(function) for function in range(FUNCTIONS)],
        "modules": list(MODULES),
        "datasets": [data | {"values": ["inuse_space"]}],
    }


def nested(tree: Tree) -> str:
    """The tree as d3-flame-graph wants it: names, values with everything below, children."""
    total = tree.own.copy()
    for node in range(len(total) - 1, 0, -1):
        total[tree.parent[node]] += total[node]
    names = ["all", *(name_of(function) for function in tree.function[1:].tolist())]
    callees: list[list[object]] = [[] for _ in names]
    made = [
        {"name": name, "value": value, "children": below}
        for name, value, below in zip(names, total.tolist(), callees, strict=True)
    ]
    for node in range(1, len(made)):
        callees[tree.parent[node]].append(made[node])
    return json.dumps(made[0], separators=(",", ":"))
