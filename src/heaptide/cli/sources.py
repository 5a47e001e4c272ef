# SPDX-License-Identifier: Apache-2.0
"""Source files by the names that debug information gives them. The search is pprof's (internal/report/source.go).

A prefix is taken off the name (``--trim_path``; unless given, all up to and with the base name of a search directory).
What is still absolute is taken as it stands; anything else is sought in each search directory and all above it.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

LARGEST = 1 << 26
"""Bytes; no source file that people read is longer."""

_ALWAYS_TRIMMED = ("/proc/self/cwd/./", "/proc/self/cwd/")


@dataclass(slots=True)
class Sources:
    """Finds and remembers source files.

    ``search``: directories; the current one when there are none. ``trim``: prefixes to take off.
    """

    search: Sequence[str] = ()
    trim: Sequence[str] = ()
    _read: dict[str, list[str] | str] = field(default_factory=dict)

    def lines(self, name: str) -> list[str] | str:
        """The file's lines without their ends, or why there are none."""
        if name not in self._read:
            self._read[name] = self._find(name)
        return self._read[name]

    def _find(self, name: str) -> list[str] | str:
        search = self.search or (os.getcwd(),)
        relative = trimmed(name, self.trim, search)
        if posixpath.isabs(relative):
            return _contents(relative)
        for directory in search:
            for folder in _upwards(os.path.abspath(directory)):
                path = os.path.join(folder, relative)
                if os.path.isfile(path):
                    return _contents(path)
        return f"{relative} is not below {os.pathsep.join(search)} nor above (see --source_path)"


def trimmed(name: str, trim: Sequence[str], search: Sequence[str]) -> str:
    """A source file's name without the prefix that is to be taken off."""
    if not trim:
        for directory in search:
            inside = f"/{os.path.basename(os.path.abspath(directory))}/"
            if inside in name:
                return name[name.index(inside) + len(inside) :]
    for prefix in (*trim, *_ALWAYS_TRIMMED):
        folder = prefix if prefix.endswith("/") else f"{prefix}/"
        if name.startswith(folder):
            return name.removeprefix(folder)
    return name


def _upwards(folder: str) -> list[str]:
    folders = [folder]
    while (parent := os.path.dirname(folders[-1])) != folders[-1]:
        folders.append(parent)
    return folders


def _contents(path: str) -> list[str] | str:
    """Never waits for a pipe and reads no device: names come from files that anybody may have made."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        return f"{path}: {getattr(error, 'strerror', None) or error}"
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return f"{path} is no file"
        return file.read(LARGEST).decode("utf-8", "replace").splitlines()
