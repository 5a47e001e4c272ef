# SPDX-License-Identifier: Apache-2.0
"""`heaptide pprof` and `heaptide-pprof`: the pprof tools' command line, old and new, kept working."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from heaptide._errors import UsageError
from heaptide.cli.guard import leave, out, out_data
from heaptide.cli.options import complete_files
from heaptide.cli.pprof_flags import Request, help_text, parse

_BINARY = {"pdf", "ps", "gif", "png", "svg", "proto", "topproto"}


@click.command(
    "pprof",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []},
    add_help_option=False,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, shell_complete=complete_files)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Answer as the pprof tools do, by their old and new flags."""
    request = parse(words)
    if request.on("help"):
        out(help_text(ctx.command_path))
        return
    to_terminal = sys.stdout is not None and sys.stdout.isatty()
    if request.output in _BINARY and to_terminal and not request.settings.get("output") and not request.viewer:
        raise UsageError(
            f"{request.output} is not for a terminal: redirect it, for instance > profile.{request.output}"
        )
    _answer(request)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The script `heaptide-pprof`."""
    leave(command, "heaptide-pprof", arguments)


def _answer(request: Request) -> None:
    from heaptide.cli import inputs, pprof_inputs, pprof_outputs

    if request.output == "symbols":
        from heaptide.cli import pprof_code

        out(pprof_code.symbols(request))
        return
    if request.settings.get("http"):
        from heaptide.cli import pprof_http

        pprof_http.serve(request)
        return
    source = pprof_inputs.gather(request)
    _deliver(request, pprof_outputs.render(request, source))
    inputs.finish(source.read)


def _deliver(request: Request, data: bytes) -> None:
    """The answer to where it was asked to go. UsageError when that is not possible."""
    path = request.settings.get("output")
    if path:
        try:
            Path(path).write_bytes(data)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    elif request.viewer:
        from heaptide.cli.viewers import show

        show(data, request.viewer, request.output)
    else:
        out_data(data)
