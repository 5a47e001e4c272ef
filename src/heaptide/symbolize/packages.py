# SPDX-License-Identifier: Apache-2.0
"""The name of the Debian package that would bring a file's debug info. A guess, for hints only."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import lru_cache

_OLD_STYLE = re.compile(r"(libc6(-i386|-x32)?|librados2|librbd1|librgw2|libcephfs2|python3\.\d+)$")
"""Packages whose debug info comes in a hand-made -dbg package; all others have automatic -dbgsym ones."""
_TIMEOUT = 5.0
"""Seconds; dpkg may wait for a slow disk, and a hint is not worth more."""


@lru_cache(maxsize=1024)
def debug_package(path: str) -> str | None:
    """The debug package for the installed file at `path`; None when no package owns it or this is no Debian."""
    owner = _owner(path)
    if owner is None:
        return None
    return owner + ("-dbg" if _OLD_STYLE.match(owner) else "-dbgsym")


def _owner(path: str) -> str | None:
    """The package that installed `path`. dpkg may know it by its name from before /usr was merged."""
    dpkg = shutil.which("dpkg")
    if dpkg is None or not path.startswith("/"):
        return None
    names = [path, path.removeprefix("/usr") if path.startswith("/usr/lib") else f"/usr{path}"]
    # dpkg takes patterns; a path of a capture must not be one.
    names = [re.sub(r"([\\*?\[])", r"\\\1", name) for name in names]
    try:
        run = subprocess.run([dpkg, "-S", "--", *names], capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    first = next((line for line in run.stdout.splitlines() if not line.startswith("diversion ")), "")
    return first.split(",")[0].split(":")[0].strip() or None
