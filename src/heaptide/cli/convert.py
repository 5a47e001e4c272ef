# SPDX-License-Identifier: Apache-2.0
"""`heaptide convert`: a capture or a profile of another tool, written as a file that other tools read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heaptide._errors import NothingToShow, UsageError
from heaptide.cli import options
from heaptide.cli.guard import out_data, say
from heaptide.cli.nearest import did_you_mean

if TYPE_CHECKING:
    from heaptide.formats.targets import Target
    from heaptide.model import Series
    from heaptide.model.columns import Columns

_FORMATS = ("pprof", "gperftools", "collapsed", "callgrind", "speedscope")
_EPILOG = f"""\b
Examples:
  heaptide convert server.4711.tide -o end.pb.gz          for go tool pprof
  heaptide convert server.4711.tide --at peak -o peak.heap
  heaptide convert jeprof.1.0.f.heap -o held.folded       for flame graph tools
  heaptide convert a.heap b.heap -o sum.json              for speedscope

{options.MOMENTS_HELP}"""


@click.command("convert", epilog=_EPILOG)
@click.argument("inputs", nargs=-1, required=True, metavar="IN...", type=click.Path(path_type=str))
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    shell_complete=options.complete_files,
    help="Where to write; - is standard output. Its name says the format, unless --to does: "
    ".pb.gz, .heap, .folded, .callgrind (or callgrind.out.*), .json for speedscope.",
)
@click.option("--to", "to", type=click.Choice(_FORMATS), help="The format.")
@click.option("--at", "at", metavar="T", default="end", show_default=True, help="The moment, of a capture.")
@click.option("--value", metavar="NAME", help="What is written where one value has room. [default: the input's own]")
@click.option("--program", metavar="FILE", help="The executable, where it no longer stands at its recorded path.")
@click.option("--no-names", is_flag=True, help="Look no names up: what has none stays an address.")
@options.mapped
@options.search
def command(
    inputs: tuple[str, ...],
    output: str,
    to: str | None,
    at: str,
    value: str | None,
    program: str | None,
    no_names: bool,
    mapped: bool,
    search: tuple[str, ...],
) -> None:
    """Write a capture or another tool's profile in another format.

    Read are captures, heap profiles of gperftools, jemalloc, heaptrack and massif, profile.proto (pprof) and collapsed
    stacks; several inputs are summed. What the format cannot hold is said.
    """
    from heaptide.cli import inputs as from_files

    target = _target(output, to)
    read: list[Series] = []
    parts = [_columns(path, at, program, search, target.names and not no_names, mapped, read) for path in inputs]
    columns = _sum(parts)
    if not len(columns):
        raise NothingToShow(f"{inputs[0]} holds no stack", hint="nothing was written")
    chosen = _value(columns, value)
    lacking = target.lacks(columns, chosen)
    if lacking:
        say(f"note: the format {target.name} does not hold:", "\n  ".join(lacking))
    _write(output, target.write(columns, chosen, os.path.basename(inputs[0])))
    from_files.finish(read)


def _target(output: str, to: str | None) -> Target:
    from heaptide.formats.targets import TARGETS, for_name

    if to is not None:
        return TARGETS[to]
    found = for_name(output)
    if found is None:
        hint = f"name it like {', '.join(f'x{target.suffixes[0]}' for target in TARGETS.values())}, or say --to"
        if output.endswith(".tide"):
            raise UsageError("a capture cannot be written: it holds a run's whole history", hint=hint)
        raise UsageError(f"the name {output!r} does not say a format", hint=hint)
    return found


def _columns(
    path: str, at: str, program: str | None, search: Sequence[str], names: bool, mapped: bool, read: list[Series]
) -> Columns:
    """One input as columns; a series that was opened for it is added to ``read``."""
    from heaptide import build_foreign
    from heaptide.cli import inputs
    from heaptide.model.flatten import columns_of

    if not names and build_foreign.is_foreign(path):
        foreign = build_foreign.read(path)
        for warning in foreign.warnings:
            say(f"warning: {warning}")
        return foreign.columns
    chosen = inputs.choose(path, at, None, search, mapped=mapped, program=program)
    read.append(chosen.series)
    return columns_of(chosen.profile, chosen.series.images)


def _sum(parts: Sequence[Columns]) -> Columns:
    if len(parts) == 1:
        return parts[0]
    from heaptide.analysis.mixing import merged

    return merged(parts)


def _value(columns: Columns, value: str | None) -> int:
    """The index of the sample type asked for. UsageError when the profile has none of that name."""
    from heaptide.formats.targets import default_value

    if value is None:
        return default_value(columns)
    names = [kind.type for kind in columns.sample_types]
    for name in (value, value.removeprefix("inuse_")):
        if name in names:
            return names.index(name)
    raise UsageError(f"there is no value {value!r}{did_you_mean(value, names)}", hint=f"there are: {', '.join(names)}")


def _write(output: str, data: bytes) -> None:
    """To standard output, or to a file that is there only when it is whole."""
    if output == "-":
        out_data(data)
        return
    path = Path(output)
    if path.exists() and not path.is_file():  # a pipe or a device is written to, not replaced
        path.write_bytes(data)
        return
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(file.name, 0o666 & ~mask)
        os.replace(file.name, path)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from None
