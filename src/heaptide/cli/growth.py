# SPDX-License-Identifier: Apache-2.0
"""`heaptide growth`: the verdict."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heaptide._errors import InputError, UsageError
from heaptide.cli import options
from heaptide.cli.guard import out
from heaptide.cli.quantities import Rate

if TYPE_CHECKING:
    from heaptide.analysis.growth import Growth
    from heaptide.analysis.growth.suppress import Rule
    from heaptide.analysis.growth.work import Per
    from heaptide.analysis.ledger import Ledger
    from heaptide.model import Series

_ROWS = 10
_EPILOG = """\b
Examples:
  heaptide growth                          what grows in the newest capture here
  heaptide growth server.4711.tide --from 10m --min-rate 1MiB/h
  heaptide growth server.*.tide            all processes of a forking server
  heaptide growth --suppress known.txt     LeakSanitizer's format: leak:FUNCTION
  heaptide growth new.tide --base old.tide --per allocated

\b
Exit status: 0 when a verdict was given, whichever; 3 when a capture cannot be
read; 4 when there is nothing to judge.
"""


@click.command("growth", epilog=_EPILOG)
@click.argument("captures", nargs=-1, type=click.Path(path_type=str), metavar="[CAPTURE]...")
@click.option("--from", "start", metavar="T", default="start", show_default=True, help="Judge from this moment ...")
@click.option("--to", "end", metavar="T", default="end", show_default=True, help="... to this one.")
@click.option("--min-rate", type=Rate(), metavar="R", help="Slower growth is of no interest: 1MiB/h, 10KiB/s.")
@click.option(
    "--suppress",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Known leaks, in LeakSanitizer's format (may be repeated).",
)
@click.option("--not-mine", metavar="RE", help="Functions, files and modules that are not the program's own.")
@click.option(
    "--base",
    metavar="FILE",
    type=click.Path(path_type=str),
    help="Compare with this earlier recording: what got better, what got worse.",
)
@click.option(
    "--per",
    type=click.Choice(options.PER),
    default="time",
    show_default=True,
    help="With --base: growth over time, or for each byte that the program allocated.",
)
@click.option("-n", "limit", type=click.IntRange(0), default=_ROWS, show_default=True, help="Suspects, 0 for all.")
@options.search
@options.as_json
def command(
    captures: tuple[str, ...],
    start: str,
    end: str,
    min_rate: float | None,
    suppress: tuple[Path, ...],
    not_mine: str | None,
    base: str | None,
    per: Per,
    limit: int,
    search: tuple[str, ...],
    as_json: bool,
) -> None:
    """Say what grows, how fast, how surely, and where.

    Every call site is judged from its whole history: leak, growing, filling, cyclic, steady or unsure, with the rate's
    95 % interval, the times of sudden steps, and what a run of this length could have seen.
    """
    from heaptide.analysis.growth import judge
    from heaptide.cli import inputs
    from heaptide.render import growth as render

    series = [inputs.open_series(path, search) for path in captures or (None,)]
    if base is not None:
        _compare(series, inputs.open_series(base, search), per, start, end, not_mine, limit, as_json)
        return
    found = judge(
        series,
        start=start,
        end=end,
        min_rate=min_rate or 0.0,
        not_mine=_expression(not_mine),
        suppress=_rules(suppress),
    )
    account = _ledger(series[0], end)
    if as_json:
        out(render.document(found, account))
    else:
        out(render.text(found, account, sources=_sources(found), limit=limit, colour=options.colour()))
    inputs.finish(series)


def _compare(
    series: Sequence[Series],
    base: Series,
    per: Per,
    start: str,
    end: str,
    not_mine: str | None,
    limit: int,
    as_json: bool,
) -> None:
    from heaptide.analysis.growth import compare
    from heaptide.cli import inputs
    from heaptide.render import comparison

    if len(series) != 1:
        raise UsageError("--base compares one recording with one other", hint="name one CAPTURE")
    found = compare(base, series[0], per=per, start=start, end=end, not_mine=_expression(not_mine))
    if as_json:
        out(comparison.document(found))
    else:
        out(comparison.text(found, limit=limit, colour=options.colour()))
    inputs.finish([*series, base])


def _ledger(series: Series, end: str) -> Ledger | None:
    """Where the resident memory of the first recording is; None where its pages were not read."""
    from heaptide._errors import NothingToShow
    from heaptide.analysis.ledger import ledger

    try:
        return ledger(series, end)
    except NothingToShow:
        return None


def _expression(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(f"--not-mine {text!r} is no regular expression: {error}") from None


def _rules(paths: Sequence[Path]) -> list[Rule]:
    from heaptide.analysis.growth.suppress import parse

    rules = []
    for path in paths:
        try:
            rules += parse(path.read_text(encoding="utf-8"), str(path))
        except OSError as error:
            raise InputError(path, None, f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise InputError(path, error.start, "text in UTF-8") from None
    return rules


def _sources(found: Growth) -> dict[tuple[str, int], str]:
    """The source line of each suspect, where its file can be read here."""
    import linecache

    sites = [suspect.site for suspect in found.acting if suspect.site is not None]
    lines = {
        (site.file, site.line): linecache.getline(site.file, site.line)
        for site in sites
        if site.file is not None and site.line is not None
    }
    return {place: line for place, line in lines.items() if line.strip()}
