# SPDX-License-Identifier: Apache-2.0
"""What limits a module's names, in sentences, and what to do about it."""

from __future__ import annotations

from .answers import Level, ModuleReport, Outcome
from .debugfiles import Found
from .elf import Elf, ElfError
from .packages import debug_package
from .splitdwarf import is_split


def describe(found: Found, *, has_lines: bool, has_symbols: bool) -> ModuleReport:
    """The report on one module. Asks dpkg, so it is made when wanted and not for every module."""
    problems = [*_file_problems(found), *found.problems]
    split = False
    if found.debug is not None:
        limits, split = _debug_info_limits(found.debug.elf, found.debug.path)
        has_lines = has_lines and not split
        problems += limits
    elif found.binary is not None:
        problems.append(f"{found.binary.path} has no debug info, and no debug file was found: no lines, no inlining")
    return ModuleReport(
        module=found.module,
        level=Level.LINES if has_lines else Level.SYMBOLS if has_symbols else Level.NOTHING,
        binary=found.binary.path if found.binary else None,
        debug_file=found.debug.path if found.debug and has_lines else None,
        attempts=tuple(found.attempts),
        problems=tuple(problems),
        hint=_hint(found, has_lines, split),
    )


def _file_problems(found: Found) -> list[str]:
    if found.fileless is not None:
        return [f"{found.module.path or 'a module'}: {found.fileless}"]
    refused = (Outcome.OTHER_BUILD, Outcome.DAMAGED, Outcome.UNREADABLE, Outcome.NOT_A_FILE)
    problems = [str(attempt) for attempt in found.attempts if attempt.outcome in refused]
    own = found.outcome_of_own_path()
    if own is not None and own.outcome is Outcome.MISSING:
        problems.insert(0, f"{own.path} is missing here")
    return problems


def _debug_info_limits(elf: Elf, path: str) -> tuple[list[str], bool]:
    """What is missing from this debug info, and whether it was split off altogether."""
    limits, split = [], False
    try:
        if elf.altlink is not None:
            limits.append(f"{path} shares debug info with {elf.altlink} (dwz), not read: inlined calls may lack names")
        split = is_split(elf)
        if split:
            limits.append(f"{path} has its debug info in .dwo files (split DWARF), which are not read: no lines")
    except ElfError as error:
        limits.append(f"{path}: {error}")
    return limits, split


def _hint(found: Found, has_lines: bool, split: bool) -> str | None:
    if has_lines or found.fileless is not None:
        return None
    if found.debug is not None:
        return "build without -gsplit-dwarf" if split else f"replace {found.debug.path}, which is damaged"
    if found.binary is not None:
        package = debug_package(found.binary.path)
        return f"install {package}" if package else "put the unstripped file or its .debug file into a search directory"
    if found.module.build_id:
        return f"put the file with build id {found.module.build_id.hex()} into a search directory"
    return "put the file as it was recorded into a search directory"
