# SPDX-License-Identifier: Apache-2.0
"""`heaptide tree`: callers and callees."""

from __future__ import annotations

import re

import click

from heaptide.cli import options
from heaptide.cli.choosing import Choice, choice
from heaptide.cli.showing import Showing

_ROWS = 20
_EPILOG = f"""\b
Examples:
  heaptide tree                     the twenty largest functions, with callers and callees
  heaptide tree --by line -n 5 --base 10m

{options.MOMENTS_HELP}"""


@click.command("tree", epilog=_EPILOG)
@options.capture_argument
@options.moments
@options.value
@options.by
@click.option("--cum", is_flag=True, help="Sort by the cumulative value.")
@click.option("-n", "limit", type=click.IntRange(0), default=_ROWS, show_default=True, metavar="N", help="0 for all.")
@choice
@options.all_frames
@options.born
@options.mapped
@options.search
@options.as_json
def command(
    capture: str | None,
    at: str,
    base: str | None,
    value: str,
    by: options.By,
    cum: bool,
    limit: int,
    focus: re.Pattern[str] | None,
    ignore: re.Pattern[str] | None,
    hide: re.Pattern[str] | None,
    show: re.Pattern[str] | None,
    all_frames: bool,
    born: tuple[str, str] | None,
    mapped: bool,
    search: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show functions between their callers and callees.

    <- leads to who called, with what was allocated below that call; -> to who was called. Shares of both are shares of
    the function's own cumulative value.
    """
    from heaptide.analysis.graph import Trim, call_graph
    from heaptide.analysis.site import no_frame, not_users
    from heaptide.cli import inputs
    from heaptide.render.tree import tree_json, tree_text

    inputs.born_needs(value, born)
    picked = inputs.choose(capture, at, base, search, mapped=mapped, born=born)
    showing = Showing(picked, value, mapped)
    profile, whole = Choice(focus, ignore, hide, show).apply(picked, value)
    graph = call_graph(
        profile,
        value=value,
        by=by,
        trim=Trim(nodecount=0),
        order="cum" if cum else "flat",
        picture=False,
        skip=no_frame if all_frames else not_users,
        whole=whole,
    )
    nodes = range(len(graph.nodes))[: limit or None]
    showing.finish(
        None if graph.nodes else showing.why_empty(),
        as_json=as_json,
        document=lambda reason: tree_json(graph, nodes=nodes, reason=reason),
        text=lambda heading: tree_text(graph, heading, nodes=nodes, left_out=len(graph.nodes) - len(nodes)),
    )
