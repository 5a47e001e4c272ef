# SPDX-License-Identifier: Apache-2.0
"""The second opinion on symbols: binutils' addr2line, random addresses inside functions, and the comparison."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from heaptide.symbolize import Module, SourceFrame
from heaptide.symbolize.files import Image, open_image
from heaptide.symbolize.symbols import SymbolTable

_FILE_LINE = re.compile(r"(?P<file>.*):(?P<line>\d+|\?)(?: \(discriminator \d+\))?$")


@dataclass(frozen=True)
class Reference:
    """One frame as addr2line prints it; `line` is None where it prints 0 or a question mark."""

    function: str
    file: str
    line: int | None


@dataclass
class Agreement:
    """How many of the addresses agree, and those that do not, by number."""

    total: int
    other_depth: list[int] = field(default_factory=list)
    other_lines: list[int] = field(default_factory=list)
    other_names: list[int] = field(default_factory=list)

    def percent(self, differing: list[int]) -> float:
        return 100.0 * (self.total - len(differing)) / self.total


def image_of(path: Path | str) -> Image:
    """The file mapped; fails the test when it cannot be."""
    image = open_image(str(path))
    assert isinstance(image, Image), str(image)
    return image


def module_of(path: Path | str) -> Module:
    """The module as an agent would have recorded it."""
    elf = image_of(path).elf
    return Module(str(path), elf.build_id, elf.phdrs)


def random_pcs(symbols_from: Path | str, count: int, seed: int) -> list[int]:
    """`count` vaddrs, uniform over the bytes that the functions of this file's symbol table cover."""
    table = SymbolTable([image_of(symbols_from).elf])
    start, end = table._start, table._end
    edges = np.cumsum(end - start)
    choose = random.Random(seed)
    picks = [choose.randrange(int(edges[-1])) for _ in range(count)]
    at = np.searchsorted(edges, picks, side="right")
    return [int(end[i] - (edges[i] - pick)) for i, pick in zip(at.tolist(), picks, strict=True)]


def addr2line(path: Path | str, vaddrs: Sequence[int]) -> list[list[Reference]]:
    """addr2line's frames for each vaddr, innermost first."""
    run = subprocess.run(
        ["addr2line", "-a", "-i", "-f", "-C", "-e", str(path)],
        input="".join(f"{vaddr:#x}\n" for vaddr in vaddrs),
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[list[Reference]] = []
    lines = iter(run.stdout.splitlines())
    for line in lines:
        if re.fullmatch(r"0x[0-9a-f]{8,16}", line):
            answers.append([])
            continue
        place = _FILE_LINE.match(next(lines))
        assert place is not None
        number = place["line"]
        answers[-1].append(Reference(line, place["file"], int(number) if number not in ("?", "0") else None))
    assert len(answers) == len(vaddrs)
    return answers


def compare(ours: Sequence[tuple[SourceFrame, ...]], theirs: Sequence[list[Reference]]) -> Agreement:
    """Where depth, every line, or every function's bare name differ."""
    agreement = Agreement(len(ours))
    for i, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        if len(mine) != len(other):
            agreement.other_depth.append(i)
        if [frame.line for frame in mine] != [frame.line for frame in other]:
            agreement.other_lines.append(i)
        if [bare(frame.function or "??") for frame in mine] != [bare(frame.function) for frame in other]:
            agreement.other_names.append(i)
    return agreement


def bare(name: str) -> str:
    """A function's name without scope, arguments, template arguments and clone marks: tools agree on no more."""
    name = re.sub(r"\.(?:cold|isra|part|constprop|lto_priv)\b.*| \[clone.*|@.*", "", name)
    previous = ""
    while previous != name:
        previous, name = name, re.sub(r"<[^<>]*>|\([^()]*\)| const$", "", name)
    return name.rpartition("::")[2].rpartition(" ")[2]
