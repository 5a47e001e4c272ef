# SPDX-License-Identifier: Apache-2.0
"""`heaptide peek`: the neighbours of functions that match."""

from __future__ import annotations

import re

import click

from heaptide._errors import NothingToShow
from heaptide.cli import options
from heaptide.cli.choosing import Pattern
from heaptide.cli.showing import Showing

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
    by: options.By,
    all_frames: bool,
    born: tuple[str, str] | None,
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
    from heaptide.render import names
    from heaptide.render.tree import tree_json, tree_text

    inputs.born_needs(value, born)
    picked = inputs.choose(capture, at, base, search, mapped=mapped, born=born)
    showing = Showing(picked, value, mapped)
    skip = no_frame if all_frames else not_users
    graph = call_graph(picked.profile, value=value, by=by, trim=EVERYTHING, order="flat", picture=False, skip=skip)
    nodes = [number for number, node in enumerate(graph.nodes) if pattern.search(names.place_name(node.place))]
    nothing = None if graph.nodes else showing.why_empty()
    if graph.nodes and not nodes:
        nothing = NothingToShow(f"nothing matches {pattern.pattern!r}", hint="see: heaptide top -n 0")
    showing.finish(
        nothing,
        as_json=as_json,
        document=lambda reason: tree_json(graph, nodes=nodes, reason=reason),
        text=lambda heading: tree_text(graph, heading, nodes=nodes),
    )
