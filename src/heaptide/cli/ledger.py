# SPDX-License-Identifier: Apache-2.0
"""`heaptide ledger`: where the resident memory is."""

from __future__ import annotations

import click

from heaptide.cli import options
from heaptide.cli.guard import out

_EPILOG = f"""\b
Examples:
  heaptide ledger                          of the newest capture here, at its end
  heaptide ledger server.4711.tide --at peak
  heaptide ledger --over-time              how its parts came to be
  heaptide ledger --json | jq .rss_bytes

{options.MOMENTS_HELP}"""
_LINES = 40


@click.command("ledger", epilog=_EPILOG)
@options.capture_argument
@click.option("--at", "at", metavar="T", default="end", show_default=True, help="The moment to show.")
@click.option("--over-time", is_flag=True, help="Show every reading, one line each, and not one moment in full.")
@options.search
@options.as_json
def command(capture: str | None, at: str, over_time: bool, search: tuple[str, ...], as_json: bool) -> None:
    """Show where the resident memory is.

    What the kernel counts as resident is split into parts that add up: blocks in use, what the allocator rounds up and
    what it holds free, what the program mapped itself, stacks, files, shared memory, and heaptide's own. Sampled
    captures show the half-widths of 95 % intervals (+/-). Below it stands what made resident memory grow, if it did.
    """
    from heaptide._errors import NothingToShow
    from heaptide.analysis.ledger import ledger, timeline
    from heaptide.cli import inputs
    from heaptide.render import ledger as render

    series = inputs.open_series(capture, search)
    readings = timeline(series) if over_time else []
    if readings:
        out(render.timeline_json(readings) if as_json else render.timeline_text(readings, series, limit=_LINES))
        inputs.finish([series])
        return
    try:
        found = ledger(series, at)
    except NothingToShow as nothing:
        if as_json:
            out(render.nothing_json(nothing.message))
        inputs.finish([series])
        raise
    out(render.json_text(found) if as_json else render.text(found, series, series.moment(at), colour=options.colour()))
    inputs.finish([series])
