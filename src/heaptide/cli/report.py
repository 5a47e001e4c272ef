# SPDX-License-Identifier: Apache-2.0
"""`heaptide report`: one page to send to others."""

from __future__ import annotations

import os
from pathlib import Path

import click

from heaptide._errors import UsageError
from heaptide.cli import options
from heaptide.cli.guard import say

_WORDS = 100_000
"""Bytes that are kept free for what the page says in words."""
_EPILOG = """\b
Examples:
  heaptide report                             the newest capture here, as NAME.html
  heaptide report server.4711.tide -o leak.html
"""


@click.command("report", epilog=_EPILOG)
@options.capture_argument
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    shell_complete=options.complete_files,
    help="The page to write  [default: the capture's name with .html, here]",
)
@click.option("--source-path", multiple=True, metavar="DIR", help="Look for source files here (may be repeated).")
@click.option("--trim-path", multiple=True, metavar="DIR", help="Take this off the front of their names.")
@options.search
def command(
    capture: str | None,
    output: str | None,
    source_path: tuple[str, ...],
    trim_path: tuple[str, ...],
    search: tuple[str, ...],
) -> None:
    """Write one page with everything, to look at and to send.

    The file opens from disk in any browser and needs no network. What it quotes of source files, names and numbers is
    in it: whoever gets the file can read them.
    """
    from heaptide import __version__
    from heaptide.analysis.report import report
    from heaptide.cli import inputs
    from heaptide.cli.sources import Sources
    from heaptide.render import units
    from heaptide.render.page import html
    from heaptide.render.page.make import document, room_beside
    from heaptide.render.page.words import words

    page = html.template()
    series = inputs.open_series(capture, search)
    target = Path(output) if output is not None else Path(Path(series.path).stem + ".html")
    _refuse_to_overwrite(series.path, target)
    found = report(series)
    room = room_beside(page) - _WORDS
    made = document(found, Sources(source_path, trim_path).lines, tool=f"heaptide {__version__}", room=room)
    whole = html.report(page, title=f"{made.header['title']}: heaptide", words=words(found, made), data=made.data)
    try:
        target.write_bytes(whole)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from error
    say(f"wrote {target} ({units.size(len(whole))})")
    inputs.finish([series])


def _refuse_to_overwrite(capture: str, target: Path) -> None:
    """UsageError where the page would take the place of the recording that it is made from."""
    if target.exists() and os.path.samefile(capture, target):
        raise UsageError(f"{target} is the capture itself", hint="name another file: -o FILE.html")
