# SPDX-License-Identifier: Apache-2.0
"""Every family of shapes recorded twice, in full and thinned: are the verdicts the same? (design page 0004)

    python -m bench.month_shapes --seeds 1:3

The second recording has a budget of two fifths of what the first one took, so a fifth to two fifths of it are left. A
site is a function of the shape; its verdict is that of `heaptide growth`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench import verdict_runs
from bench.verdict_runs import MODES, Case
from heaptide import build as captures
from heaptide.analysis.growth import ACTING, Judgement, judge
from heaptide.model import Series
from heaptide.symbolize import Symbolizer

PART = 0.4


def sites(series: Series) -> dict[str, Judgement]:
    """By function: the site that speaks for it."""
    found: dict[str, Judgement] = {}
    for suspect in judge(series).suspects:
        name = (suspect.site.function if suspect.site else None) or "?"
        best = found.get(name)
        if best is None or suspect.judgement.confidence > best.confidence:
            found[name] = suspect.judgement
    return found


def record(program: Path, case: Case, budget: int, symbolizer: Symbolizer) -> tuple[list[Series], int]:
    """The series of one run, and the bytes of its largest capture."""
    os.environ["HEAPTIDE_BUDGET"] = str(budget)
    with tempfile.TemporaryDirectory(prefix="heaptide-shapes-") as folder:
        paths, _ = verdict_runs.record(program, case, Path(folder))
        most = max(path.stat().st_size for path in paths)
        return [captures.load(path, symbolizer=symbolizer) for path in paths], most


def compare(full: Series, thinned: Series, case: Case, seen: Counter[str]) -> list[str]:
    """Counts what agrees; a line for each site whose colour changed."""
    wrong = []
    one, other = sites(full), sites(thinned)
    seen["full snapshots"] += len(full.snapshots)
    seen["thinned snapshots"] += len(thinned.snapshots)
    for name in sorted(one.keys() | other.keys()):
        a, b = one.get(name), other.get(name)
        seen["sites"] += 1
        if a is None or b is None:
            seen["same colour"] += (a or b).verdict not in ACTING  # type: ignore[union-attr]
            continue
        seen["same label"] += a.verdict == b.verdict
        same = (a.verdict in ACTING) == (b.verdict in ACTING)
        seen["same colour"] += same
        seen["rates agree"] += a.rate_low <= b.rate_high and b.rate_low <= a.rate_high
        if not same:
            wrong.append(
                f"  {case.name} {name}: {a.verdict} ({a.confidence:.2f}, {a.why}) became "
                f"{b.verdict} ({b.confidence:.2f}, {b.why})"
            )
    return wrong


def main(arguments: Sequence[str] | None = None) -> None:
    """Record, judge, compare."""
    parser = argparse.ArgumentParser(prog="python -m bench.month_shapes", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seeds", default="1:2", metavar="A:B", help="from A up to but not B (1:2)")
    parser.add_argument("--family", action="append", help="only this one; may be repeated")
    options = parser.parse_args(arguments)
    begin, end = map(int, options.seeds.split(":"))
    program, symbolizer = verdict_runs.build(), Symbolizer()
    seen: Counter[str] = Counter()
    for family in options.family or verdict_runs.families(program):
        for case in (Case(family, seed, mode) for seed in range(begin, end) for mode in MODES):
            full, size = record(program, case, 0, symbolizer)
            thinned, _ = record(program, case, round(PART * size), symbolizer)
            for one, other in zip(full, thinned, strict=False):
                for line in compare(one, other, case, seen):
                    print(line, flush=True)
    print(", ".join(f"{name} {count}" for name, count in seen.items()))


if __name__ == "__main__":
    main()
