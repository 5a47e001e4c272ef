# SPDX-License-Identifier: Apache-2.0
"""`heaptide graph`: the call graph as a picture."""

from __future__ import annotations

import re

import click

from heaptide.cli import opening, options
from heaptide.cli.choosing import Choice, choice

_EPILOG = f"""\b
Examples:
  heaptide graph -o held.svg
  heaptide graph server.4711.tide --base 10m --by line -o growth.pdf

{options.MOMENTS_HELP}"""


@click.command("graph", epilog=_EPILOG)
@options.capture_argument
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    shell_complete=options.complete_files,
    help="svg, pdf, ps, png, gif or dot, by the file's name.",
)
@options.moments
@options.value
@options.by
@click.option("--nodecount", type=click.IntRange(0), default=80, show_default=True, help="Most nodes; 0 for no limit.")
@click.option(
    "--nodefraction", type=click.FloatRange(0, 1), default=0.005, show_default=True, help="Leave out smaller nodes."
)
@click.option(
    "--edgefraction", type=click.FloatRange(0, 1), default=0.001, show_default=True, help="Leave out smaller edges."
)
@choice
@options.all_frames
@options.born
@options.mapped
@options.search
@opening.option
def command(
    capture: str | None,
    output: str,
    at: str,
    base: str | None,
    value: str,
    by: options.By,
    nodecount: int,
    nodefraction: float,
    edgefraction: float,
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
    """Draw the call graph.

    A box is a function with its flat and cumulative value; the bigger its letters the more is its own, the redder the
    more passes through it. An arrow's number is what was allocated below that call; a dotted arrow leaves out frames
    between its ends.
    """
    from heaptide.render.picture import FORMATS

    form = opening.format_of(output, ("dot", *FORMATS), "picture")

    from heaptide.analysis.graph import Trim, call_graph
    from heaptide.analysis.site import no_frame, not_users
    from heaptide.cli import inputs
    from heaptide.cli.showing import Showing
    from heaptide.render import dot, picture

    inputs.born_needs(value, born)
    chosen = inputs.choose(capture, at, base, search, mapped=mapped, born=born)
    showing = Showing(chosen, value, mapped)
    trim = Trim(nodecount, nodefraction, edgefraction)
    skip = no_frame if all_frames else not_users
    profile, whole = Choice(focus, ignore, hide, show).apply(chosen, value)
    graph = call_graph(profile, value=value, by=by, trim=trim, skip=skip, whole=whole)
    if not graph.nodes:
        raise showing.why_empty()
    source = dot.plain(graph, showing.heading())
    data = source.encode("utf-8", "surrogateescape") if form == "dot" else picture.draw(source, form)
    opening.write(output, data)
    if open_it:
        opening.open_file(output)
    inputs.finish(chosen.read)
