# SPDX-License-Identifier: Apache-2.0
"""One running process: is it profiled already, and could its recorder outlive it?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from heaptide.cli.checks import Finding

_AGENT = "libheaptide.so"


def findings(pid: int) -> Iterator[Finding]:
    """Everything about a running process."""
    root = Path(f"/proc/{pid}")
    if not root.exists():
        yield Finding("problem", "process", f"there is no process {pid}")
        return
    try:
        maps = (root / "maps").read_text("utf-8", "surrogateescape")
        status = (root / "status").read_text()
    except OSError as error:
        yield Finding("problem", "process", f"process {pid} cannot be looked into: {error.strerror}",
                      "ask as its owner or as root")  # fmt: skip
        return
    if _AGENT in maps:
        yield Finding("ok", "loaded", f"the agent is loaded in process {pid}")
    else:
        yield Finding(
            "problem",
            "loaded",
            f"process {pid} runs without the agent, and a running program cannot be switched on yet",
            "start it anew: heaptide run -- COMMAND",
        )
    inner = re.search(r"^NSpid:.*\t1$", status, re.MULTILINE)
    if inner:
        yield Finding(
            "warn",
            "pid-1",
            f"process {pid} is PID 1 of its namespace: its recorder dies with it, the last interval is lost",
            "start it as: heaptide-record -- COMMAND",
        )


def code_of(pid: int) -> list[str]:
    """The files of which the process runs code, the program first."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text("utf-8", "surrogateescape")
    except OSError:
        return []
    found = re.findall(r"^\S+ ..x. \S+ \S+ \d+ +(/.*)$", maps, re.MULTILINE)
    return list(dict.fromkeys(path for path in found if not path.endswith(_AGENT)))
