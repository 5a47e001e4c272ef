# SPDX-License-Identifier: Apache-2.0
"""Every capture of the agent against libgcc's _Unwind_Backtrace, frame by frame, in real programs and torture tests.

    python -m bench.unwind_check                  all of them, each in both manners (7 minutes)
    python -m bench.unwind_check jq torture       those whose names begin so
    python -m bench.unwind_check --size 0         tiny inputs

What runs is the agent's own source with a comparison behind each capture (native/tests/unwind_check.c). Manners:
`exact` remembers the last stack and walks what changed; `sampled` walks the whole stack each time. The exit status is 1
if one pc of one capture differs; the first mismatches are then written to --keep.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import util
from pathlib import Path
from types import ModuleType

from bench import programs
from bench.running import ROOT
from tests.builders import torture

TIMEOUT_S = 900
MANNERS = {"exact": {}, "sampled": {"UNWIND_CHECK_WALK": "1"}}


@dataclass(frozen=True)
class Counts:
    """What was compared (struct counts of unwind_check.c): captures, how they were made, and how they came out."""

    captures: int
    known: int
    remembered: int
    walked: int
    mismatches: int
    guessed: int
    cut: int
    signalled: int
    frames: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


NOTHING = Counts(*[0] * len(fields(Counts)))


def native_build() -> ModuleType:
    """native/build.py as a module."""
    spec = util.spec_from_file_location("heaptide_native_build_for_bench", ROOT / "native" / "build.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(folder: Path) -> Path:
    """The agent with the comparison in it, compiled into `folder`."""
    native = native_build()
    tests = native.NATIVE / "tests"
    library = folder / "libunwindcheck.so"
    wraps = [f"-Wl,--wrap={name}" for name in ("ht_unwind", "ht_memo_capture")]
    words = native.command(native.AGENT, ("-include", str(tests / "unwind_check.h"), *wraps))
    subprocess.run([*words, str(tests / "unwind_check.c"), "-lgcc_s", "-o", str(library)], check=True)
    return library


def environment(checker: Path, folder: Path, variables: Mapping[str, str], below: Sequence[str] = ()) -> dict[str, str]:
    """For a program whose captures are compared; the counts go to `folder`/counts, added to what is there."""
    counts = folder / "counts"
    if not counts.exists():
        counts.write_bytes(bytes(8 * len(fields(Counts))))
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "LD_PRELOAD": ":".join([str(checker), *below]),
        "HEAPPROFILE": str(folder / "profile"),
        "UNWIND_CHECK": str(counts),
        **variables,
    }


def counts_in(folder: Path) -> Counts:
    """What was compared so far by programs with the `environment` of `folder`."""
    return Counts(*struct.unpack(f"<{len(fields(Counts))}Q", (folder / "counts").read_bytes()))


# ---- The programs ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One program: how to run it, and where it is not to be had the name of Debian's package."""

    name: str
    command: Callable[[Path, int], list[str]]
    """Writes its input into a folder. A size of 1 makes some 100,000 captures and more, 0 a few thousand."""
    needs: str = ""
    package: str = ""
    status: int = 0
    below: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def missing(self) -> str | None:
        there = shutil.which(self.needs or self.name, path="/usr/bin:/bin")
        return None if there else f"{self.name}: not installed (apt install {self.package or self.name})"


def _sqlite(_folder: Path, size: int) -> list[str]:
    rows = 60_000 * size or 300
    numbers = f"with recursive n(i) as (select 1 union all select i+1 from n where i<{rows})"
    statements = [
        "create table t(a integer primary key, b text, c real)",
        f"{numbers} insert into t select i, hex(randomblob(20)), i*1.5 from n",
        "create index ib on t(b)",
        "select count(*), group_concat(substr(b,1,2)) from t where a%3=0",
        "select b, sum(c) from t group by substr(b,1,3) order by 2 desc limit 5",
        "select json_group_array(json_object('a',a,'b',b)) from t",
    ]
    return ["sqlite3", ":memory:", ";".join(statements)]


def _git(folder: Path, size: int) -> list[str]:
    """A repository of many small files: added, committed, changed, compared, packed."""
    script = f"""set -e; cd {shlex.quote(str(folder))}; rm -rf repository; git init -q repository; cd repository
    git config user.email a@b; git config user.name c; git config gc.auto 0
    for i in $(seq {400 * size or 10}); do seq $i $((i+300)) > f$i; done; git add .; git commit -qm one
    for i in f*; do sed -i 's/7/seven/' $i; done; git diff --stat >/dev/null; git diff -M --patience >/dev/null
    git commit -qam two; git log -p --all >/dev/null; git blame f3 >/dev/null; git -c pack.threads=2 repack -qad"""
    return ["sh", "-c", script]


def _gdb(folder: Path, size: int) -> list[str]:
    """Symbols of a program, its types and lines."""
    asked = ["info functions main", "info types word", "disassemble main", "info line main"][: None if size else 1]
    program = folder / "debugged"
    words = ["c++", "-g", str(torture.SOURCES / "unwind_edges.cpp"), "-o", str(program)]
    subprocess.run(words, check=True)
    return ["gdb", "-nx", "-batch", *(word for ask in asked for word in ("-ex", ask)), str(program)]


def _redis(folder: Path, size: int) -> list[str]:
    """A server under redis-benchmark; the shell is asked to end it."""
    script = f"""cd {shlex.quote(str(folder))}; rm -f s
    redis-server --port 0 --unixsocket s --save '' --appendonly no >/dev/null & server=$!
    unset LD_PRELOAD; until redis-cli -s s ping >/dev/null 2>&1; do sleep 0.05; done
    redis-benchmark -s s -q -c 20 -P 16 -r 5000 -d 100 -n {15_000 * size or 300} \
      -t set,get,lpush,lrange_100,hset,zadd,mset >/dev/null
    redis-cli -s s eval 'local t = {{}} for i = 1, 20000 do t[i] = "k" .. i end return #t' 0 >/dev/null
    redis-cli -s s shutdown nosave; wait $server"""
    return ["bash", "-c", script]


def _ripgrep(_folder: Path, size: int) -> list[str]:
    return ["rg", "-c", "--no-ignore", "-j", "2", r"(?i)\b(st\w+ct|u?int\d*_t)\b", "/usr/include" if size else "/etc"]


def _fd(_folder: Path, size: int) -> list[str]:
    return ["fdfind", "--threads", "2", "-HI", r"\.(h|py|so)$", "/usr" if size else "/etc"]


def _perl(_folder: Path, size: int) -> list[str]:
    work = (
        'my %h; for my $i (1..N) { my @a = map { "$i:$_" } 1..9; push @{$h{$i % 977}}, join(",", sort @a); '
        '$h{$i % 977} = [] if @{$h{$i % 977}} > 20; my $s = "x" x ($i % 500); $s =~ s/x(?=x)/y/g } print scalar %h'
    )
    return ["perl", "-e", work.replace("N", str(30_000 * size or 100))]


def _shared(name: str) -> Callable[[Path, int], list[str]]:
    """One of the bench's programs, with its input."""
    program = next(program for program in programs.PROGRAMS if program.name == name)
    return program.command


def _edges(folder: Path, _size: int) -> list[str]:
    program = folder / "unwind_edges"
    source = str(torture.SOURCES / "unwind_edges.cpp")
    subprocess.run(["c++", "-O2", "-g", "-pthread", source, "-o", str(program)], check=True)
    return [str(program)]


TORTURE = (
    ("signals", "outside", 3, False),
    ("signals", "on_alternate_stack", 3, False),
    ("signals", "inside", 3, True),
    ("signals", "inside_on_alternate_stack", 3, True),
    ("signals", "inside_on_stack_above", 3, True),
    ("signals", "leaves", 3, True),
    ("stacks", "exceptions", 4, False),
    ("stacks", "bad_alloc", 4, False),
    ("stacks", "coroutines", 5, False),
    ("stacks", "boost_coroutines", 6, False),
    ("coroutines", "generators", 9, False),
    ("coroutines", "left_unfinished", 9, False),
    ("stacks", "statics", 7, False),
    ("libraries", "address_reuse", 0, False),
    ("libraries", "opened_for_ever", 0, False),
    ("libraries", "runpath", 0, False),
    ("threads", "exit_destructors", 0, False),
    ("threads", "five_hundred", 0, False),
    ("threads", "forks", 0, False),
    ("threads", "exec_among_threads", 0, False),
    ("children", "vforks", 0, False),
    ("children", "prefork", 0, False),
)
"""Program, hazard, its exit status, and whether its handlers need an allocator that may be interrupted."""


def _hazards() -> Iterator[Case]:
    """The torture programs: their size is what it is."""
    for program, name, status, inside in TORTURE:
        below = (torture.SIGNAL_SAFE,) if inside else ()
        words = [program, name]
        yield Case(f"torture-{name}", lambda _f, _s, w=words: w, "c++", "g++", status, below)  # type: ignore[misc]


def cases() -> list[Case]:
    """All there is to run, in the order of the table."""
    malloc = (("PYTHONMALLOC", "malloc"),)
    return [
        Case("cc1plus", _shared("cc1plus"), "g++", "g++"),
        Case("xmllint", _shared("xmllint"), package="libxml2-utils"),
        Case("python", _shared("python"), "python3", "python3", variables=malloc),
        Case("jq", _shared("jq")),
        Case("redis", _redis, "redis-benchmark", "redis-server redis-tools"),
        Case("sqlite3", _sqlite),
        Case("git", _git),
        Case("perl", _perl),
        Case("ripgrep (Rust)", _ripgrep, "rg", "ripgrep"),
        Case("fd (Rust)", _fd, "fdfind", "fd-find"),
        Case("gdb", _gdb),
        Case("torture-edges", _edges, "c++", "g++"),
        *_hazards(),
    ]


# ---- Running ---------------------------------------------------------------------------------------------------------


class Failed(Exception):
    """The program did not end as it does without us."""


def check(case: Case, manner: str, size: int, checker: Path, folder: Path) -> Counts:
    """Run one program to its end; what was compared in it and in its children.

    Raises:
        Failed: its exit status is another one than it should be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = case.command(folder, size)
    built = torture.build()
    below = [path for name in case.below for path in torture.library(name, built)]
    if case.name.startswith("torture-") and not command[0].startswith("/"):
        command = [str(built / command[0]), *command[1:]]
    variables = environment(checker, folder, {**dict(case.variables), **MANNERS[manner]}, below)
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    done = subprocess.run(command, env=variables, cwd=folder, timeout=TIMEOUT_S, **streams)  # type: ignore[call-overload]
    for dump in folder.glob("profile*.heap"):
        dump.unlink()
    if done.returncode != case.status:
        raise Failed(f"{case.name} ended with {done.returncode} and not {case.status}: {done.stderr[-500:]!r}")
    return counts_in(folder)


HEADER = (
    f"{'program':34} {'manner':8} {'captures':>10} {'frames':>12} {'known':>10} {'remembered':>10} {'walked':>10} "
    f"{'signal':>8} {'cut':>6} {'guessed':>8} {'MISMATCH':>8}"
)


def row(name: str, manner: str, c: Counts) -> str:
    """A line of the table."""
    return (
        f"{name:34} {manner:8} {c.captures:10,} {c.frames:12,} {c.known:10,} {c.remembered:10,} {c.walked:10,} "
        f"{c.signalled:8,} {c.cut:6,} {c.guessed:8,} {c.mismatches:8,}"
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.unwind_check", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help="only programs whose names begin so")
    parser.add_argument("--size", type=int, default=1, help="how much each program has to do (1)")
    parser.add_argument("--keep", type=Path, default=ROOT / "bench" / "out", help="where mismatches are written")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 when something differed or failed."""
    options = parse(arguments)
    total, failures = NOTHING, 0
    wanted = [case for case in cases() if not options.names or any(case.name.startswith(n) for n in options.names)]
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory(prefix="heaptide-unwind-") as name:
        checker = build(Path(name))
        for case in wanted:
            if case.missing:
                print(case.missing, flush=True)
                continue
            for manner in MANNERS:
                folder = Path(name) / f"{case.name.split()[0]}-{manner}"
                try:
                    counts = check(case, manner, options.size, checker, folder)
                except Failed as failure:
                    failures += 1
                    print(f"{case.name:34} {manner:8} {failure}", flush=True)
                    continue
                total += counts
                print(row(case.name, manner, counts), flush=True)
                if counts.mismatches:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(folder / "counts.txt", options.keep / f"unwind-{folder.name}.txt")
                shutil.rmtree(folder, ignore_errors=True)
    print(row("total", "", total))
    return 1 if total.mismatches or failures else 0


if __name__ == "__main__":
    os.environ.pop("LD_PRELOAD", None)
    sys.exit(main())
