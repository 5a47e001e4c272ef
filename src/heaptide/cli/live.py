# SPDX-License-Identifier: Apache-2.0
"""`heaptide live`: a terminal view that follows a running program."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from heaptide._errors import InputError, NothingToShow
from heaptide.cli import options

_EPILOG = """\b
Examples:
  heaptide live                     the newest capture here
  heaptide live server.4711.tide
  heaptide live 4711                whatever is recorded of process 4711

\b
It draws in ASCII where the locale is not UTF-8, and without colour where
NO_COLOR is set or the terminal has none. TERM has to name a terminal that can
move its cursor: xterm, vt100, screen, tmux, linux ...
"""
_PATIENCE_S = 1.0
"""What names are waited for, at each reading, before what there is is shown without them."""


@click.command("live", epilog=_EPILOG)
@click.argument("target", metavar="[CAPTURE|PID]", required=False, shell_complete=options.complete_files)
@click.option(
    "--ascii/--unicode", "ascii_only", default=None, help="Draw with these characters. [default: the locale's]"
)
@options.search
def command(target: str | None, ascii_only: bool | None, search: tuple[str, ...]) -> None:
    """Follow a running program in the terminal: what grows, where.

    The table shows the sites that hold memory, with what each gained since the start or since a mark, the 95 % interval
    of its rate, and its verdict as it forms. ? in the view lists the keys.
    """
    from heaptide.cli import terminals

    path = _capture(target)
    terminals.check()
    terminals.forget_given_size()
    from heaptide.cli.exporting import Files
    from heaptide.cli.following import Following
    from heaptide.cli.naming import BackgroundNames
    from heaptide.cli.sources import Sources
    from heaptide.symbolize import Symbolizer
    from heaptide.tui.app import LiveApp

    names = Symbolizer(search=tuple(Path(folder) for folder in search))
    app = LiveApp(
        Following(path, BackgroundNames(names, _PATIENCE_S)),
        Files(Path(".")),
        Sources().lines,
        ascii_only=terminals.is_ascii() if ascii_only is None else ascii_only,
        colour=terminals.has_colours(),
    )
    app.run()
    sys.stdout.flush()
    if app.return_code:  # it was ended by a signal, or failed and has said so
        raise SystemExit(app.return_code)


def _capture(target: str | None) -> str:
    """The file to follow."""
    from heaptide.cli import inputs

    if target is None:
        return str(inputs.newest_capture(Path(".")))
    if target.isdigit() and not os.path.exists(target):
        return _capture_of(int(target))
    inputs.must_be_there(target)
    _must_be_a_capture(target)
    return target


def _must_be_a_capture(path: str) -> None:
    """InputError for a file of something else, which no waiting mends. One that is shorter may have been begun."""
    from heaptide.capture.reader import is_capture, name_of

    try:
        with open(path, "rb") as file:
            head = file.read(8)
    except OSError as error:
        raise InputError(path, None, f"cannot be read: {error.strerror}") from None
    if len(head) == 8 and not is_capture(head):
        hint = "name a capture (NAME.PID.tide) or the process's number"
        raise InputError(path, 0, "a heaptide capture", found=name_of(head)[0], hint=hint)


def _capture_of(pid: int) -> str:
    """The capture of a process. NothingToShow, with what to do, where there is none."""
    from heaptide.cli import recorders
    from heaptide.cli.checks import process

    found = recorders.captures_of(pid)
    if found:
        return str(found[-1].path)
    for finding in process.findings(pid):
        if finding.level == "problem":
            raise NothingToShow(finding.message, hint=finding.hint)
    raise NothingToShow(f"process {pid} has the agent loaded, and no recorder of it is to be found", hint=_why(pid))


def _why(pid: int) -> str:
    """Why a process with the agent has no capture, as far as can be seen from outside."""
    from heaptide.cli import recorders

    environment = recorders.environment_of(pid)
    if environment.get("HEAPTIDE_OFF") == "1":
        return "HEAPTIDE_OFF is set in its environment: start it anew without"
    if not {"HEAPTIDE_OUTPUT", "HEAPTIDE_SOCKET"} & environment.keys():
        return "start it anew: heaptide run -- COMMAND, or with HEAPTIDE_OUTPUT=FILE beside LD_PRELOAD"
    return "a file begins after the first second; else its recorder has gone: heaptide run -- COMMAND starts both"
