# SPDX-License-Identifier: Apache-2.0
"""This machine: can the agent be loaded, and will it find what it needs?"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

from heaptide._errors import HeaptideError
from heaptide.cli.checks import Finding
from heaptide.render import units

OFF_FILE = Path("/etc/heaptide.off")
_OLDEST_KERNEL, _POPULATE_KERNEL = (4, 16), (5, 14)
_MEMBARRIER = {"x86_64": 324, "i686": 375, "aarch64": 283, "armv7l": 389, "riscv64": 283}
_GLOBAL_EXPEDITED = 1 << 1
_BOOKS_BYTES = 1 << 30
"""Far more than the books' file ever takes; a limit above it is no limit."""
_LIMITS = (("AS", "-v", resource.RLIMIT_AS, 8 * _BOOKS_BYTES), ("FSIZE", "-f", resource.RLIMIT_FSIZE, _BOOKS_BYTES))


def findings() -> Iterator[Finding]:
    """Everything about the machine and this shell."""
    yield from agent()
    yield kernel()
    yield memfd()
    yield membarrier()
    yield from limits()
    yield from cgroup()
    yield from switched_off()
    yield Finding("ok", "rights", "neither root nor ptrace is needed for programs that heaptide starts")


def agent() -> Iterator[Finding]:
    """The library and the recorder are there, and the dynamic loader takes the library."""
    from heaptide.launch import agent_path, recorder_path

    for name, find in (("agent", agent_path), ("recorder", recorder_path)):
        try:
            path = find()
        except HeaptideError as error:
            yield Finding("problem", name, error.message, error.hint)
            return
        yield Finding("ok", name, f"{name} {path}")
    yield _preload(str(agent_path()))


def _preload(library: str) -> Finding:
    """Preload the agent into `cat`, which shows its own mappings."""
    environment = {**os.environ, "LD_PRELOAD": library, "HEAPTIDE_OFF": "1"}
    try:
        run = subprocess.run(
            ["cat", "/proc/self/maps"], env=environment, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("problem", "preload", f"a trial with LD_PRELOAD failed: {error}")
    if run.returncode == 0 and library in run.stdout:
        return Finding("ok", "preload", "the agent can be preloaded (tried with cat)")
    said = run.stderr.strip().splitlines()
    return Finding(
        "problem",
        "preload",
        f"the dynamic loader did not load the agent{': ' + said[0] if said else ''}",
        "is it built for this machine and C library? make native builds it anew",
    )


def kernel() -> Finding:
    """The kernel is new enough."""
    release = platform.release()
    parts = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    if parts < _OLDEST_KERNEL:
        return Finding("problem", "kernel", f"Linux {release} is older than 4.16", "the agent needs 4.16 or newer")
    if parts < _POPULATE_KERNEL:
        return Finding("warn", "kernel", f"Linux {release} is older than 5.14: the agent uses its small, fixed books")
    return Finding("ok", "kernel", f"Linux {release}")


def memfd() -> Finding:
    """The books' shared memory can be made."""
    try:
        os.close(os.memfd_create("heaptide-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
    except OSError as error:
        return Finding("problem", "memfd", f"memfd_create failed: {error.strerror}", "a sandbox forbids it")
    return Finding("ok", "memfd", "shared memory (memfd) can be made")


def membarrier() -> Finding:
    """The recorder can take a cut without stopping the program."""
    number = _MEMBARRIER.get(platform.machine())
    if number is None:
        return Finding("warn", "membarrier", f"not asked on {platform.machine()}")
    commands = ctypes.CDLL(None, use_errno=True).syscall(number, 0, 0, 0)
    if commands >= 0 and commands & _GLOBAL_EXPEDITED:
        return Finding("ok", "membarrier", "membarrier is there: snapshots stop no thread")
    return Finding("warn", "membarrier", "no expedited membarrier: snapshots take milliseconds longer to be consistent")


def limits() -> Iterator[Finding]:
    """Resource limits and overcommit: the agent reserves address space that it touches only in part."""
    policy = _read("/proc/sys/vm/overcommit_memory")
    if policy == "2":
        yield Finding(
            "warn", "overcommit", "overcommit is off (vm.overcommit_memory=2): what the agent reserves counts at once"
        )
    else:
        yield Finding("ok", "overcommit", f"vm.overcommit_memory={policy or '?'}")
    for name, flag, limit, least in _LIMITS:
        soft, _ = resource.getrlimit(limit)
        check = f"rlimit-{name.lower()}"
        if soft != resource.RLIM_INFINITY and soft < least:
            yield Finding("warn", check, f"RLIMIT_{name} is {units.size(soft)}", f"ulimit {flag} unlimited")
        else:
            yield Finding("ok", check, f"RLIMIT_{name} is wide enough")


def cgroup() -> Iterator[Finding]:
    """Will the recorder outlive the program when memory runs out?"""
    group = next((line[3:] for line in _read("/proc/self/cgroup").splitlines() if line.startswith("0::")), None)
    if group is not None and _read(f"/sys/fs/cgroup{group}/memory.oom.group") == "1":
        yield Finding(
            "warn",
            "oom-group",
            "memory.oom.group is set: when memory runs out the recorder dies with the program, and at most the last "
            "snapshot interval is lost",
            "record from outside the control group",
        )


def switched_off() -> Iterator[Finding]:
    """The two ways to switch everything off."""
    if OFF_FILE.exists():
        yield Finding("problem", "off", f"{OFF_FILE} is there: the agent does nothing", f"remove {OFF_FILE}")
    if off_variable():
        yield Finding("problem", "off", "HEAPTIDE_OFF is set: the agent does nothing", "unset HEAPTIDE_OFF")


def off_variable() -> bool:
    """HEAPTIDE_OFF is set, and to nothing that the agent takes for a no."""
    value = os.environ.get("HEAPTIDE_OFF")
    return value is not None and (not value or value[0] in "tTyY1")


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
