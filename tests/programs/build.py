# SPDX-License-Identifier: Apache-2.0
"""Compiles the programs with known answers on demand, runs them and reads what they say of themselves.

    program = build("entry_points", "-O2")            # Path of the executable, in build/programs
    outcome = run(program, truth=tmp_path / "truth")   # by itself, or under what `wrapper` names
    outcome.truth.end["by_malloc"].inuse_space        # bytes

Every program is described in the head of its source. A moment's counts are by function: the site that a profiler must
name, without namespaces and parameters.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = ROOT / "build" / "programs"
DEMO_SERVER = ROOT / "src" / "heaptide" / "demo" / "server.c"

NAMES = tuple(sorted(path.stem for path in HERE.iterdir() if path.suffix in {".c", ".cpp"}))
"""Every program that keeps a count (not the demo's server, which `build` knows as well)."""

SIGNALLED = {"killed": 9}
"""Programs that end by a signal, and which."""

_COMPILERS = {".c": ("CC", "cc", "-std=gnu17"), ".cpp": ("CXX", "c++", "-std=gnu++17")}
_FLAGS = ("-g", "-pthread", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True)
class Counts:
    """What one function received and still holds, in bytes and blocks."""

    alloc_space: int
    alloc_objects: int
    inuse_space: int
    inuse_objects: int


@dataclass(frozen=True)
class Truth:
    """A program's own account, by function: at its `end` (before an ordinary shutdown) and at its `exit` (after)."""

    end: dict[str, Counts]
    exit: dict[str, Counts]


@dataclass(frozen=True)
class Outcome:
    """One run: the exit status as subprocess gives it, both outputs, and the program's own account."""

    status: int
    stdout: bytes
    stderr: bytes
    truth: Truth


def source(name: str) -> Path:
    """The source file of a program; `server` is the demo's."""
    if name == "server":
        return DEMO_SERVER
    for suffix in _COMPILERS:
        if (path := HERE / (name + suffix)).exists():
            return path
    raise LookupError(f"no program {name!r} in tests/programs; there are {', '.join(NAMES)}")


def compiler(name: str) -> str | None:
    """The compiler that `name` needs, or None where it is not installed: a test then skips."""
    variable, default, _ = _COMPILERS[source(name).suffix]
    return shutil.which(shlex.split(os.environ.get(variable, default))[0])


def build(name: str, *flags: str) -> Path:
    """Compile a program with `flags` (default -O2) unless that has been done; different flags live side by side."""
    path = source(name)
    variable, default, standard = _COMPILERS[path.suffix]
    words = [*shlex.split(os.environ.get(variable, default)), standard, *_FLAGS, *(flags or ("-O2",)), str(path)]
    digest = hashlib.sha256(shlex.join(words).encode())
    for file in (path, HERE / "truth.h"):
        digest.update(file.read_bytes())
    output = CACHE / digest.hexdigest()[:16] / name
    if not output.exists():
        output.parent.mkdir(parents=True, exist_ok=True)
        fresh = output.with_name(f"{name}.{os.getpid()}")
        subprocess.run([*words, "-o", str(fresh)], check=True)
        fresh.rename(output)
    return output


def read_truth(path: Path) -> Truth:
    """Read the document that a program wrote to the file in $TRUTH."""
    document = json.loads(path.read_text())
    moments = {name: {site: Counts(**counts) for site, counts in document[name].items()} for name in ("end", "exit")}
    return Truth(**moments)


def run(
    program: Path,
    *arguments: str,
    truth: Path,
    wrapper: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a program, behind the words of `wrapper` where given; it writes its account to the file `truth`."""
    environment = {**os.environ, **(env or {}), "TRUTH": str(truth)}
    done = subprocess.run([*wrapper, str(program), *arguments], env=environment, capture_output=True, timeout=120)
    return Outcome(done.returncode, done.stdout, done.stderr, read_truth(truth))
