# SPDX-License-Identifier: Apache-2.0
"""`heaptide doctor`: what would stop a good profile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heaptide.cli import options
from heaptide.cli.guard import out
from heaptide.render.harmless import harmless

if TYPE_CHECKING:
    from heaptide.cli.checks import Finding, Level

_EPILOG = """\b
Examples:
  heaptide doctor                 this machine
  heaptide doctor ./server        and whether this program can be profiled, with names
  heaptide doctor 4711 --json     and this process
"""
_COLOURS: dict[Level, str] = {"ok": "green", "warn": "yellow", "problem": "red"}
"""From best to worst."""


@click.command("doctor", epilog=_EPILOG)
@click.argument("target", metavar="[PROGRAM|PID]", required=False, shell_complete=options.complete_files)
@options.search
@options.as_json
def command(target: str | None, search: tuple[str, ...], as_json: bool) -> None:
    """Say what would stop a good profile, and how to mend it.

    Each line begins with ok, warn (the profile will be worse for it) or problem (there will be none).
    """
    found = list(_findings(target, search))
    out(_document(found) if as_json else _text(found, options.colour()))


def _text(found: list[Finding], colour: bool) -> str:
    """One line for each finding, what to do about it below, and a last line that sums up."""
    lines = []
    for finding in found:
        level = f"{finding.level:<8}"
        if colour:
            level = click.style(level, fg=_COLOURS[finding.level], bold=finding.level != "ok")
        lines.append(f"{level}{harmless(finding.message)}")
        if finding.hint:
            lines.append(f"{'':8}  -> {harmless(finding.hint)}")
    return "\n".join([*lines, "", _summary(found)]) + "\n"


def _summary(found: list[Finding]) -> str:
    problems = sum(finding.level == "problem" for finding in found)
    warnings = sum(finding.level == "warn" for finding in found)
    if problems:
        return f"{problems} problem{'s'[: problems > 1]}: there would be no profile"
    if warnings:
        return f"it will work; {warnings} warning{'s'[: warnings > 1]} above"
    return "all is well"


def _document(found: list[Finding]) -> str:
    from heaptide.render import json

    worst = max((finding.level for finding in found), key=list(_COLOURS).index)
    checks = [{"level": f.level, "check": f.check, "message": f.message, "hint": f.hint} for f in found]
    return json.document({"worst": worst, "checks": checks})


def _findings(target: str | None, search: tuple[str, ...]) -> Iterator[Finding]:
    from heaptide.cli.checks import names, process, program, system

    yield from system.findings()
    if target is None:
        return
    if target.isdigit() and not Path(target).exists():
        yield from process.findings(int(target))
        yield from names.findings(process.code_of(int(target)), search)
        return
    path = program.find(target)
    if not isinstance(path, Path):
        yield path
        return
    yield from program.findings(path)
    yield from names.findings(program.loaded_files(path), search)
