# SPDX-License-Identifier: Apache-2.0
"""Will the report have names: debug info for a program and each library it loads."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from heaptide.cli.checks import Finding
from heaptide.symbolize import Level, Module, Symbolizer
from heaptide.symbolize.files import Image, open_image

_SEES = {
    Level.LINES: "functions, lines and inlined calls",
    Level.SYMBOLS: "names of functions in its symbol table only, no lines",
    Level.NOTHING: "no names and no lines",
}
_NO_DEBUG_FILE = "no debug file was found"


def findings(paths: Sequence[str], search: Sequence[str]) -> Iterator[Finding]:
    """For each file: how well its code can be named, and what would help."""
    symbolizer = Symbolizer(search=tuple(Path(directory) for directory in search))
    for path in paths:
        image = open_image(path)
        module = Module(path)
        if isinstance(image, Image):
            module = Module(path, image.elf.build_id, image.elf.phdrs)
        report = symbolizer.report(module)
        if report.level is Level.LINES:
            source = f" (from {report.debug_file})" if report.debug_file not in (None, path) else ""
            yield Finding("ok", "debug-info", f"{path}: {_SEES[report.level]}{source}")
        else:
            # That there is no debug info is said already; what was found and refused is news.
            why = [problem for problem in report.problems if _NO_DEBUG_FILE not in problem]
            yield Finding("warn", "debug-info", "; ".join([f"{path}: {_SEES[report.level]}", *why]), report.hint)


def libraries_of(program: Path, loader: str) -> list[str]:
    """The program and the libraries that its dynamic loader would load, without running it."""
    try:
        run = subprocess.run(
            [loader, "--list", os.fspath(program)], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return [os.fspath(program)]
    paths = re.findall(r"^\t(?:\S+ => )?(/\S+) \(0x", run.stdout, re.MULTILINE)
    return [os.fspath(program), *dict.fromkeys(paths)]
