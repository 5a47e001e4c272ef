# SPDX-License-Identifier: Apache-2.0
"""What the terminal can do, as far as `heaptide live` has to know."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from heaptide._errors import UsageError

_CANNOT_DRAW = ("", "dumb", "unknown")
_COLOURS = 8


def check() -> None:
    """UsageError, with what to do, where there is no terminal to draw on, or one that cannot move its cursor."""
    if not all(stream is not None and stream.isatty() for stream in (sys.__stdin__, sys.__stderr__)):
        raise UsageError(
            "live needs a terminal for its input and its messages",
            hint="for a script: heaptide growth --json, or heaptide top --json, again and again",
        )
    term = os.environ.get("TERM", "")
    if term in _CANNOT_DRAW:
        raise UsageError(
            f"this terminal cannot be drawn on (TERM={term})",
            hint="set TERM to what it is (xterm, vt100, screen, tmux, linux), or use heaptide growth and heaptide top",
        )


def forget_given_size() -> None:
    """LINES and COLUMNS in the environment stay what they were when the window changes: the terminal is asked."""
    for name in ("LINES", "COLUMNS"):
        os.environ.pop(name, None)


def has_colours() -> bool:
    """Whether to use colours: not with NO_COLOR, nor on a terminal whose description names fewer than eight."""
    if os.environ.get("NO_COLOR"):
        return False
    with suppress(Exception):  # no curses, or a terminal that nobody has described: most have colours
        import curses

        curses.setupterm()
        return curses.tigetnum("colors") >= _COLOURS
    return True


def is_ascii() -> bool:
    """Whether the locale that we were started in has another encoding than UTF-8.

    Not what Python says, which takes UTF-8 where there is no locale, and writes that into its environment.
    """
    try:
        started = Path("/proc/self/environ").read_bytes().decode("utf-8", "surrogateescape").split("\0")
    except OSError:
        started = [f"{name}={value}" for name, value in os.environ.items()]
    given = dict(entry.partition("=")[::2] for entry in started if entry)
    locale = next((given[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if given.get(name)), "C")
    return "utf8" not in locale.lower().replace("-", "")
