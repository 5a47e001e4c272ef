# SPDX-License-Identifier: Apache-2.0
"""`heaptide`: the list of commands. Nothing but click is imported until a command is chosen.

A command's help line stands here as well as in its own file, so that `heaptide --help` need not load them; a test
holds the two equal.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import NoReturn

import click

import heaptide
from heaptide.cli.guard import leave

COMMANDS = {
    "run": "Start a program under the agent and record what it allocates.",
    "growth": "Say what grows, how fast, how surely, and where.",
    "top": "Show what each function, line, file or module holds.",
    "tree": "Show functions between their callers and callees.",
    "peek": "Show the callers and callees of functions that match.",
    "traces": "Show every stack with its values.",
    "list": "Show functions' source with what each line holds.",
    "graph": "Draw the call graph.",
    "flame": "Draw the flame graph.",
    "timeline": "Draw memory over time.",
    "report": "Write one page with everything, to look at and to send.",
    "ledger": "Show where the resident memory is.",
    "serve": "Show captures in a browser, and follow those that still grow.",
    "live": "Follow a running program in the terminal: what grows, where.",
    "convert": "Write a capture or another tool's profile in another format.",
    "pprof": "Answer as the pprof tools do, by their old and new flags.",
    "doctor": "Say what would stop a good profile, and how to mend it.",
    "demo": "Build and run a small leaking server, then find its leak.",
    "agent": "Print the path of the agent's library.",
    "completion": "Print a script that completes commands in a shell.",
}

_EPILOG = """\b
Examples:
  heaptide run -- ./server --port 8080    record a run into server.PID.tide
  heaptide top --by line                  what the newest capture here holds
  heaptide top --base 10m                 what came on top of minute ten
"""


class Commands(click.Group):
    """A group whose commands are modules of this package, imported by name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"heaptide.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from heaptide.cli.nearest import did_you_mean

            raise click.UsageError(f"no command {args[0]!r}{did_you_mean(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(heaptide.__version__, "--version", prog_name="heaptide", message="%(prog)s %(version)s")
def cli() -> None:
    """Find what a native program keeps: which call paths hold memory and go on holding more."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; `arguments` are those of the process unless given."""
    leave(cli, "heaptide", arguments)
