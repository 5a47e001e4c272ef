# SPDX-License-Identifier: Apache-2.0
"""`heaptide flame`: the flame graph as a picture."""

from __future__ import annotations

import re

import click

from heaptide.cli import opening, options
from heaptide.cli.choosing import Choice, choice

FORMATS = ("svg", "html")

_EPILOG = f"""\b
Examples:
  heaptide flame -o held.svg                    what the newest capture held at its end
  heaptide flame server.4711.tide --base 10m -o growth.svg --open
  heaptide flame -o held.html                   to search, to zoom, to choose moments
  heaptide flame -o callers.svg --inverted      sites first, their callers below

{options.MOMENTS_HELP}"""


@click.command("flame", epilog=_EPILOG)
@options.capture_argument
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    shell_complete=options.complete_files,
    help="svg, or html to search and zoom in, by the file's name.",
)
@options.moments
@options.value
@options.by
@click.option("--flame", "upwards", is_flag=True, help="Callers at the bottom; else they hang from the top (icicles).")
@click.option("--inverted", is_flag=True, help="Read each stack from its site to its callers.")
@click.option("--width", type=click.IntRange(400, 10000), default=1200, show_default=True, help="Pixels.")
@click.option(
    "--minwidth",
    type=click.FloatRange(0, 100),
    default=0.5,
    show_default=True,
    help="Leave out boxes narrower than this, in pixels.",
)
@choice
@options.all_frames
@options.born
@options.mapped
@options.search
@opening.option
@click.pass_context
def command(
    context: click.Context,
    capture: str | None,
    output: str,
    at: str,
    base: str | None,
    value: str,
    by: options.By,
    upwards: bool,
    inverted: bool,
    width: int,
    minwidth: float,
    focus: re.Pattern[str] | None,
    ignore: re.Pattern[str] | None,
    hide: re.Pattern[str] | None,
    show: re.Pattern[str] | None,
    all_frames: bool,
    born: tuple[str, str] | None,
    mapped: bool,
    search: tuple[str, ...],
    open_it: bool,
) -> None:
    """Draw the flame graph.

    A box is a call path, as wide as what it holds, below the path that called it; numbers in full are in its title.
    Colours tell modules apart. With --base a box is as wide as what changed below it, up or down, and its colour tells
    which: orange grew, blue shrank.
    """
    if opening.format_of(output, FORMATS, "flame graph") == "html":
        from heaptide.cli import flame_page

        begin = flame_page.Beginning(at, base, value, mapped, all_frames, upwards, by, inverted)
        flame_page.write(context, output, capture, begin, search, open_it)
        return

    from heaptide.analysis.flame import flame
    from heaptide.analysis.site import no_frame, not_users
    from heaptide.cli import inputs
    from heaptide.cli.showing import Showing
    from heaptide.render import flame as render

    inputs.born_needs(value, born)
    chosen = inputs.choose(capture, at, base, search, mapped=mapped, born=born)
    showing = Showing(chosen, value, mapped)
    profile, whole = Choice(focus, ignore, hide, show).apply(chosen, value)
    graph = flame(
        profile,
        value=value,
        by=by,
        skip=no_frame if all_frames else not_users,
        inverted=inverted,
        least=minwidth / width,
        whole=whole,
    )
    if not graph.boxes:
        raise showing.why_empty()
    opening.write(output, render.svg(graph, showing.heading(), width=width, upwards=upwards).encode())
    if open_it:
        opening.open_file(output)
    inputs.finish(chosen.read)
