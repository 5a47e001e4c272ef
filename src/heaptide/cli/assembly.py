# SPDX-License-Identifier: Apache-2.0
"""Machine code by binutils' objdump: which symbols hold something, and their instructions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heaptide._errors import NothingToShow
from heaptide.analysis.listing import NOTHING, Amount
from heaptide.analysis.patterns import Matcher
from heaptide.cli.guard import say
from heaptide.render.listing import Code, CodePlace, Instruction

if TYPE_CHECKING:
    from heaptide.analysis.inquiry import Answer
    from heaptide.symbolize import Module, Symbolizer
    from heaptide.symbolize.symbols import Symbol

TIME_LIMIT = 120.0
_INSTRUCTION = re.compile(r"\s*([0-9a-f]+):\t(.*)")
_HINT = "install binutils, or name its directory with --tools"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked: names that match ``pattern``, or the symbol at ``address`` (as in the process)."""

    pattern: Matcher
    address: int | None = None
    intel: bool = False
    tools: str = ""


def code_of(answer: Answer, wanted: Wanted, symbolizer: Symbolizer) -> list[Code]:
    """The symbols that match and hold something, by name, with their instructions.

    Raises NothingToShow when there are none, or no objdump.
    """
    held = _held(answer)
    matching = _matching(answer, wanted)
    found: list[Code] = []
    for mapping, vaddrs in _by_mapping(answer, held).items():
        module, symbols = _symbols(answer, mapping, [vaddr for vaddr, _ in vaddrs])
        if module is None:
            continue
        for symbol in symbols:
            inside = {vaddr: held[place] for vaddr, place in vaddrs if symbol.start <= vaddr < symbol.end}
            places = [place for vaddr, place in vaddrs if symbol.start <= vaddr < symbol.end]
            if any(place in matching for place in places) or wanted.pattern.search(_readable(symbol.name)):
                found.append(_code(module, symbol, inside, wanted, symbolizer))
    if not found:
        raise NothingToShow(
            f"no code of functions that match {wanted.pattern.pattern!r} was found",
            hint="the programs must be here: see $PPROF_BINARY_PATH",
        )
    return sorted(found, key=lambda code: (code.name, code.instructions[0].address if code.instructions else 0))


def _readable(name: str) -> str:
    from heaptide.symbolize.demangle import demangle

    return demangle(name)


def _held(answer: Answer) -> dict[int, Amount]:
    """What each location holds. A stack counts once for each location."""
    columns, weights = answer.columns, answer.weights
    row = np.repeat(np.arange(len(columns)), np.diff(columns.stack_start))
    pairs = np.unique(np.stack([row, columns.stack], 1), axis=0)
    cum = np.zeros(len(columns.locations), np.int64)
    np.add.at(cum, pairs[:, 1], weights.value[pairs[:, 0]])
    some = np.diff(columns.stack_start) > 0
    flat = np.zeros(len(columns.locations), np.int64)
    np.add.at(flat, columns.stack[columns.stack_start[:-1][some]], weights.value[some])
    held = np.flatnonzero((cum != 0) | (flat != 0))
    amounts = (held.tolist(), flat[held].tolist(), cum[held].tolist())
    return {place: Amount(own, through) for place, own, through in zip(*amounts, strict=True)}


def _matching(answer: Answer, wanted: Wanted) -> set[int]:
    """Locations with a function that matches, or the one at the address."""
    from heaptide.analysis.rows import lines_matching, location_of_line

    places = answer.columns.locations
    if wanted.address is not None:
        return set(np.flatnonzero(places.address == np.uint64(wanted.address)).tolist())
    return set(location_of_line(answer.columns)[lines_matching(answer.columns, wanted.pattern)].tolist())


def _by_mapping(answer: Answer, held: dict[int, Amount]) -> dict[int, list[tuple[int, int]]]:
    """For each mapping the (vaddr, location) pairs that hold something."""
    from heaptide.build_foreign.symbols import Modules

    columns = answer.columns
    vaddrs = Modules(columns.mappings).vaddrs(columns)
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for place in held:
        mapping = int(columns.locations.mapping[place])
        if mapping >= 0 and columns.mappings[mapping].file:
            found[mapping].append((int(vaddrs[place]), place))
    return found


def _symbols(answer: Answer, mapping: int, vaddrs: list[int]) -> tuple[Module | None, list[Symbol]]:
    """The module of a mapping and its symbols at these addresses; None where the file is not here."""
    from heaptide.symbolize import Module
    from heaptide.symbolize.files import Image, open_image
    from heaptide.symbolize.symbols import SymbolTable

    path = answer.columns.mappings[mapping].file
    image = open_image(path) if path.startswith("/") else None
    if not isinstance(image, Image):
        say(f"warning: {path} is not here: its machine code cannot be shown")
        return None, []
    table = SymbolTable([image.elf])
    symbols = {symbol for vaddr in vaddrs if (symbol := table.covering(vaddr)) is not None}
    return Module(path, image.elf.build_id, image.elf.phdrs), sorted(symbols, key=lambda symbol: symbol.start)


def _code(module: Module, symbol: Symbol, held: dict[int, Amount], wanted: Wanted, symbolizer: Symbolizer) -> Code:
    lines = disassembled(module.path, symbol.start, symbol.end, intel=wanted.intel, tools=wanted.tools)
    frames = symbolizer.resolve(module, [address for address, _ in lines])
    ends = [*(address for address, _ in lines[1:]), symbol.end][: len(lines)]  # a file of debug information has no code
    instructions = []
    for (address, text), end, stack in zip(lines, ends, frames, strict=True):
        # A call is recorded by the address before its return address: inside of the instruction, not at its start.
        amount = sum((held[vaddr] for vaddr in held if address <= vaddr < end), NOTHING)
        places = tuple(CodePlace(frame.function or "", frame.file or "", frame.line or 0) for frame in stack)
        instructions.append(Instruction(address, text, amount, places))
    return Code(_readable(symbol.name), instructions, sum(held.values(), NOTHING))


def disassembled(path: str, start: int, end: int, *, intel: bool, tools: str) -> list[tuple[int, str]]:
    """(address, text) of the instructions from ``start`` to ``end``. NothingToShow without an objdump that does it."""
    program = objdump(tools)
    if program is None:
        raise NothingToShow("machine code needs objdump, which is not installed", hint=_HINT)
    arguments = [program, "--disassemble", "--demangle", "--no-show-raw-insn", *(["-M", "intel"] if intel else [])]
    arguments += [f"--start-address={start:#x}", f"--stop-address={end:#x}", "--", path]
    try:
        run = subprocess.run(arguments, capture_output=True, check=False, timeout=TIME_LIMIT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NothingToShow(f"{program} failed: {error}", hint=_HINT) from error
    if run.returncode:
        raise NothingToShow(f"{program} failed: {run.stderr.decode('utf-8', 'replace').strip()}", hint=_HINT)
    matches = map(_INSTRUCTION.fullmatch, run.stdout.decode("utf-8", "replace").splitlines())
    return [(int(match[1], 16), match[2].rstrip()) for match in matches if match]


def objdump(tools: str) -> str | None:
    """Where objdump is. ``tools``: directories, ``objdump:DIRECTORY`` or its path, separated by commas or colons."""
    for word in re.split(r"[,:]", tools):
        for path in (word, os.path.join(word, "objdump")):
            if word and os.path.basename(path).endswith("objdump") and os.path.isfile(path):
                return path
    return shutil.which("objdump")
