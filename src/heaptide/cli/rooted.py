# SPDX-License-Identifier: Apache-2.0
"""Source files for a browser: by the names that captures give them, and only below the folders that were allowed.

A capture may name any file. What is handed out lies below a source root after every symbolic link was followed, has no
hidden folder between the root and itself (`.ssh`, `.git`), and is a regular file. The file that was opened is looked at
again, so that a link that is changed in between leads nowhere else.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator, Sequence

from heaptide.cli.sources import trimmed

LARGEST = 1 << 23
"""Bytes; of a longer file this much is shown."""

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class RootedSources:
    """Files below ``roots``. ``trim``: prefixes to take off their names, as `cli.sources`."""

    def __init__(self, roots: Sequence[str], trim: Sequence[str] = ()) -> None:
        self._named = [os.path.abspath(root) for root in roots]
        self._roots = [os.path.realpath(root) for root in roots]
        self._trim = trim

    def lines(self, name: str) -> list[str] | str:
        """The file's lines without their ends, or why they are not shown."""
        outside = False
        for path in self._candidates(name):
            try:
                real = os.path.realpath(path)
            except OSError:  # a link that was replaced by something else while it was followed
                continue
            if not self._allows(real):
                outside = outside or os.path.isabs(name)
            elif (lines := self._contents(real)) is not None:
                return lines
        roots = os.pathsep.join(self._named)
        if outside:
            return f"it lies outside of the source roots ({roots}); name its folder with --source-path"
        return f"it was not found below the source roots ({roots}); name its folder with --source-path"

    def _candidates(self, name: str) -> Iterator[str]:
        if "\0" in name:
            return
        if posixpath.isabs(name):
            yield name
        relative = trimmed(name, self._trim, self._named)
        if not posixpath.isabs(relative):
            yield from (os.path.join(root, relative) for root in self._roots)

    def _allows(self, real: str) -> bool:
        for root in self._roots:
            prefix = root if root.endswith("/") else f"{root}/"
            if real.startswith(prefix):
                return not any(part.startswith(".") for part in real[len(prefix) :].split("/"))
        return False

    def _contents(self, real: str) -> list[str] | None:
        """None when it is no file that can be read, or not the one that was allowed."""
        try:
            descriptor = os.open(real, _FLAGS | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            same = self._allows(os.readlink(f"/proc/self/fd/{descriptor}"))
            if not (same and stat.S_ISREG(os.fstat(descriptor).st_mode)):
                return None
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(LARGEST).decode("utf-8", "replace").splitlines()
        except OSError:
            return None
        finally:
            os.close(descriptor)
