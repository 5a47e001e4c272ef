# SPDX-License-Identifier: Apache-2.0
"""The test suites of real programs, as they are and under the agent: is every test's result the same?

    python -m bench.suites              CPython's own tests and numpy's, without us, sampled, exact (25 minutes)
    python -m bench.suites cpython --modules test_json,test_gc

CPython's are Debian's (apt install libpython3.11-testsuite), run by Debian's python3 with PYTHONMALLOC=malloc, so that
each object is a block; what the tests start as child processes is recorded as well. numpy's come with it. A test's
result is passed, skipped, failed or error. The exit status is 1 if one differs, or if a capture cannot be read.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from heaptide import capture, launch
from heaptide._errors import HeaptideError

MODES: dict[str, tuple[str, ...] | None] = {"plain": None, "sampled": (), "exact": ("--exact",)}
"""Options of the recorder; None: without one."""
TIMEOUT_S = 1800
PATIENCE_S = 60

CPYTHON = (
    "test_json test_threading test_subprocess test_ctypes test_gc test_mmap test_fork1 test_signal test_faulthandler "
    "test_os test_posix test_thread test_wait3 test_wait4 test_resource test_pickle test_re test_zlib test_bz2 "
    "test_lzma test_weakref test_tracemalloc test_xml_etree_c test_pyexpat test_array test_dict test_list "
    "test_set test_memoryview test_bytes test_unicode test_select test_epoll test_pty test_popen test_context "
    "test_asyncgen test_generators test_exceptions test_atexit test_fcntl test_shelve test_dbm test_hashlib "
    "test_multiprocessing_fork"
)
"""Threads, children of every kind, signals, mappings, foreign functions, the collector; C extensions that allocate."""
NUMPY = (
    "test_multiarray test_mem_policy test_mem_overlap test_nditer test_multithreading test_stringdtype test_hashtable"
)


@dataclass(frozen=True)
class Suite:
    """A suite that writes JUnit's XML."""

    name: str
    modules: tuple[str, ...]
    command: Callable[[Sequence[str], Path], list[str]]
    """The words that run these modules and write their results to a file."""
    variables: tuple[tuple[str, str], ...]
    missing: str | None


def _cpython(modules: Sequence[str], results: Path) -> list[str]:
    return ["/usr/bin/python3", "-m", "test", "--junit-xml", str(results), *modules]


def _numpy(modules: Sequence[str], results: Path) -> list[str]:
    names = [f"numpy._core.tests.{module}" for module in modules]
    quiet = ["-q", "-p", "no:cacheprovider", "-o", "addopts="]
    return [sys.executable, "-m", "pytest", *quiet, f"--junit-xml={results}", "--pyargs", *names]


def _lacks(python: str, module: str, advice: str) -> str | None:
    """Advice where a Python does not have a module."""
    done = subprocess.run([python, "-c", f"import {module}"], capture_output=True)
    return advice if done.returncode else None


def suites() -> list[Suite]:
    """All there are."""
    debian = "not installed (Debian: apt install libpython3.11-testsuite)"
    malloc = (("PYTHONMALLOC", "malloc"),)
    return [
        Suite(
            "cpython", tuple(CPYTHON.split()), _cpython, malloc, _lacks("/usr/bin/python3", "test.test_json", debian)
        ),
        Suite(
            "numpy", tuple(NUMPY.split()), _numpy, malloc, _lacks(sys.executable, "numpy, hypothesis", "pip install")
        ),
    ]


# ---- One run ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """A suite in one mode."""

    results: dict[str, str]
    """Test -> passed, skipped, failed or error; `(twice)` is added to the name of one that ran again."""
    status: int
    wall_s: float
    captures: int
    unreadable: tuple[str, ...]


def read_results(path: Path) -> dict[str, str]:
    """What JUnit's XML says of each test. Repeated names are numbered."""
    results: dict[str, str] = {}
    for case in ET.parse(path).iter("testcase"):
        name = ".".join(filter(None, [case.get("classname"), case.get("name")]))
        kinds = {child.tag for child in case} & {"skipped", "failure", "error"}
        result = {"failure": "failed"}.get(*kinds, *kinds) if kinds else "passed"
        number = 1
        while (key := name if number == 1 else f"{name} ({number})") in results:
            number += 1
        results[key] = result
    return results


def run(suite: Suite, modules: Sequence[str], mode: str, folder: Path) -> Run:
    """The suite to its end, in `folder`, and all that it started recorded."""
    place, captures = folder / f"{suite.name}-{mode}", folder / f"{suite.name}-{mode}-captures"
    place.mkdir()
    captures.mkdir()
    results = folder / f"{suite.name}-{mode}.xml"
    command, options = suite.command(modules, results), MODES[mode]
    if options is not None:
        output = str(captures / "{name}.{pid}.tide")
        command = [str(launch.recorder_path()), *options, "-o", output, "--", *command]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HEAPTIDE", "PYTHON"))}
    began = time.monotonic()
    with open(folder / f"{suite.name}-{mode}.log", "wb") as log:
        done = subprocess.run(
            command,
            cwd=place,
            env={**environment, **dict(suite.variables)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=TIMEOUT_S,
        )
    wall_s = time.monotonic() - began
    return Run(read_results(results), done.returncode, wall_s, *_read_all(captures))


def _read_all(folder: Path) -> tuple[int, tuple[str, ...]]:
    """How many captures there are, and which of them cannot be read to their end."""
    deadline, paths = time.monotonic() + PATIENCE_S, sorted(folder.glob("*.tide"))
    while (bad := [path.name for path in paths if not _is_whole(path)]) and time.monotonic() < deadline:
        time.sleep(0.2)
        paths = sorted(folder.glob("*.tide"))
    return len(paths), tuple(bad)


def _is_whole(path: Path) -> bool:
    try:
        return capture.read(path.read_bytes(), live=True).complete
    except HeaptideError:
        return False


def differences(plain: Run, other: Run) -> list[str]:
    """Tests whose results differ, a line each."""
    names = sorted(plain.results.keys() | other.results.keys())
    pairs = [(name, plain.results.get(name, "absent"), other.results.get(name, "absent")) for name in names]
    return [f"{name}: {one} without us, {two} with" for name, one, two in pairs if one != two]


# ---- Printing --------------------------------------------------------------------------------------------------------


def describe(suite: Suite, mode: str, ran: Run) -> str:
    """One line."""
    counts = Counter(ran.results.values())
    text = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()))
    recorded = f"; {ran.captures:,} captures, {len(ran.unreadable)} unreadable" if mode != "plain" else ""
    return f"{suite.name} {mode}: {len(ran.results):,} tests: {text}; status {ran.status}, {ran.wall_s:.0f} s{recorded}"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.suites", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="SUITE", help="cpython, numpy")
    parser.add_argument("--modules", help="only these modules of it, with commas between")
    parser.add_argument("--keep", type=Path, help="a folder for results, logs and captures")
    return parser.parse_args(arguments)


def compare(suite: Suite, modules: Sequence[str], folder: Path) -> bool:
    """Run a suite in each mode and print what differs; whether nothing does."""
    plain = run(suite, modules, "plain", folder)
    print(describe(suite, "plain", plain), flush=True)
    same = True
    for mode in ("sampled", "exact"):
        ran = run(suite, modules, mode, folder)
        print(describe(suite, mode, ran), flush=True)
        lines = [*differences(plain, ran), *(f"unreadable: {name}" for name in ran.unreadable)]
        print("".join(f"  {line}\n" for line in lines) or "  every result is the same\n", end="", flush=True)
        same &= not lines and ran.status == plain.status
    return same


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; 1 when something differs."""
    options = parse(arguments)
    same = True
    with tempfile.TemporaryDirectory(prefix="heaptide-suites-") as name:
        folder = options.keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        for suite in suites():
            if options.names and suite.name not in options.names:
                continue
            if suite.missing:
                print(f"{suite.name}: {suite.missing}")
                continue
            modules = options.modules.split(",") if options.modules else suite.modules
            same &= compare(suite, modules, folder)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
