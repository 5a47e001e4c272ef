# SPDX-License-Identifier: Apache-2.0
"""The columns of the table: a program alone, under heaptide in its modes, and under its peers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from heaptide import launch

LIBRARIES = Path("/usr/lib")


@dataclass(frozen=True)
class Form:
    """One way to run a program. `{folder}` in a variable is the run's own folder."""

    name: str
    meaning: str
    variables: tuple[str, ...] = ()
    recorder: tuple[str, ...] | None = None
    """Options of a recorder to be started beside it; None: none is."""
    to_disk: tuple[str, ...] = ()
    """Variables that make it write what it otherwise leaves out, for the rows about bytes written."""
    fewer: int = 1
    """Its share of a loop's iterations is one in so many: where a pair takes tens of microseconds."""
    missing: str = ""
    """Why it cannot be run here; empty: it can."""


def _library(name: str) -> Path | None:
    return next(iter(sorted(LIBRARIES.glob(f"*/{name}"))), None)


def _peer(name: str, meaning: str, library: str, package: str, *variables: str, **rest: object) -> Form:
    path = _library(library)
    missing = "" if path else f"not installed (Debian: apt install {package})"
    return Form(name, meaning, (f"LD_PRELOAD={path}", *variables), missing=missing, **rest)  # type: ignore[arg-type]


def all_forms(forwarder: Path) -> list[Form]:
    """In the table's order; `plain` first, for the others are compared with it."""
    agent = f"LD_PRELOAD={launch.agent_path()}"
    return [
        Form("plain", "glibc, nothing preloaded"),
        Form(
            "forwarding", "a preloaded library that only forwards (workloads/forward.c)", (f"LD_PRELOAD={forwarder}",)
        ),
        Form("dormant", "heaptide preloaded with nothing to do", (agent,)),
        Form("sampled", "heaptide, mean interval 512 KiB", (agent, "HEAPTIDE_SAMPLE=512KiB"), ()),
        Form("exact", "heaptide, every allocation", (agent, "HEAPTIDE_EXACT=1"), ()),
        _peer(
            "heaptrack",
            "heaptrack's preload alone, writing to /dev/null (bytes written: to a file, before its compressor)",
            "libheaptrack_preload.so",
            "heaptrack",
            "DUMP_HEAPTRACK_OUTPUT=/dev/null",
            to_disk=("DUMP_HEAPTRACK_OUTPUT={folder}/heaptrack.raw",),
            fewer=4,
        ),
        _peer(
            "gperftools",
            "Debian's libtcmalloc under HEAPPROFILE, its own allocator included",
            "libtcmalloc.so.4",
            "google-perftools",
            "HEAPPROFILE={folder}/gperftools",
            fewer=150,
        ),
        _peer(
            "jemalloc",
            "jemalloc with prof:true,lg_prof_sample:19, its own allocator included",
            "libjemalloc.so.2",
            "libjemalloc2",
            "MALLOC_CONF=prof:true,lg_prof_sample:19",
            to_disk=("MALLOC_CONF=prof:true,lg_prof_sample:19,prof_final:true,prof_prefix:{folder}/jemalloc",),
        ),
    ]
