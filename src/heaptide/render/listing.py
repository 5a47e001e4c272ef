# SPDX-License-Identifier: Apache-2.0
"""Annotated source and machine code as text, in pprof's layout."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from heaptide.analysis.listing import NOTHING, Amount, Routine
from heaptide.render import units
from heaptide.render.harmless import harmless

Lines = Callable[[str], list[str] | str]
"""The lines of a source file by its name, or why there are none."""

_TAB = 8
_CODE_WIDTH = 40


@dataclass(frozen=True, slots=True)
class CodePlace:
    """A line of a function; empty and 0 where it is not known."""

    function: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        name = posixpath.basename(self.file)
        where = f"{name}:{self.line}" if name and self.line else name
        return harmless(" ".join(part for part in (self.function, where) if part))


@dataclass(frozen=True, slots=True)
class Instruction:
    """One machine instruction with what it holds, and the source lines that it came from, inlined calls first."""

    address: int
    text: str
    amount: Amount
    places: tuple[CodePlace, ...] = (CodePlace(),)


@dataclass(frozen=True, slots=True)
class Code:
    """The instructions of one symbol, in the order of addresses."""

    name: str
    instructions: Sequence[Instruction]
    total: Amount


def source(found: Sequence[Routine], lines_of: Lines, dialect: units.Pprof) -> str:
    """``-list``: each function's source with the flat and cumulative value of every line."""
    parts = [f"Total: {dialect.value(dialect.whole)}"]
    for routine in found:
        if routine.file is None:
            parts.append(f"No source information for {harmless(routine.function)}")
            continue
        name = f"{harmless(routine.function)} in {harmless(routine.file)}"
        parts += [f"ROUTINE ======================== {name}", _sums(routine.total, dialect)]
        lines = lines_of(routine.file)
        if isinstance(lines, str):
            parts.append(f" Error: {harmless(lines)}")
            continue
        first, last = routine.span
        for number in range(first, min(last, len(lines)) + 1):
            amount = routine.lines.get(number, NOTHING)
            parts.append(f"{_pair(amount, dialect)} {number:6d}:{code_text(lines[number - 1])}")
    return "\n".join(parts) + "\n"


def assembly(found: Sequence[Code], dialect: units.Pprof) -> str:
    """``-disasm``: each symbol's instructions with their values; the source line where it changes."""
    parts = [f"Total: {dialect.value(dialect.whole)}"]
    for code in found:
        parts += [f"ROUTINE ======================== {harmless(code.name)}", _sums(code.total, dialect)]
        before = CodePlace()
        for one in code.instructions:
            where = str(one.places[-1]) if one.places[-1] != before else ""
            before = one.places[-1]
            head = f"{_pair(one.amount, dialect)} {one.address:10x}: "
            text = code_text(one.text)
            if where and len(text) < _CODE_WIDTH:
                parts.append(f"{head}{text:<{_CODE_WIDTH}};{where}")
            else:
                parts += [f"{'':74};{where}", head + text] if where else [head + text]
    return "\n".join(parts) + "\n"


def _sums(total: Amount, dialect: units.Pprof) -> str:
    share = dialect.column(total.cum)
    return f"{dialect.value(total.flat):>10} {dialect.value(total.cum):>10} (flat, cum) {share} of Total"


def _pair(amount: Amount, dialect: units.Pprof) -> str:
    return f"{value_or_dot(amount.flat, dialect):>10} {value_or_dot(amount.cum, dialect):>10}"


def value_or_dot(value: float, dialect: units.Dialect) -> str:
    """A value, a dot for nothing."""
    return dialect.value(value) if value else "."


def code_text(text: str) -> str:
    """A line of code for a terminal: tabs as blanks, control characters written out."""
    return harmless(text.expandtabs(_TAB) if "\t" in text else text)
