# SPDX-License-Identifier: Apache-2.0
"""`heaptide list`: annotated source."""

from __future__ import annotations

import re

import click

from heaptide._errors import NothingToShow
from heaptide.cli import options
from heaptide.cli.choosing import Pattern
from heaptide.cli.showing import Showing

_EPILOG = f"""\b
Examples:
  heaptide list handle_search              what each of its lines holds
  heaptide list '^parse_' --base 10m --source-path ~/src/server

{options.MOMENTS_HELP}"""


@click.command("list", epilog=_EPILOG)
@click.argument("pattern", metavar="RE", type=Pattern())
@options.capture_argument
@options.moments
@options.value
@click.option("--source-path", multiple=True, metavar="DIR", help="Look for source files here (may be repeated).")
@click.option("--trim-path", multiple=True, metavar="DIR", help="Take this off the front of their names.")
@options.all_frames
@options.born
@options.mapped
@options.search
@options.as_json
def command(
    pattern: re.Pattern[str],
    capture: str | None,
    at: str,
    base: str | None,
    value: str,
    source_path: tuple[str, ...],
    trim_path: tuple[str, ...],
    all_frames: bool,
    born: tuple[str, str] | None,
    mapped: bool,
    search: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show functions' source with what each line holds.

    RE is sought in functions' names. The first column is what a line allocated itself, the second adds everything
    below it.
    """
    from heaptide.analysis.graph import EVERYTHING, call_graph
    from heaptide.analysis.listing import routines
    from heaptide.analysis.site import no_frame, not_users
    from heaptide.cli import inputs
    from heaptide.cli.sources import Sources
    from heaptide.render.annotated import source_json, source_text

    inputs.born_needs(value, born)
    picked = inputs.choose(capture, at, base, search, mapped=mapped, born=born)
    showing = Showing(picked, value, mapped)
    skip = no_frame if all_frames else not_users
    graph = call_graph(picked.profile, value=value, by="line", trim=EVERYTHING, order="flat", picture=False, skip=skip)
    found = routines(graph, pattern)
    nothing = None if graph.nodes else showing.why_empty()
    if graph.nodes and not found:
        nothing = NothingToShow(f"no function's name matches {pattern.pattern!r}", hint="see: heaptide top -n 0")
    showing.finish(
        nothing,
        as_json=as_json,
        document=lambda reason: source_json(graph, found, reason=reason),
        text=lambda heading: source_text(graph, found, Sources(source_path, trim_path).lines, heading),
    )
