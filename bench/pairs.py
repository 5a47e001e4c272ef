# SPDX-License-Identifier: Apache-2.0
"""Rows: nanoseconds that each form adds to a pair of malloc and free, in the loops of the shared bench folder.

`hot` is malloc and free in one loop, the price of interposition itself; `churn` replaces random live blocks under a
deep stack. Each round runs every form once; churn with one thread and with two share their rounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bench.figures import Line, Row, added
from bench.forms import Form
from bench.running import Bench, run

NS = re.compile(r"([0-9.]+) ns/")
ALL = ("plain", "forwarding", "dormant", "sampled", "exact", "heaptrack", "gperftools", "jemalloc")
NOT_SLOW = tuple(name for name in ALL if name != "gperftools")  # 2 million pairs of 20 us are too many


@dataclass(frozen=True)
class Loop:
    """One loop: `arguments` of the program with {n} for the iterations (of each thread)."""

    what: str
    program: str
    arguments: str
    iterations: int
    forms: tuple[str, ...] = ALL
    least: int = 0
    """Fewer iterations make no sense: the live blocks have to be there."""


def churn(depth: int) -> list[Loop]:
    """One thread, and two."""
    loops = [(1, 3_000_000), (2, 2_000_000)]
    name = "churn, {} thread{}, depth {}, 10k live"
    return [
        Loop(name.format(n, "s"[: n - 1], depth), "churn", f"{n} {{n}} {depth} 10000", iterations)
        for n, iterations in loops
    ]


def burst() -> list[Loop]:
    """Many calls from one path before the next."""
    return [Loop("churn, 1 thread, depth 20, burst 64", "churn", "1 {n} 20 10000 64", 3_000_000)]


def million(depth: int) -> list[Loop]:
    """A heap that no cache holds."""
    what = f"churn, 1 thread, depth {depth}, 1M live"
    return [Loop(what, "churn", f"1 {{n}} {depth} 1000000", 2_000_000, NOT_SLOW, 2_000_000)]


def once(bench: Bench, loop: Loop, form: Form) -> float:
    """Nanoseconds per pair, as the program itself measured them."""
    count = max(loop.iterations // form.fewer, loop.least) // bench.choose(100, 1, 1)
    output = run(bench, form, [bench.program(loop.program), *loop.arguments.format(n=count).split()]).output
    found = NS.search(output)
    if not found:
        raise SystemExit(f"bench: {loop.what} printed no figure as {form.name}: {output!r}")
    return float(found[1])


Figures = dict[str, list[float]]


def measure(bench: Bench, loops: list[Loop], rounds: int) -> Iterator[Line | None]:
    """All loops in turn, all forms in turn, `rounds` times; then the lines."""
    figures: list[Figures] = [{} for _ in loops]
    for _ in range(rounds):
        for loop, values in zip(loops, figures, strict=True):
            for form in bench.some_forms(*loop.forms):
                values.setdefault(form.name, []).append(once(bench, loop, form))
                yield None
    for loop, values in zip(loops, figures, strict=True):
        yield Line(loop.what, "ns/pair", added(values))
        if "heaptrack" in values:
            yield Line(f"{loop.what}: added, of heaptrack's", "1", {"exact": share(values, values, "heaptrack")})
    if len(loops) == 2:
        yield Line(f"{loops[1].what}: added, of 1 thread's", "1", {"exact": share(figures[1], figures[0], "exact")})


def share(ours: Figures, others: Figures, name: str) -> str:
    """What exact adds in `ours` as a part of what `name` adds in `others`, by minima."""
    theirs = min(others[name]) - min(others["plain"])
    return f"{(min(ours['exact']) - min(ours['plain'])) / theirs:.3f}" if theirs > 0 else "-"


def row(name: str, loops: list[Loop], part: int = 1) -> Row:
    """A row by that name; `part`: it takes so long that only one round in so many is made."""

    def rounds(bench: Bench) -> int:
        return max(1, bench.rounds // part)

    def steps(bench: Bench) -> int:
        return rounds(bench) * sum(len(bench.some_forms(*loop.forms)) for loop in loops)

    return Row(name, steps, lambda bench: measure(bench, loops, rounds(bench)))


def rows() -> list[Row]:
    """In the table's order."""
    hot = Loop("hot", "hot", "{n}", 20_000_000)
    return [
        row("hot", [hot]),
        *(row(f"churn-{depth}", churn(depth)) for depth in (5, 20, 60)),
        row("churn-burst", burst()),
        *(row(f"million-{depth}", million(depth), part=2) for depth in (5, 20, 60)),
    ]
