# SPDX-License-Identifier: Apache-2.0
"""`heaptide demo`: a small leaking server, and what the tool says of it.

The answer comes from the capture alone: the site whose memory in use grew most between two moments.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heaptide._errors import NothingToShow
from heaptide.cli import options
from heaptide.cli.guard import out, say

if TYPE_CHECKING:
    from heaptide.analysis.top import Top
    from heaptide.model import Profile, Series

HANDLERS = 5
FOLDER = Path("demo-out")
_SOURCE = Path(__file__).resolve().parent.parent / "demo" / "server.c"
_WARM_UP = 0.25
"""Growth is measured from this part of the run on: caches and buffers fill at the start."""

_EPILOG = """\b
Examples:
  heaptide demo
  heaptide demo --seed 3 --seconds 5
"""


@click.command("demo", epilog=_EPILOG)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Which of the five handlers leaks.")
@click.option("--seconds", type=click.FloatRange(0.5, 3600), default=2.0, show_default=True, help="How long it runs.")
def command(seed: int, seconds: float) -> None:
    """Build and run a small leaking server, then find its leak.

    The program and its capture are left in ./demo-out, to try other commands on.
    """
    from heaptide.launch import RunOptions, run

    program = _compile()
    out(f"Running {program} for {seconds:g} s under the agent. One of its {HANDLERS} handlers leaks.\n")
    result = run(
        [str(program), str(seed % HANDLERS), str(seconds)], RunOptions(output=str(FOLDER / "{name}.{pid}.tide"))
    )
    captures = [str(capture["path"]) for capture in result.captures if capture.get("path")]
    if not captures:
        raise NothingToShow("the demo was not recorded", hint="see: heaptide doctor")
    _tell(captures[0])


def _compile() -> Path:
    """The server, compiled into `FOLDER`. NothingToShow without a compiler."""
    wanted = [os.environ["CC"]] if os.environ.get("CC") else ["cc", "gcc", "clang"]
    compiler = next((found for name in wanted if (found := shutil.which(name.split()[0]))), None)
    if compiler is None:
        raise NothingToShow(
            f"the demo needs a C compiler ({', '.join(wanted)})", hint="Debian, Ubuntu: apt install gcc"
        )
    program = FOLDER / "server"
    try:
        FOLDER.mkdir(exist_ok=True)
    except OSError as error:
        raise NothingToShow(
            f"{FOLDER} cannot be made here: {error.strerror}", hint="go to another directory"
        ) from error
    command = [compiler, "-O2", "-g", "-o", str(program), str(_SOURCE)]
    build = subprocess.run(command, capture_output=True, text=True, check=False)
    if build.returncode:
        raise NothingToShow(f"{compiler} could not compile the demo:\n{build.stderr.strip()}")
    return program


def _tell(path: str) -> None:
    """The table of what grew, then the leak in one sentence."""
    import heaptide
    from heaptide.analysis.top import top
    from heaptide.render import headings, text

    series = heaptide.open(path)
    for warning in series.warnings:
        say(f"warning: {warning}")
    begin, end = f"{series.moment('end').offset_s * _WARM_UP:.3f}s", "end"
    growth = series.at(end) - series.at(begin)
    table = top(growth, by="line")
    since = f"what there was at {headings.moment(series.moment(begin))}"
    heading = headings.heading(series, "inuse_space", series.moment(end), since)
    out("\n" + text.top_table(table, heading, limit=5, colour=options.colour()))
    out(f"\n{leak(series, growth, table, begin)}\nsee: heaptide top {path}\n")


def leak(series: Series, growth: Profile, table: Top, begin: str) -> str:
    """The sentence: the site that grew most, if it grew by more than the sampling may explain."""
    from heaptide.analysis.top import top
    from heaptide.render import names, units

    rows = [row for row in table.rows if row.flat > row.flat_error]
    if not rows:
        return "leaks: nothing that could be seen"
    first = rows[0]
    blocks = next(row.flat for row in top(growth, by="line", value="inuse_objects").rows if row.place == first.place)
    seconds = series.moment("end").offset_s - series.moment(begin).offset_s
    where = names.where(first.file, first.line) or names.code_name(first.module, first.place.address)
    return (
        f"leaks: {first.place.function or names.code_name(first.module, first.place.address)} at {where}, "
        f"{units.size(first.flat)} in {units.blocks(blocks)} over {units.duration(seconds)}"
    )
