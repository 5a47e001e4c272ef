# SPDX-License-Identifier: Apache-2.0
"""Heaps of real programs, dumped by other profilers, and what those profilers' own tools say of them.

dumps = make_dumps("jq", folder)          # profiler -> file: "heapprofile", "sampled" (both tcmalloc), "jemalloc"
by_address("google-pprof", ...)           # address -> flat, cum, names
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from bench import against_tcmalloc as versus

TCMALLOC = versus.TCMALLOC
JEMALLOC = Path("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2")
PROGRAMS = ("jq", "python3.11", "sqlite3", "xmllint")
PROFILERS = ("heapprofile", "sampled", "jemalloc")
_SCALE = 12
_TIMEOUT_S = 200
_SAMPLE_BYTES = 8192

_KEEPER = r"""
#include <gperftools/malloc_extension.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
// Writes the sampled heap each time that another 256 KiB are in use: at the exit everything may have been freed.
static void keep_largest(const char *path) {
    for (size_t best = 0, used = 0;; std::this_thread::sleep_for(std::chrono::milliseconds(2))) {
        MallocExtension::instance()->GetNumericProperty("generic.current_allocated_bytes", &used);
        if (used < best + (256 << 10)) continue;
        best = used;
        std::string text, next = std::string(path) + ".next";
        MallocExtension::instance()->GetHeapSample(&text);
        FILE *file = fopen(next.c_str(), "w");
        if (!file) return;
        fwrite(text.data(), 1, text.size(), file);
        fclose(file);
        rename(next.c_str(), path);
    }
}
__attribute__((constructor)) static void start() {
    // gperftools before 2.16 samples nothing of a thread's first 16 MiB.
    void *volatile block;
    for (int i = 0; i < 20; i++) free(block = malloc(1 << 20));
    if (const char *path = getenv("HEAP_SAMPLE_TO")) std::thread(keep_largest, path).detach();
}
"""
_PYTHON = "import json; d = json.loads('[%s]' % ','.join('{\"k%d\": [%d.5, \"x\"]}' % (i, i) for i in range(3000)))"


@dataclass
class Row:
    """What a tool's table says of one address or function: bytes or blocks, and the names it gives an address."""

    flat: int = 0
    cum: int = 0
    names: set[str] = field(default_factory=set)


def workload(name: str, folder: Path) -> tuple[tuple[str, ...], bytes]:
    """The command, and its standard input."""
    if name == "python3.11":
        return ("/usr/bin/python3.11", "-S", "-c", _PYTHON), b""
    made = versus.WORKLOADS[name](folder, _SCALE)
    return (shutil.which(made.command[0]) or made.command[0], *made.command[1:]), made.stdin


def keeper(folder: Path) -> Path:
    """A library that writes what MallocExtension::GetHeapSample gives; compiled into ``folder``."""
    source, library = folder / "keeper.cpp", folder / "keeper.so"
    source.write_text(_KEEPER)
    subprocess.run(["g++", "-O1", "-fPIC", "-shared", "-o", library, source, "-ltcmalloc"], check=True)
    return library


def make_dump(name: str, profiler: str, folder: Path) -> Path:
    """Runs a program under a profiler; the dump that is largest in use."""
    command, stdin = workload(name, folder)
    stem = folder / f"{name}.{profiler}"
    env = {**os.environ, "PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"}
    if profiler == "heapprofile":
        env |= {"LD_PRELOAD": str(TCMALLOC), "HEAPPROFILE": str(stem), "HEAP_PROFILE_INUSE_INTERVAL": "1000000"}
    elif profiler == "sampled":
        env |= {"LD_PRELOAD": f"{keeper(folder)}:{TCMALLOC}", "HEAP_SAMPLE_TO": f"{stem}.heap"}
        env["TCMALLOC_SAMPLE_PARAMETER"] = str(_SAMPLE_BYTES)
    else:
        options = f"prof:true,prof_final:true,prof_accum:true,lg_prof_sample:12,lg_prof_interval:21,prof_prefix:{stem}"
        env |= {"LD_PRELOAD": str(JEMALLOC), "MALLOC_CONF": options}
    subprocess.run(command, input=stdin, env=env, capture_output=True, check=True, timeout=_TIMEOUT_S)
    return max(folder.glob(f"{stem.name}.*heap"), key=_in_use)


def _in_use(path: Path) -> int:
    match = re.search(rb"(?:profile|t\*):\s*\d+:\s*(\d+)", path.read_bytes())
    return int(match[1]) if match else -1


@cache
def by_address(tool: str, program: str, dump: Path, value: str) -> dict[int, Row]:
    """The table of addresses of google-pprof or jeprof; an address of inlined calls has several lines."""
    rows: dict[int, Row] = defaultdict(Row)
    for line in _text(tool, "--addresses", program, dump, value):
        match = re.match(r"\s*(-?\d+)\s+\S+\s+\S+\s+(-?\d+)\s+\S+ ([0-9a-f]{16})(?: (.*?))?(?: \S+:[\d?]+)?$", line)
        if match:
            row = rows[int(match[3], 16)]
            row.flat += int(match[1])
            row.cum = max(row.cum, int(match[2]))
            row.names.add(plain(match[4] or ""))
    return rows


def by_function(tool: str, program: str, dump: Path, value: str) -> dict[str, Row]:
    """The table of functions of google-pprof or jeprof."""
    rows: dict[str, Row] = {}
    for line in _text(tool, "--functions", program, dump, value):
        match = re.match(r"\s*(-?\d+)\s+\S+\s+\S+\s+(-?\d+)\s+\S+ (.+)$", line)
        if match:
            rows[plain(match[3])] = Row(int(match[1]), int(match[2]))
    return rows


def plain(name: str) -> str:
    """A name without a symbol version, the parameters, the marks of inlined calls and of the compiler's copies."""
    bare = re.sub(r"\(.*|@.*", "", name.replace(" (inline)", "")).strip()
    return re.sub(r"(?:\.(?:constprop|isra|part|cold|lto_priv)(?:\.\d+)?)+", "", bare)


def _text(tool: str, granularity: str, program: str, dump: Path, value: str) -> list[str]:
    command = [tool, "--text", granularity, "--show_bytes", f"--{value}", program, str(dump)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_S).stdout.splitlines()


def by_address_go(dump: Path, value: str) -> dict[int, Row]:
    """The table of addresses of `go tool pprof`, which reads the dump by itself; no symbols."""
    command = ["go", "tool", "pprof", "-symbolize=none", "-addresses", "-text", "-unit=bytes", "-nodefraction=0"]
    command += [f"-sample_index={value}", str(dump)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_S)
    rows: dict[int, Row] = {}
    for line in done.stdout.splitlines():
        match = re.match(r"\s*(-?\d+)[a-zA-Z]*\s+\S+\s+\S+\s+(-?\d+)[a-zA-Z]*\s+\S+  ([0-9a-f]{16}) ", line)
        if match:
            rows[int(match[3], 16)] = Row(int(match[1]), int(match[2]))
    return rows


def addr2line(file: str, vaddrs: Iterable[int]) -> dict[int, set[str]]:
    """For each address the functions there by debug information, inlined calls included; empty where there is none."""
    asked = list(vaddrs)
    text = "\n".join(f"{vaddr:#x}" for vaddr in asked)
    command = ["addr2line", "-a", "-f", "-i", "-C", "-e", file]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    found: dict[int, set[str]] = {}
    names, name = set[str](), ""
    for line in done.stdout.splitlines():
        if line.startswith("0x"):
            names, name = found.setdefault(int(line, 16), set()), ""
        elif not name:
            name = line
        else:
            if not line.startswith("??"):  # without a line it is only the symbol before the address
                names.add(plain(name))
            name = ""
    return found
