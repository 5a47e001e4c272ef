# SPDX-License-Identifier: Apache-2.0
"""`heaptide run`: a program under the agent, to its end; then a few lines on stderr.

Nothing heavy is imported before the program has ended. A mistake of ours ends with 125, as with `env`, for 2 might be
the program's own status.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from heaptide._errors import LaunchError
from heaptide.cli.options import complete_files
from heaptide.cli.quantities import Duration, Size

PATIENCE_S = 2.0
"""The last line is printed at most this long after the program's end."""

_EPILOG = """\b
Examples:
  heaptide run -- ./server --port 8080
  heaptide run --exact -o before.tide -- ./batch input.txt
  heaptide run --every 10s -o /var/tmp/{name}.{pid}.tide -- ./daemon

\b
Exit status: the program's own, 128+N when signal N ended it; 125 when heaptide
failed, 126 when the program cannot be executed, 127 when there is none.
"""
_OUTPUT = "The capture; {name} and {pid} are replaced.  [default: ./{name}.{pid}.tide]"
_SAMPLE = "A fixed mean sampling interval.  [default: 16KiB, growing to 512KiB]"
_EVERY = "A fixed time between snapshots.  [default: 250ms, growing to 10s]"


class _Run(click.Command):
    """A command whose usage errors are failures to launch."""

    def make_context(self, info_name: str | None, args: list[str], *rest: object, **extra: object) -> click.Context:
        try:
            return super().make_context(info_name, args, *rest, **extra)  # type: ignore[arg-type]
        except click.UsageError as error:
            raise LaunchError(error.format_message(), hint="see: heaptide run --help") from None


@click.command(
    "run",
    cls=_Run,
    epilog=_EPILOG,
    context_settings={"allow_interspersed_args": False},
)
@click.option("-o", "--output", metavar="FILE", shell_complete=complete_files, help=_OUTPUT)
@click.option("--sample", type=Size(), metavar="SIZE", help=_SAMPLE)
@click.option("--exact", is_flag=True, help="Record every allocation.")
@click.option(
    "--every",
    type=Duration(),
    metavar="DURATION",
    help=_EVERY,
)
@click.option("--budget", type=Size(), metavar="SIZE", help="Bytes on disk at most (64MiB); 0: no limit.")
@click.option("--allocator", metavar="NAME", help="Put tcmalloc, jemalloc, mimalloc or a library under the program.")
@click.option("--children/--no-children", default=True, help="Record child processes too.  [default: yes]")
@click.option("--mmap/--no-mmap", default=True, help="Record what the program maps itself too.  [default: yes]")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, shell_complete=complete_files)
def command(
    output: str | None,
    sample: int | None,
    exact: bool,
    every: float | None,
    budget: int | None,
    allocator: str | None,
    children: bool,
    mmap: bool,
    command: tuple[str, ...],
) -> None:
    """Start a program under the agent and record what it allocates.

    Its input, output and exit status are its own. When it has ended, the names of the captures, what was held, what the
    recording cost and the next command to type go to stderr.
    """
    from heaptide import launch

    if sample is not None and exact:
        raise LaunchError("--sample and --exact exclude each other", hint="see: heaptide run --help")
    options = launch.RunOptions(
        output=output,
        sample=None if sample is None else str(sample),
        exact=exact,
        every=None if every is None else f"{max(1, round(every * 1000))}ms",
        budget=None if budget is None else str(budget),
        allocator=allocator,
        children=children,
        mmap=mmap,
    )
    if output is not None and "{pid}" not in output and os.path.isfile(output):
        launch.say_on_stderr(f"{output} is there already and is kept: the new capture gets a number in its name")
    result = launch.run(command, options)
    _leave(result, time.monotonic() + PATIENCE_S)


def _leave(result: object, deadline: float) -> NoReturn:
    """Say what there is to say, and end with the program's status.

    Symbols may still be loading in a thread then, which must not keep us.
    """
    from heaptide.cli.last_words import last_words
    from heaptide.launch import RunResult

    assert isinstance(result, RunResult)
    _print(last_words(result, deadline, why_off=None if result.captures else _why_off()))
    os._exit(result.status)


def _why_off() -> str | None:
    """What switches the agent off in every program, if anything does."""
    from heaptide.cli.checks.system import OFF_FILE, off_variable

    if off_variable():
        return "HEAPTIDE_OFF is set"
    return f"{OFF_FILE} is there" if OFF_FILE.exists() else None


def _print(lines: Sequence[str]) -> None:
    from heaptide.render.harmless import harmless

    if sys.stderr is None:  # closed; print would take stdout then, which is the program's
        return
    with suppress(OSError, ValueError):  # full, or nobody reads it: the program's status still counts
        for line in lines:
            print(harmless(line), file=sys.stderr, flush=True)
