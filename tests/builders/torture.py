# SPDX-License-Identifier: Apache-2.0
"""Compiles the programs and libraries of tests/torture, and knows the allocators that they run over."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "torture"
CACHE = SOURCES.parent.parent / "build" / "torture"

PROGRAMS = (
    "children",
    "coroutines",
    "hungry",
    "libraries",
    "limits",
    "orphan",
    "own_malloc",
    "requests",
    "signals",
    "stacks",
    "threads",
)
PLUGINS = ("alpha", "beta", "deep")
SIGNAL_SAFE = "signal_safe"

_SONAMES = {
    "glibc": (),
    "tcmalloc": ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4"),
    "jemalloc": ("libjemalloc.so.2",),
    "mimalloc": ("libmimalloc.so.2", "libmimalloc.so.2.0"),
}
ALLOCATORS = tuple(_SONAMES)
"""What lies below the agent: the C library alone, or another allocator that is preloaded behind it."""

_FLAGS = ("-O2", "-g", "-pthread", "-fno-builtin-malloc", "-Wall", "-Wextra", "-Werror")


def _compile(output: Path, *words: str) -> None:
    c_plus_plus = any(word.endswith(".cpp") for word in words)
    compiler = shlex.split(os.environ.get("CXX", "c++") if c_plus_plus else os.environ.get("CC", "cc"))
    standard = "-std=gnu++20" if c_plus_plus else "-std=gnu17"
    fresh = output.with_name(f"{output.name}.{os.getpid()}")
    subprocess.run([*compiler, standard, *_FLAGS, *words, "-o", str(fresh)], check=True)
    fresh.rename(output)


def _has_boost() -> bool:
    return _installed("libboost_context.so") and Path("/usr/include/boost/context").is_dir()


def _compile_all(folder: Path) -> None:
    for name in PROGRAMS:
        source = next(SOURCES.glob(f"{name}.c*"))
        boost = ["-DHAVE_BOOST", "-lboost_context"] if name == "stacks" and _has_boost() else []
        _compile(folder / name, str(source), *boost, "-Wl,--enable-new-dtags,-rpath,$ORIGIN")
    for name in PLUGINS:
        _compile(folder / f"lib{name}.so", "-shared", "-fPIC", f"-DNAME={name}", str(SOURCES / "plugin.c"))
    safe = str(SOURCES / "signal_safe_malloc.c")
    _compile(folder / f"{SIGNAL_SAFE}.so", "-shared", "-fPIC", "-fno-builtin", safe)


def build() -> Path:
    """The folder with all of them, compiled anew when a source has changed."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.read_bytes())
    folder = CACHE / digest.hexdigest()[:16]
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _compile_all(folder)
        (folder / "complete").touch()
    return folder


def library(allocator: str, folder: Path) -> list[str]:
    """What is preloaded behind the agent for `allocator`: nothing, or one library.

    Raises:
        LookupError: it is not installed.
    """
    if allocator == SIGNAL_SAFE:
        return [str(folder / f"{SIGNAL_SAFE}.so")]
    sonames = _SONAMES[allocator]
    found = [soname for soname in sonames if _installed(soname)]
    if sonames and not found:
        raise LookupError(f"{allocator} is not installed ({' or '.join(sonames)})")
    return found[:1]


def _installed(soname: str) -> bool:
    cache = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    return f"\t{soname} " in cache
