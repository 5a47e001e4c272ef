# SPDX-License-Identifier: Apache-2.0
"""Symbols against binutils' addr2line: agreement on random addresses, time to the first answer, cost, memory.

    python -m bench.symbols [--count 2000] [--seed 1] [BINARY...]

Without BINARY: the C++17 program of the tests (compiled now), librados2 and python3.11 where their debug packages are
installed (Debian: librados2-dbg, python3.11-dbg), and libc as a fourth. Each figure is of a fresh process; "cold" has
an empty cache, "warm" the one that a cold run left. Memory is the peak resident set of that process. Times are the best
of three, since other work disturbs them upwards only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heaptide.symbolize import Level, Symbolizer
from tests.builders.elf_reference import Agreement, addr2line, compare, module_of, random_pcs

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "tests" / "builders" / "elf_cxx17.cpp"
INSTALLED = ["/usr/lib/x86_64-linux-gnu/librados.so.2", "/usr/bin/python3.11", "/usr/lib/x86_64-linux-gnu/libc.so.6"]

REPEATS = 3

# A process's peak counts what it had before exec, so the launcher must be small: bare Python, about 9 MB.
LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(pid, 0)
print(json.dumps([time.perf_counter() - began, usage.ru_maxrss / 1024]))
sys.exit(os.waitstatus_to_exitcode(status))
"""
OURS = """
import sys
from pathlib import Path
from heaptide.symbolize import Symbolizer
from tests.builders.elf_reference import module_of
pcs = [int(line, 16) for line in open(sys.argv[2])]
Symbolizer(cache_dir=Path(sys.argv[3])).resolve(module_of(sys.argv[1]), pcs)
"""


@dataclass(frozen=True)
class Cost:
    """Of one process: wall seconds and peak MiB."""

    seconds: float
    mebibytes: float


@dataclass(frozen=True)
class Row:
    """One binary's figures. `ours` and `theirs` map "first cold", "first warm" and "all" to costs."""

    name: str
    agreement: Agreement
    ours: dict[str, Cost]
    theirs: dict[str, Cost]


def best(*command: str, stdin: Path | None = None) -> Cost:
    """The fastest of REPEATS runs."""
    return min((run(*command, stdin=stdin) for _ in range(REPEATS)), key=lambda cost: cost.seconds)


def run(*command: str, stdin: Path | None = None) -> Cost:
    """The cost of one command; its output is thrown away."""
    with open(stdin or "/dev/null") as source:
        launched = subprocess.run(
            [sys.executable, "-S", "-E", "-c", LAUNCHER, *command],
            stdin=source,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
    return Cost(*json.loads(launched.stdout))


def measure(binary: Path, count: int, seed: int, folder: Path) -> Row | None:
    """All figures for one binary; None, with a word on stderr, when it has no debug file here."""
    symbolizer = Symbolizer(cache_dir=folder / "agreement")
    report = symbolizer.report(module_of(binary))
    if report.level is not Level.LINES or report.debug_file is None:
        print(f"{binary}: left out, {report.hint}", file=sys.stderr)
        return None
    pcs = random_pcs(report.debug_file, count, seed)
    agreement = compare(symbolizer.resolve(module_of(binary), pcs), addr2line(report.debug_file, pcs))
    one, every = folder / "one", folder / "every"
    one.write_text(f"{pcs[0]:#x}\n")
    every.write_text("".join(f"{pc:#x}\n" for pc in pcs))
    ours = [sys.executable, "-c", OURS, str(binary)]
    theirs = ["addr2line", "-a", "-i", "-f", "-C", "-e", report.debug_file]
    caches = [str(folder / f"cache{i}") for i in range(REPEATS)]
    cold = min((run(*ours, str(one), cache) for cache in caches), key=lambda cost: cost.seconds)
    warm, all_warm = best(*ours, str(one), caches[0]), best(*ours, str(every), caches[0])
    return Row(
        binary.name,
        agreement,
        {"first cold": cold, "first warm": warm, "all": all_warm},
        {"first warm": best(*theirs, stdin=one), "all": best(*theirs, stdin=every)},
    )


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| binary | PCs | depth equal | lines equal | first answer, cold / warm / addr2line "
        "| all PCs, warm / addr2line | per further PC, ours / addr2line | peak MiB, cold / warm / addr2line |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ours, theirs, agreement = row.ours, row.theirs, row.agreement
        lines.append(
            f"| {row.name} | {agreement.total} | {agreement.percent(agreement.other_depth):.2f} % "
            f"| {agreement.percent(agreement.other_lines):.2f} % "
            f"| {ours['first cold'].seconds:.2f} / {ours['first warm'].seconds:.2f} "
            f"/ {theirs['first warm'].seconds:.2f} s "
            f"| {ours['all'].seconds:.2f} / {theirs['all'].seconds:.2f} s "
            f"| {further(ours, agreement.total):.0f} / {further(theirs, agreement.total):.0f} us "
            f"| {ours['first cold'].mebibytes:.0f} / {ours['all'].mebibytes:.0f} / {theirs['all'].mebibytes:.0f} |"
        )
    return "\n".join(lines)


def further(costs: dict[str, Cost], count: int) -> float:
    """Microseconds for each address after the first."""
    return 1e6 * (costs["all"].seconds - costs["first warm"].seconds) / max(count - 1, 1)


def build(folder: Path) -> Path:
    """The C++17 program of the tests."""
    program = folder / "cxx17"
    flags = ["-std=c++17", "-O2", "-g", "-pthread", "-Wl,--build-id"]
    subprocess.run(["g++", *flags, "-o", program, PROGRAM], check=True)
    return program


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("binary", nargs="*", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        binaries = options.binary or [build(Path(name)), *map(Path, INSTALLED)]
        rows = []
        for number, binary in enumerate(binaries):
            folder = Path(name) / str(number)
            folder.mkdir()
            if binary.exists() and (row := measure(binary, options.count, options.seed, folder)) is not None:
                rows.append(row)
    print(table(rows))


if __name__ == "__main__":
    main()
