# SPDX-License-Identifier: Apache-2.0
"""`heaptide traces`: every stack."""

from __future__ import annotations

import click

from heaptide.cli import options
from heaptide.cli.showing import Showing

_EPILOG = f"""\b
Examples:
  heaptide traces -n 5                the five stacks that hold most
  heaptide traces --base start --json

{options.MOMENTS_HELP}"""


@click.command("traces", epilog=_EPILOG)
@options.capture_argument
@options.moments
@options.value
@click.option("-n", "limit", type=click.IntRange(0), metavar="N", default=0, help="Stacks; 0 for all. [default: 0]")
@options.born
@options.mapped
@options.search
@options.as_json
def command(
    capture: str | None,
    at: str,
    base: str | None,
    value: str,
    limit: int,
    born: tuple[str, str] | None,
    mapped: bool,
    search: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show every stack with its values.

    Each stack stands leaf first; > marks its site, the leaf-most frame of the program's own. A frame without a name
    says why it has none.
    """
    from heaptide.analysis.traces import traces
    from heaptide.cli import inputs
    from heaptide.render import json, text

    inputs.born_needs(value, born)
    chosen = inputs.choose(capture, at, base, search, mapped=mapped, born=born)
    showing = Showing(chosen, value, mapped)
    found = traces(chosen.profile, value=value)
    showing.finish(
        None if found.traces else showing.why_empty(),
        as_json=as_json,
        document=lambda reason: json.traces(found, limit=limit, reason=reason),
        text=lambda heading: text.trace_list(found, heading, limit=limit, colour=options.colour()),
    )
