#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The one place that knows which native parts exist, their sources and their flags. Standard library only.

`pip install` calls it through hatch_build.py, the Makefile calls it as a script, the tests import it. A part is
compiled when its output is missing, older than any source or header, or was made by another command. The output
appears under its name by a rename, so a program that has the old one mapped goes on undisturbed and two builds at once
do no harm.

    python3 native/build.py                   build what is out of date into src/heaptide/_native
    python3 native/build.py --out DIR         the same into another folder
    CC="clang" python3 native/build.py        with another compiler (default: cc)
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NATIVE = Path(__file__).resolve().parent
ROOT = NATIVE.parent
OUTPUT = ROOT / "src" / "heaptide" / "_native"
STAMPS = ROOT / "build" / "native"

WARNINGS = ("-Wall", "-Wextra")
COMMON = ("-std=gnu17", "-O2", "-g", "-pthread", f"-ffile-prefix-map={ROOT}=.")
SHARED_SOURCES = ("sys.c", "fold.c")  # compiled into both parts, where they exist


@dataclass(frozen=True)
class Part:
    """One thing that is compiled: its file name, the folder of its sources, and what it is compiled and linked with."""

    output: str
    folder: str
    compile_flags: tuple[str, ...]
    link_flags: tuple[str, ...] = ()


AGENT = Part(
    output="libheaptide.so",
    folder="agent",
    compile_flags=(
        "-fPIC",
        "-fvisibility=hidden",
        "-ftls-model=initial-exec",  # no __tls_get_addr, which may allocate
        "-fno-plt",
        "-fno-semantic-interposition",
        "-fexceptions",  # C++ exceptions pass through new
        "-fasynchronous-unwind-tables",
        "-fno-tree-vectorize",  # a vector load of two words just stored one by one waits for both to reach the cache
        "-fno-builtin-malloc",  # or gcc turns our calloc into a call of itself
        "-fno-builtin-calloc",
        "-fno-builtin-realloc",
        "-fno-builtin-free",
    ),
    link_flags=("-shared", "-Wl,-soname,libheaptide.so", "-Wl,-z,now", "-ldl", "-lpthread"),
)
RECORDER = Part(
    output="heaptide-record",
    folder="recorder",
    compile_flags=("-fPIE",),
    link_flags=("-pie", "-Wl,-z,now", "-lpthread", "-lm"),
)
PARTS = (AGENT, RECORDER)


class BuildError(Exception):
    """The compiler is missing or refused; the message is for people."""


def sources(part: Part) -> list[Path]:
    """The C files of a part, the shared ones last; empty while its folder has none."""
    own = sorted((NATIVE / part.folder).glob("*.c"))
    return own + [NATIVE / name for name in SHARED_SOURCES if (NATIVE / name).exists()] if own else []


def compiler() -> list[str]:
    """The words of $CC, or cc."""
    words = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(words[0]) is None:
        raise BuildError(f"no C compiler: {words[0]!r} is not there; install one (Debian: apt install gcc) or set CC")
    return words


def command(part: Part, extra: tuple[str, ...] = ()) -> list[str]:
    """The whole command that makes a part, but for -o and -Werror, which change nothing in what comes out."""
    files = [str(path) for path in sources(part)]
    return [*compiler(), *COMMON, *part.compile_flags, *WARNINGS, *extra, f"-I{NATIVE}", *files, *part.link_flags]


def test_command(files: list[Path], program: Path, flags: tuple[str, ...] = ()) -> list[str]:
    """The command that makes one of native/tests, with asserts and without what hides bugs from a sanitizer."""
    words = [*compiler(), *COMMON, "-O1", *WARNINGS, "-Werror", *flags, f"-I{NATIVE}", *map(str, files)]
    return [*words, "-ldl", "-lpthread", "-lm", "-o", str(program)]


def inputs(part: Part) -> Iterator[Path]:
    """Every file whose change makes a part out of date."""
    yield Path(__file__).resolve()
    for folder in (NATIVE, NATIVE / part.folder):
        yield from (path for path in folder.iterdir() if path.suffix in {".c", ".h", ".def", ".S"})


def is_current(part: Part, output: Path, stamp: Path, words: list[str]) -> bool:
    """Whether `output` was made by `words` from the files as they are now."""
    if not output.exists() or not stamp.exists() or stamp.read_text() != shlex.join(words):
        return False
    return output.stat().st_mtime_ns > max(path.stat().st_mtime_ns for path in inputs(part))


def build(part: Part, folder: Path = OUTPUT, *, werror: bool = True, extra: tuple[str, ...] = ()) -> Path | None:
    """Build one part into `folder` if it is out of date; None (and a message) while it has no sources.

    Raises:
        BuildError: there is no compiler, or it refused; its own words went to stderr.
    """
    if not sources(part):
        print(f"native: {part.output}: nothing in native/{part.folder} yet, skipped", file=sys.stderr)
        return None
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / part.output
    words = command(part, extra)
    stamp = STAMPS / f"{str(output).replace('/', '!')}.command"
    if is_current(part, output, stamp, words):
        return output
    fresh = folder / f".{part.output}.{os.getpid()}"
    print(f"native: {part.output}", file=sys.stderr)
    try:
        if subprocess.run([*words, *(["-Werror"] if werror else []), "-o", str(fresh)]).returncode != 0:
            raise BuildError(f"{part.output} did not compile: {shlex.join(words)}")
        fresh.rename(output)
    finally:
        fresh.unlink(missing_ok=True)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(shlex.join(words))
    return output


def main() -> int:
    """Build every part; exit status 1 when one did not compile."""
    parser = argparse.ArgumentParser(description="Build heaptide's native parts.")
    parser.add_argument("--out", type=Path, default=OUTPUT, help="folder for the results (default: %(default)s)")
    arguments = parser.parse_args()
    status = 0
    for part in PARTS:
        try:
            build(part, arguments.out.resolve())
        except BuildError as error:
            print(f"native: {error}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
