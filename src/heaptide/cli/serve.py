# SPDX-License-Identifier: Apache-2.0
"""`heaptide serve`: the report's page over a local server, kept up to date while captures grow."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click

import heaptide
from heaptide.cli import opening, options
from heaptide.cli.guard import out, say

_EPILOG = """\b
Examples:
  heaptide serve                           the newest capture here
  heaptide serve server.4711.tide --open   and a browser on it
  heaptide serve before.tide after.tide    two, also side by side
  heaptide serve --source-path ~/src/server --port 8100

\b
It listens on this machine alone. From another one: --port 8100 here, then
ssh -L 8100:localhost:8100 HOST there, and open the address that was printed.
Ctrl-C ends it.
"""


@click.command("serve", epilog=_EPILOG)
@click.argument("captures", nargs=-1, type=click.Path(path_type=str), metavar="[CAPTURE]...")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="Listen at this address; another than loopback lets other machines in.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Listen at this port, not a free one."
)
@click.option(
    "--source-path",
    multiple=True,
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Source files below this folder may be shown, and those below the current one (may be repeated).",
)
@click.option("--trim-path", multiple=True, metavar="DIR", help="Take this off the front of their names.")
@click.option("--access-log", is_flag=True, help="Print a line to stderr for each request.")
@opening.option
@options.search
def command(
    captures: tuple[str, ...],
    host: str,
    port: int,
    source_path: tuple[str, ...],
    trim_path: tuple[str, ...],
    access_log: bool,
    open_it: bool,
    search: tuple[str, ...],
) -> None:
    """Show captures in a browser, and follow those that still grow.

    The page is the one that `report` writes, with what needs a server: it updates itself, several captures stand side
    by side, source files show what each line holds, and every moment can be downloaded as `convert` writes it.
    """
    from heaptide.cli import inputs
    from heaptide.cli.rooted import RootedSources
    from heaptide.cli.served import Files
    from heaptide.web.site import Where, serve

    paths = captures or (str(inputs.newest_capture(Path("."))),)
    for path in paths:
        inputs.must_be_there(path)
    warn_if_open(host)
    roots = (os.getcwd(), *source_path)
    serve(
        paths,
        Files(search, RootedSources(roots, trim_path)),
        Where(host, port),
        tool=f"heaptide {heaptide.__version__}",
        announce=announcer(open_it),
        log=say if access_log else None,
    )
    end_at_once()


def end_at_once() -> NoReturn:
    """Ends the process with status 0 after serving.

    A thread may be in the middle of reading symbols, which takes as long as it takes. To end in the usual way Python
    would unwind it wherever it is; in the middle of C++ that is an abort.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(0)


def announcer(open_it: bool) -> Callable[[str], None]:
    """Prints the address, and opens it when asked."""

    def announce(url: str) -> None:
        out(f"{url}\n")
        say("the address works once, in one browser; Ctrl-C ends the server")
        if open_it:  # aside, for it waits for the desktop, and the server must not
            threading.Thread(target=opening.open_url, args=[url], daemon=True).start()

    return announce


def warn_if_open(host: str) -> None:
    """Says what it means to listen at another address than loopback."""
    if not _is_loopback(host):
        say(
            f"warning: listening at {host}: other machines that reach this one can try to connect",
            "the connection is not encrypted: whoever can listen in on the network reads the address's token, the "
            "captures and the source files that are shown; `ssh -L` is safer",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
