# SPDX-License-Identifier: Apache-2.0
"""Writes documents for work on the page: `python -m tools.sample_documents OUT [NAME...]`.

    demo       the leaking server of `heaptide demo`, sampled
    exact      the same, exact
    mapped     a program that maps memory itself and starts threads: the second dataset, the ledger
    month      a month of 50,000 stacks by bench.month (a minute or two)
    many       50,000 stacks with names as a program has them, made up (fixed seed)

For each NAME.htpg (the document) and, where the page is built, NAME.html (the report); the captures stay beside them.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import heaptide
from heaptide._errors import NothingToShow
from heaptide._types import Address
from heaptide.analysis.report import report
from heaptide.cli.sources import Sources
from heaptide.model import Frame, Profile, Role, Series, Snapshot, StackTable, StackTableBuilder
from heaptide.model.changes import COUNTERS, Changes, changes_of_totals
from heaptide.model.histories import NAMES, Histories
from heaptide.render.page import html
from heaptide.render.page.file import report_file
from heaptide.render.page.make import document

ROOT = Path(__file__).resolve().parent.parent
MANY, MOMENTS, DAY_S = 50_000, 150, 86_400.0


def record(out: Path, name: str, program: Sequence[str], *options: str) -> Series:
    """Runs a program under the agent."""
    capture = out / f"{name}.tide"
    capture.unlink(missing_ok=True)
    heap = [sys.executable, "-m", "heaptide", "run", *options, "-o", str(capture), "--", *program]
    subprocess.run(heap, check=True, stdout=subprocess.DEVNULL)
    return heaptide.open(capture)


def compiled(out: Path, source: Path, *more: str) -> str:
    program = out / source.stem
    subprocess.run(["cc", "-O2", "-g", "-o", str(program), str(source), "-pthread", *more], check=True)
    return str(program)


def server(out: Path) -> str:
    return compiled(out, ROOT / "src" / "heaptide" / "demo" / "server.c")


def demo(out: Path) -> Series:
    return record(out, "demo", [server(out), "1", "4"])


def exact(out: Path) -> Series:
    return record(out, "exact", [server(out), "2", "4"], "--exact")


def mapped(out: Path) -> Series:
    return record(out, "mapped", [compiled(out, ROOT / "tools" / "sample_mapped.c")], "--every", "50ms")


def month(out: Path) -> Series:
    path = out / "month.tide"
    if not path.exists():
        words = ["--tick", "600", "--keep", str(path)]
        subprocess.run([sys.executable, "-m", "bench.month", *words], check=True, cwd=ROOT)
    return heaptide.open(path)


# ---- Made up ---------------------------------------------------------------------------------------------------------


class Many:
    """Fifty thousand stacks over a month: most are steady, some grow, some breathe."""

    def __init__(self, draw: random.Random) -> None:
        self.stacks = _stacks(draw)
        rng = np.random.default_rng(draw.randrange(1 << 32))
        weight = 4e5 / np.arange(1, MANY + 1) ** 0.9
        time = np.linspace(0, 1, MOMENTS)[:, None]
        rate = np.where(rng.random(MANY) < 0.01, weight * 3, 0.0)
        wave = np.where(rng.random(MANY) < 0.1, 0.4, 0.02) * np.sin(2 * np.pi * (30 * time + rng.random(MANY)))
        held = weight * (1 - np.exp(-time * 40)) * (1 + wave) + rate * time
        busy = rng.random((MOMENTS, MANY)) < np.clip(2000 / np.arange(1, MANY + 1), 0.02, 1.0)
        busy[[0, -1]] = True
        latest = np.maximum.accumulate(np.where(busy, np.arange(MOMENTS)[:, None], 0), axis=0)
        held = np.take_along_axis(held, latest, axis=0).astype(np.int64)
        churn = np.cumsum(busy * rng.poisson(50, (MOMENTS, MANY)), axis=0) * 64
        size = rng.choice([16, 32, 48, 64, 100, 256, 1024, 4096], MANY)
        self.totals = {"alloc_space": held + churn, "inuse_space": held}
        self.totals |= {f"{kind}_objects": self.totals[f"{kind}_space"] // size for kind in ("alloc", "inuse")}

    def profile(self, index: int) -> Profile:
        now = {name: matrix[index] for name, matrix in self.totals.items()}
        return Profile(self.stacks, now, ids=np.arange(MANY), series=id(self))

    def changes(self, at: np.ndarray) -> Changes:
        stack, moment = (grid.reshape(-1) for grid in np.indices((MANY, len(at))))
        totals = {name: self.totals[name][at].T.reshape(-1) for name in COUNTERS}
        return changes_of_totals(MANY, len(at), stack, moment, totals, {}, 1)

    def histories(self, ids: np.ndarray, group: np.ndarray, count: int, at: np.ndarray) -> Histories:
        rows = [self._grouped(name, ids, group, count, at) for name in NAMES[:4]]
        zero = np.zeros((count, len(at)))
        return Histories((at + 1) * 30 * DAY_S / MOMENTS, *rows, zero, zero)

    def _grouped(self, name: str, ids: np.ndarray, group: np.ndarray, count: int, at: np.ndarray) -> np.ndarray:
        name = name.replace("bytes", "space")
        matrix = self.totals[name] if name in self.totals else self._freed(name)
        return np.array([np.bincount(group, matrix[moment, ids], count) for moment in at.tolist()]).T

    def _freed(self, name: str) -> np.ndarray:
        unit = name.removeprefix("free_")
        return self.totals[f"alloc_{unit}"] - self.totals[f"inuse_{unit}"]

    def snapshots(self) -> list[Snapshot]:
        in_use = self.totals["inuse_space"].sum(axis=1).tolist()
        allocated = self.totals["alloc_space"].sum(axis=1).tolist()
        began, step = 1_795_000_000, 30 * DAY_S / MOMENTS
        return [
            Snapshot(number, "time", round((began + number * step) * 1e9), number * step, live, ever)
            for number, (live, ever) in enumerate(zip(in_use, allocated, strict=True), start=1)
        ]


def _stacks(draw: random.Random) -> StackTable:
    """Random walks down a tree of some thousand functions."""
    builder = StackTableBuilder()
    functions = [
        f"app::{draw.choice(['net', 'db', 'ui', 'io'])}::Class{i % 400}::method_{i}(int, char const*)"
        for i in range(4000)
    ]
    called = {i: draw.sample(range(4000), 6) for i in range(4000)}
    rows: set[tuple[int, ...]] = set()
    while len(rows) < MANY:
        walk = [0]
        for _ in range(draw.randrange(5, 28)):
            walk.append(draw.choice(called[walk[-1]]))
        rows.add(tuple(walk))
    for walk in sorted(rows):
        frames = [_frame(functions[i], f"/src/app/file_{i % 300}.cc", 10 + i % 977, "/usr/bin/app", i) for i in walk]
        leaf = _frame("operator new(unsigned long)", None, None, "/usr/lib/libstdc++.so.6", 9000, "runtime")
        builder.add([leaf, *reversed(frames)])
    return builder.table()


def _frame(function: str, file: str | None, line: int | None, module: str, number: int, role: Role = "user") -> Frame:
    return Frame(function, file, line, module, Address(0x1000 + 16 * number), role=role)


def many(out: Path) -> Series:
    source = Many(random.Random(6))
    return Series(
        "many.4711.tide",
        "exact",
        source.snapshots(),
        source,
        command=("app", "--serve"),
        pid=4711,
        started_realtime_ns=1_795_000_000 * 10**9,
    )


SAMPLES: dict[str, Callable[[Path], Series]] = {
    "demo": demo,
    "exact": exact,
    "mapped": mapped,
    "many": many,
    "month": month,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.sample_documents", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", choices=[*SAMPLES, []], metavar="NAME")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.names or SAMPLES:
        found = report(SAMPLES[name](options.out))
        made = document(found, Sources().lines)
        (options.out / f"{name}.htpg").write_bytes(made.data)
        print(f"{name}.htpg {len(made.data):,} bytes", flush=True)
        try:
            page = html.template()
        except NothingToShow:
            continue
        whole = report_file(found, Sources().lines, page=page, title="sample")
        (options.out / f"{name}.html").write_bytes(whole)
        print(f"{name}.html {len(whole):,} bytes", flush=True)


if __name__ == "__main__":
    main()
