# SPDX-License-Identifier: Apache-2.0
"""`heaptide pprof` and `heaptide-pprof`: the old graph tool's command line, kept working."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from heaptide._errors import InputError, UsageError
from heaptide.cli.guard import leave, out, out_bytes, say
from heaptide.cli.options import complete_files
from heaptide.cli.pprof_flags import Request, help_text, parse

if TYPE_CHECKING:
    from heaptide.analysis.graph import CallGraph
    from heaptide.analysis.places import Granularity
    from heaptide.model import Profile, Series

_BY: dict[str, Granularity] = {
    "functions": "name",
    "filefunctions": "function",
    "lines": "line",
    "files": "file",
    "addresses": "address",
}
_BINARY = {"pdf", "ps", "gif", "png", "svg"}


@click.command(
    "pprof",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []},
    add_help_option=False,
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, shell_complete=complete_files)
@click.pass_context
def command(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Answer as the pprof tool does, by its old options."""
    request = parse(words)
    if "help" in request.switches:
        out(help_text(ctx.command_path))
        return
    if request.output in _BINARY and sys.stdout is not None and sys.stdout.isatty():
        raise UsageError(
            f"a picture is not for a terminal: redirect it, for instance > graph.{request.output}",
        )
    _answer(request)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The script `heaptide-pprof`."""
    leave(command, "heaptide-pprof", arguments)


def _answer(request: Request) -> None:
    from heaptide.analysis.filters import focus
    from heaptide.analysis.simplify import simplified
    from heaptide.cli import inputs
    from heaptide.model import merge

    program, paths = _split(request.files)
    opened = [_open(path, program) for path in paths]
    profile = merge([series.at() for series in opened]) if len(opened) > 1 else opened[0].at()
    if "base" in request.settings:
        base = _open(request.settings["base"], program)
        opened.append(base)
        profile = profile - base.at()
    profile = simplified(profile)
    whole = float(abs(profile.column(request.value)).sum())
    profile = focus(profile, request.pattern("focus"), request.pattern("ignore"))
    graph = _graph(profile, request, whole)
    if not graph.nodes:
        # pprof prints an empty table and succeeds; scripts that loop over dumps rely on that.
        say(f"warning: {request.value} holds nothing to show")
    _print(graph, request, _file_name(program, opened[0]))
    inputs.finish(opened)


def _split(files: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """PROGRAM, if the first file is an executable, and the profiles."""
    from heaptide.symbolize.files import Image, open_image

    if not files:
        raise UsageError("no profile was named", hint="see: heaptide pprof --help")
    if not isinstance(open_image(files[0]), Image):
        if len(files) > 1 and not Path(files[0]).exists():
            raise InputError(files[0], None, "No such file or directory")
        return None, files
    if len(files) == 1:
        raise UsageError(f"{files[0]} is a program; name a profile after it")
    return files[0], files[1:]


def _open(path: str, program: str | None) -> Series:
    from heaptide.cli import inputs

    return inputs.open_series(path, program=program)


def _graph(profile: Profile, request: Request, whole: float) -> CallGraph:
    from heaptide.analysis.graph import Trim, call_graph
    from heaptide.analysis.site import pprof_drops

    trim = Trim(
        nodecount=max(0, int(request.number("nodecount", 0 if request.output == "text" else 80))),
        nodefraction=request.number("nodefraction", 0.005),
        edgefraction=request.number("edgefraction", 0.001),
    )
    cum = "cum" in request.switches
    return call_graph(
        profile, value=request.value, by=_BY[request.by], trim=trim, cum=cum, skip=pprof_drops, whole=whole
    )


def _print(graph: CallGraph, request: Request, file: str | None) -> None:
    from heaptide.render import picture, pprof

    in_bytes = "show_bytes" in request.switches
    if request.output == "text":
        out(pprof.text(graph, file=file, cum="cum" in request.switches, in_bytes=in_bytes))
        return
    source = pprof.graph_text(graph, file=file, in_bytes=in_bytes)
    if request.output == "dot":
        out(source)
        return
    out_bytes(picture.draw(source, request.output))


def _file_name(program: str | None, series: Series) -> str | None:
    path = program or (series.command[0] if series.command else None)
    return Path(path).name if path else None
