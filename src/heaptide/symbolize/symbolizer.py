# SPDX-License-Identifier: Apache-2.0
"""(module, vaddr) -> source frames, by the best there is for each address: debug info, symbol table, or a reason."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .answers import Module, ModuleReport, Outcome, SourceFrame
from .debugfiles import Finder, Found
from .demangle import demangle
from .elf import ElfError
from .lines import BadDebugInfo, LineTable
from .packages import debug_package
from .report import describe
from .symbols import SymbolTable
from .symcache import DiskCache, default_dir


class Symbolizer:
    """Names addresses. Files are opened at the first address of their module; answers are remembered.

    May be used from several threads: each module is worked on by one at a time, different modules at once.

    Args:
        search: directories with binaries and debug files, looked into before the system's own places.
        cache_dir: where digested debug files are kept; None for the user's cache directory.
    """

    def __init__(self, *, search: tuple[Path, ...] = (), cache_dir: Path | None = None) -> None:
        self._finder = Finder(search)
        self._disk = DiskCache(cache_dir or default_dir())
        self._modules: dict[Module, _Resolver] = {}
        self._lock = threading.Lock()

    def resolve(self, module: Module, vaddrs: Sequence[int]) -> list[tuple[SourceFrame, ...]]:
        """The frames at each vaddr of `module`.

        Args:
            module: the loaded object.
            vaddrs: addresses as the file numbers them (runtime address - bias), inside the instruction meant: the
                caller has already subtracted 1 from a return address.

        Returns:
            One tuple for each vaddr, the innermost inlined call first, never empty. Never raises for what is wrong with
            files: that becomes the `unresolved` of the frames.
        """
        return self._resolver(module).resolve(vaddrs)

    def report(self, module: Module) -> ModuleReport:
        """Where the names of `module` come from, and what is in the way of better ones."""
        return self._resolver(module).report()

    def _resolver(self, module: Module) -> _Resolver:
        with self._lock:
            resolver = self._modules.get(module)
            if resolver is None:
                resolver = self._modules[module] = _Resolver(module, self._finder, self._disk)
            return resolver


class _Resolver:
    """One module: what was found for it, opened as far as addresses asked for it."""

    def __init__(self, module: Module, finder: Finder, disk: DiskCache) -> None:
        self._module = module
        self._finder = finder
        self._disk = disk
        self._lock = threading.Lock()
        self._known: dict[int, tuple[SourceFrame, ...]] = {}
        self._found: Found | None = None
        self._lines: LineTable | None = None
        self._symbols: SymbolTable | None = None
        self._why: str | None = None

    def resolve(self, vaddrs: Sequence[int]) -> list[tuple[SourceFrame, ...]]:
        with self._lock:
            found = self._load()
            for vaddr in vaddrs:
                if vaddr not in self._known:
                    self._known[vaddr] = self._frames(found, vaddr)
            return [self._known[vaddr] for vaddr in vaddrs]

    def report(self) -> ModuleReport:
        with self._lock:
            found = self._load()
            return describe(found, has_lines=self._lines is not None, has_symbols=len(self._table(found)) > 0)

    def _load(self) -> Found:
        if self._found is None:
            found = self._finder.find(self._module)
            if found.debug is not None:
                try:
                    self._lines = LineTable(found.debug, self._module.build_id, self._disk)
                    found.problems += self._lines.problems
                except (BadDebugInfo, ElfError) as error:
                    found.problems.append(str(error))
            self._found = found
        return self._found

    def _table(self, found: Found) -> SymbolTable:
        if self._symbols is None:
            self._symbols = SymbolTable(found.symbol_files())
            found.problems += self._symbols.problems
        return self._symbols

    def _frames(self, found: Found, vaddr: int) -> tuple[SourceFrame, ...]:
        if self._lines is not None and (frames := self._lines.lookup(vaddr)):
            return self._with_public_name(found, vaddr, frames)
        symbol = self._table(found).covering(vaddr)
        if symbol is not None:
            return (SourceFrame(demangle(symbol.name)),)
        return (SourceFrame(None, unresolved=self._reason(found, vaddr)),)

    def _with_public_name(self, found: Found, vaddr: int, frames: tuple[SourceFrame, ...]) -> tuple[SourceFrame, ...]:
        """A C library has many names for one function; `pread64` is what its user wrote, not `__GI___pread64`."""
        name = frames[-1].function
        if name is None or not name.startswith("_"):
            return frames
        public = self._table(found).best_alias(vaddr, name)
        return frames if public == name else (*frames[:-1], replace(frames[-1], function=public))

    def _reason(self, found: Found, vaddr: int) -> str:
        """Why nothing names this address, short enough for a line of a stack."""
        image = found.binary or found.debug
        if image is None:
            return self._no_file(found)
        if not image.elf.covers_code(vaddr):
            return f"{vaddr:#x} lies outside the code of {self._module.name}"
        if self._lines is not None:
            return f"no function covers {vaddr:#x}"
        if self._why is None:
            package = debug_package(image.path) if not self._table(found).complete else None
            self._why = f"; install {package}" if package else ""
        stripped = "" if self._table(found).complete else "stripped: "
        return f"{stripped}no symbol covers {vaddr:#x}{self._why}"

    def _no_file(self, found: Found) -> str:
        """The module's own file cannot be used, and nothing stands in for it."""
        if found.fileless is not None:
            return found.fileless
        own = found.outcome_of_own_path()
        if own is None or own.outcome is Outcome.MISSING:
            gone = "deleted since" if self._module.path.endswith(" (deleted)") else "missing here"
            return f"{self._module.name} is {gone}"
        if own.outcome is Outcome.UNREADABLE:
            return f"{self._module.name} cannot be read: {own.detail}"
        return f"{self._module.name} is {own.outcome.value} here"
