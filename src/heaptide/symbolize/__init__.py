# SPDX-License-Identifier: Apache-2.0
"""(module, address in its file) -> source frames, or the reason why there are none.

    debugfiles   which files know this module's names, and which were refused
    elf, plt     our own small ELF reader            symbols    addresses by symbol table, strictly
    debugline    the mend of .debug_line             lines      addresses by DWARF (the `symbolic` library)
    symcache     digested debug files on disk        demangle   names as a person writes them
    symbolizer   the way down: lines, symbols, a reason         report, packages, splitdwarf   what limits the answers

Nothing here knows captures or profiles.
"""

from __future__ import annotations

from .answers import Attempt, Level, Module, ModuleReport, Outcome, Phdr, SourceFrame
from .symbolizer import Symbolizer

__all__ = ["Attempt", "Level", "Module", "ModuleReport", "Outcome", "Phdr", "SourceFrame", "Symbolizer"]
