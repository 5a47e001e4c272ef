# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, declared once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import click
from click.shell_completion import CompletionItem

VALUES = ("inuse_space", "inuse_objects", "alloc_space", "alloc_objects")
GRANULARITIES = ("function", "line", "file", "module", "address")

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _together(*decorators: Callable[[Any], Any]) -> Callable[[_Function], _Function]:
    def decorate(function: _Function) -> _Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def complete_files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Lets the shell complete a file's name, where a word may be something else as well."""
    return [CompletionItem(incomplete, type="file")]


By = Literal["function", "line", "file", "module", "address"]
by = click.option(
    "--by", type=click.Choice(GRANULARITIES), default="function", show_default=True, help="What is told apart."
)

capture_argument = click.argument("capture", required=False, type=click.Path(path_type=str))

moments = _together(
    click.option("--at", "at", metavar="T", default="end", show_default=True, help="The moment to show."),
    click.option(
        "--base",
        metavar="T|FILE",
        shell_complete=complete_files,
        help="Subtract this moment, or another capture (at its T).",
    ),
)

PER = ("time", "allocated")
"""What two recordings are compared by."""

value = click.option(
    "--value", type=click.Choice(VALUES), default="inuse_space", show_default=True, help="What is counted."
)

mapped = click.option(
    "--mmap",
    "mapped",
    is_flag=True,
    help="Show what the program mapped itself (mmap, mremap, brk) and not the allocator's blocks.",
)


def _interval(_ctx: click.Context, _param: click.Parameter, text: str | None) -> tuple[str, str] | None:
    """`A..B` as two moments."""
    if text is None:
        return None
    after, dots, until = text.partition("..")
    if not (dots and after and until):
        raise click.BadParameter("name two moments, A..B, for instance start..10m")
    return after, until


born = click.option(
    "--born",
    metavar="A..B",
    callback=_interval,
    help="Show what was allocated after moment A and until B, and is in use at T (estimated from samples).",
)

search = click.option(
    "--search",
    multiple=True,
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Look here first for programs and debug files (may be repeated).",
)

all_frames = click.option(
    "--all-frames", is_flag=True, help="Keep frames of the allocator, the C and C++ runtime and containers at the leaf."
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")

MOMENTS_HELP = """\b
A moment T is start, peak, end, exit, #12 (a snapshot), 90s or 5m (since the
start), -10m (before the end), 03:12 or an ISO time. `end` is the last moment
before an ordinary shutdown frees everything, `exit` the program's death.
Without CAPTURE the newest .tide file here is taken.
"""


def colour() -> bool:
    """Whether to colour what goes to stdout: on a terminal, unless NO_COLOR is set to something."""
    return sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
