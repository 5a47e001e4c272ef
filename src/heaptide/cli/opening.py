# SPDX-License-Identifier: Apache-2.0
"""Results that are files: writing them, and ``--open``, which shows them in the desktop's own viewer.

Where there is none (a server, a container, ssh without a display) that is no failure: the file is written all the same,
and one line says where.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path

import click

from heaptide._errors import UsageError
from heaptide.cli.guard import say
from heaptide.cli.nearest import did_you_mean

option = click.option("--open", "open_it", is_flag=True, help="Open the result, where there is a desktop.")

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
_PATIENCE = 5.0
"""Seconds in which an opener that finds no viewer says so. One that goes on longer has become the viewer."""


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a result. UsageError when it cannot be written."""
    try:
        Path(path).write_bytes(data)
    except OSError as error:
        raise UsageError(f"{os.fspath(path)} cannot be written: {error.strerror}") from error


def format_of(output: str, known: Collection[str], kind: str) -> str:
    """The format by the file's name. UsageError when it is none of ``known``; ``kind``: whose it is not, "picture"."""
    suffix = Path(output).suffix.removeprefix(".").lower()
    if suffix in known:
        return suffix
    endings = [f".{name}" for name in known]
    said = f".{suffix}" if suffix else "a name without an ending"
    raise UsageError(
        f"{output}: {said} is no {kind}'s{did_you_mean(suffix, known)}",
        hint=f"end the name in {' or '.join(endings) if len(endings) < 3 else 'one of ' + ', '.join(endings)}",
    )


def open_file(path: str | os.PathLike[str]) -> bool:
    """Shows a file in the desktop's viewer for its kind. False where that could not be; the reason is on stderr."""
    # In full: no name is taken for an option, and the viewer may run in another folder.
    return _open(os.fspath(Path(path).absolute()), os.fspath(path))


def open_url(url: str) -> bool:
    """Shows a page in the desktop's browser, as `open_file`.

    The address stands among the opener's arguments, which other users of the machine can read: a secret in it must be
    worth nothing once it was used.
    """
    return _open(url, url)


def has_desktop() -> bool:
    """Whether there is one that could show something."""
    return any(os.environ.get(name) for name in _DISPLAYS)


def _open(target: str, shown: str) -> bool:
    if not has_desktop():
        say(f"--open: no desktop here ({' and '.join(_DISPLAYS)} are not set); open it yourself: {shown}")
        return False
    command = _opener()
    if command is None:
        say(f"--open: xdg-open is not installed; open it yourself: {shown}")
        return False
    if not _started([*command, target]):
        say(f"--open: {command[0]} found nothing to open it with; open it yourself: {shown}")
        return False
    return True


def _opener() -> Sequence[str] | None:
    """The command that opens files and addresses alike: the desktop's own, else GLib's."""
    known: tuple[tuple[str, ...], ...] = (("xdg-open",), ("gio", "open"))
    return next((command for command in known if shutil.which(command[0])), None)


def _started(command: Sequence[str]) -> bool:
    """Starts a program that outlives us and leaves our streams alone. False when it fails at once."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return False
    try:
        return process.wait(_PATIENCE) == 0
    except subprocess.TimeoutExpired:
        return True
