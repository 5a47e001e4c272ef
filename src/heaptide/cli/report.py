# SPDX-License-Identifier: Apache-2.0
"""`heaptide report`: one page to send to others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heaptide._errors import UsageError
from heaptide.cli import opening, options
from heaptide.cli.guard import say

if TYPE_CHECKING:
    from heaptide.model import Series
    from heaptide.render.listing import Lines

_EPILOG = """\b
Examples:
  heaptide report                             the newest capture here, as NAME.html
  heaptide report server.4711.tide -o leak.html --open
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
@opening.option
def command(
    capture: str | None,
    output: str | None,
    source_path: tuple[str, ...],
    trim_path: tuple[str, ...],
    search: tuple[str, ...],
    open_it: bool,
) -> None:
    """Write one page with everything, to look at and to send.

    The verdict, memory over time, suspects with their source, flame graph, table, call graph, survivors by birth and
    the ledger, for any stretch of time that is chosen on it. The file opens from disk in any browser and needs no
    network. Names, numbers and the pieces of source that it quotes are in it: whoever gets the file can read them.
    """
    from heaptide.cli import inputs
    from heaptide.cli.sources import Sources
    from heaptide.render import units
    from heaptide.render.page import html

    page = html.template()
    series = inputs.open_series(capture, search)
    target = Path(output) if output is not None else Path(Path(series.path).stem + ".html")
    _refuse_to_overwrite(series.path, target)
    whole = _page(series, page, Sources(source_path, trim_path).lines)
    opening.write(target, whole)
    say(f"wrote {target} ({units.size(len(whole))})")
    if open_it:
        opening.open_file(target)
    inputs.finish([series])


def _page(series: Series, page: str, lines: Lines) -> bytes:
    from heaptide import __version__
    from heaptide.analysis.report import report
    from heaptide.cli.progress import Progress
    from heaptide.render.page.file import report_file

    with Progress() as progress:
        found = report(series, progress=lambda what, part: progress(what, 0.9 * part))
        progress("writing", 0.9)
        return report_file(found, lines, page=page, title="heaptide", tool=f"heaptide {__version__}")


def _refuse_to_overwrite(capture: str, target: Path) -> None:
    """UsageError where the page would take the place of the recording that it is made from."""
    if target.exists() and os.path.samefile(capture, target):
        raise UsageError(f"{target} is the capture itself", hint="name another file: -o FILE.html")
