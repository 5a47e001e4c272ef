# SPDX-License-Identifier: Apache-2.0
"""`heaptide top`: the flat and cumulative table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from heaptide.cli import options
from heaptide.cli.choosing import Choice
from heaptide.cli.choosing import choice as choice_options
from heaptide.cli.showing import Showing

if TYPE_CHECKING:
    from heaptide.analysis.growth.work import Per

_EPILOG = f"""\b
Examples:
  heaptide top                                what the newest capture here held at its end
  heaptide top server.4711.tide --by line --at peak
  heaptide top new.tide --base old.tide       what the new run holds more
  heaptide top new.tide --base old.tide --value alloc_space --per time

{options.MOMENTS_HELP}"""
_ROWS = 20


@click.command("top", epilog=_EPILOG)
@options.capture_argument
@options.moments
@options.value
@options.by
@click.option(
    "--per",
    type=click.Choice(options.PER),
    help="With --base FILE: multiply what the other run holds, as if it had run as long or allocated as much.",
)
@click.option("--cum", is_flag=True, help="Sort by the cumulative value.")
@click.option("-n", "limit", type=click.IntRange(0), metavar="N", help=f"Rows, 0 for all  [default: {_ROWS}, JSON all]")
@choice_options
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
    per: Per | None,
    cum: bool,
    limit: int | None,
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
    """Show what each function, line, file or module holds.

    flat is what a place allocated itself: frames of the allocator, the runtime and containers are charged to the line
    of the program's own that called them. cum adds everything below it. Sampled captures show the half-widths of 95 %
    intervals (+/-). With --base each row tells what there was before, what there is, the change and the factor.

    Two runs of different lengths, or under different load, are compared with --per: `time` for what goes on evenly,
    `allocated` for what comes with the work done. What does not grow with either (a cache that is full) needs neither.
    """
    from heaptide.analysis.site import no_frame, not_users
    from heaptide.analysis.top import top
    from heaptide.cli import inputs
    from heaptide.render import json, text

    inputs.born_needs(value, born)
    chosen = inputs.choose(capture, at, base, search, mapped=mapped, born=born, per=per)
    choice = Choice(focus, ignore, hide, show)
    showing = Showing(chosen, value, mapped)
    profile, whole = choice.apply(chosen, value)
    before = None if chosen.before is None else choice.of(chosen.before)
    skip = no_frame if all_frames else not_users
    table = top(profile, value=value, by=by, cum=cum, skip=skip, before=before, whole=whole)
    showing.finish(
        None if table.rows else showing.why_empty(),
        as_json=as_json,
        document=lambda reason: json.top(table, limit=limit or 0, reason=reason, ratio=chosen.ratio),
        text=lambda heading: text.top_table(
            table, heading, limit=_ROWS if limit is None else limit, colour=options.colour()
        ),
    )
