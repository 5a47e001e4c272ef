# SPDX-License-Identifier: Apache-2.0
"""`heaptide peek`: the neighbours of functions that match."""

from __future__ import annotations

import re

import click

from heaptide._errors import NothingToShow
from heaptide.cli import options
from heaptide.cli.choosing import Pattern
from heaptide.cli.guard import out

_EPILOG = f"""\b
Examples:
  heaptide peek handle_search       who calls it, and what it calls
  heaptide peek '^parse_' server.4711.tide --by line

{options.MOMENTS_HELP}"""


@click.command("peek", epilog=_EPILOG)
@click.argument("pattern", metavar="RE", type=Pattern())
@options.capture_argument
@options.moments
@options.value
@options.by
@options.all_frames
@options.mapped
@options.search
@options.as_json
def command(
    pattern: re.Pattern[str],
    capture: str | None,
    at: str,
    base: str | None,
    value: str,
    by: options.By,
    all_frames: bool,
    mapped: bool,
    search: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the callers and callees of functions that match.

    RE is sought in a function's name and its place. Nothing is left out for being small.
    """
    from heaptide.analysis.graph import EVERYTHING, call_graph
    from heaptide.analysis.site import no_frame, not_users
    from heaptide.cli import inputs
    from heaptide.render import headings, names
    from heaptide.render.tree import tree_json, tree_text

    picked = inputs.choose(capture, at, base, search, mapped=mapped)
    skip = no_frame if all_frames else not_users
    graph = call_graph(picked.profile, value=value, by=by, trim=EVERYTHING, order="flat", picture=False, skip=skip)
    nodes = [number for number, node in enumerate(graph.nodes) if pattern.search(names.place_name(node.place))]
    nothing = None if graph.nodes else inputs.why_empty(picked, value, mapped=mapped)
    if graph.nodes and not nodes:
        nothing = NothingToShow(f"nothing matches {pattern.pattern!r}", hint="see: heaptide top -n 0")
    if as_json:
        out(tree_json(graph, nodes=nodes, reason=nothing.message if nothing else None))
    elif not nothing:
        heading = headings.heading(picked.series, value, picked.at, picked.base, mapped=mapped)
        out(tree_text(graph, heading, nodes=nodes))
    inputs.finish(picked.read)
    if nothing:
        raise nothing
