# SPDX-License-Identifier: Apache-2.0
"""`heaptide timeline`: memory over time as a picture."""

from __future__ import annotations

from typing import Literal

import click

from heaptide.cli import opening, options

_EPILOG = f"""\b
Examples:
  heaptide timeline -o memory.svg
  heaptide timeline server.4711.tide -o memory.png --open
  heaptide timeline -o sites.svg --by site --from 10m

{options.MOMENTS_HELP}"""


@click.command("timeline", epilog=_EPILOG)
@options.capture_argument
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    shell_complete=options.complete_files,
    help="svg, png or pdf, by the file's name.",
)
@click.option(
    "--by",
    type=click.Choice(("part", "site")),
    default="part",
    show_default=True,
    help="Resident memory by its parts, or what is in use by the sites that hold most.",
)
@click.option("--from", "start", metavar="T", default="start", show_default=True, help="Draw from this moment ...")
@click.option("--to", "end", metavar="T", default="exit", show_default=True, help="... to this one.")
@options.search
@opening.option
def command(
    capture: str | None,
    output: str,
    by: Literal["part", "site"],
    start: str,
    end: str,
    search: tuple[str, ...],
    open_it: bool,
) -> None:
    """Draw memory over time.

    Layers are the parts of resident memory, as `heaptide ledger` has them; the solid line is what the kernel counts as
    resident, the dashed one what is in use. Steps and the shutdown are marked, the verdict stands above. Drawing needs
    matplotlib: pip install 'heaptide[pictures]'.
    """
    import logging

    from heaptide.render.timeline import FORMATS

    form = opening.format_of(output, FORMATS, "timeline")
    # Else it tells where it keeps its cache of fonts, and that it makes one.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)

    from heaptide.analysis.over_time import over_time
    from heaptide.cli import inputs
    from heaptide.render import timeline as render

    series = inputs.open_series(capture, search)
    found = over_time(series, by_site=by == "site", start=start, end=end)
    opening.write(output, render.picture(found, form))
    if open_it:
        opening.open_file(output)
    inputs.finish([series])
