# SPDX-License-Identifier: Apache-2.0
"""What heaptide costs, beside its peers: one table.

    python -m bench                    every row (10 minutes on a quiet machine of 2 cores)
    python -m bench hot churn-20 jq    these rows
    python -m bench --list             their names
    python -m bench --full             as the targets ask: inputs of 10 s and more, 30 pairs (hours)
    python -m bench --quick            tiny sizes, one round: is the bench itself in order?

Ours and theirs run in turn (A B A B ...). Nanoseconds per pair: `plain` as it is, the others as what they add: minimum
and, in brackets, median over the rounds. user+sys: the ratio to `plain` of the same round (geometric mean) and, in
brackets, its 95 % upper bound by bootstrap. Compare within one table only: machines differ from hour to hour.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

from bench import pairs, programs, upkeep
from bench.figures import Row, header, text_of
from bench.running import Bench, make_bench


def all_rows() -> list[Row]:
    """In the table's order."""
    return [*pairs.rows(), *programs.rows(), *upkeep.rows()]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only rows whose name begins so")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each form in a row (5)")
    parser.add_argument("--list", action="store_true", help="the rows' names")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="tiny sizes, one round")
    size.add_argument("--full", action="store_true", help="long inputs, 30 pairs of the real programs")
    options = parser.parse_args(arguments)
    names = [row.name for row in all_rows()]
    for wanted in options.rows:
        if not any(name.startswith(wanted) for name in names):
            parser.error(f"no row {wanted}; there are {', '.join(names)}")
    return options


def measure(bench: Bench, rows: Sequence[Row]) -> None:
    """Prints the table, line by line as they become known."""
    names = [form.name for form in bench.forms]
    print(header(names), flush=True)
    total = sum(row.steps(bench) for row in rows)
    screen = sys.stderr if sys.stderr.isatty() else io.StringIO()
    with click.progressbar(length=total, file=screen, item_show_func=lambda name: name or "") as bar:
        for row in rows:
            bar.update(0, row.name)
            for line in row.measure(bench):
                if line is None:
                    bar.update(1, row.name)
                else:
                    click.echo("\r\033[K", file=screen, nl=False)
                    print(text_of(line, names), flush=True)


def conditions(bench: Bench, seconds: float) -> str:
    """What a reader has to know of the figures above."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    machine = f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} CPUs, load {load}"
    columns = [f"- {form.name}: {form.meaning}" for form in bench.forms]
    missing = [f"- not measured: {note}" for note in bench.notes]
    return "\n".join([f"{machine}; {bench.rounds} rounds; {seconds:.0f} s.", *columns, *missing])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = parse(arguments)
    rows = [row for row in all_rows() if not options.rows or any(row.name.startswith(r) for r in options.rows)]
    if options.list:
        print("\n".join(row.name for row in rows))
        return
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="heaptide-bench-") as name:
        rounds = 1 if options.quick else options.rounds
        bench = make_bench(Path(name), rounds=rounds, quick=options.quick, full=options.full)
        measure(bench, rows)
        print(f"\n{conditions(bench, time.monotonic() - began)}")


if __name__ == "__main__":
    main()
