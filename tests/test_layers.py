# SPDX-License-Identifier: Apache-2.0
"""HOUSE.md's table of who may import whom, held against the code; and the same in C.

Every import counts, also one inside a function or under TYPE_CHECKING: knowing a name is knowing its room. For cycles
only what runs at import time counts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "heaptide"
NATIVE = ROOT / "native"

NOUNS = {"_types", "_errors"}  # everyone may import these
PUBLIC = "heaptide"  # the package's own __init__: the public interface
LIBRARY = {"capture", "symbolize", "model", "build", "build_foreign", "formats", "analysis", "render"}
MAY_IMPORT: dict[str, set[str]] = {
    "_types": set(),
    "_errors": set(),
    "capture": NOUNS,
    "symbolize": NOUNS,
    "model": NOUNS,
    "build": NOUNS | {"capture", "symbolize", "model"},
    # The other join: a foreign file's addresses need symbols as a capture's do. HOUSE.md has no row for it; it takes
    # build's, with formats in the place of capture.
    "build_foreign": NOUNS | {"formats", "symbolize", "model"},
    "formats": NOUNS | {"model"},
    "analysis": NOUNS | {"model"},
    "render": NOUNS | {"analysis", "model"},
    "executable": NOUNS,
    "launch": NOUNS | {"executable"},
    "tui": NOUNS | {"render", "analysis", "model"},
    "web": NOUNS | {"render", "analysis", "model"},
    "public": NOUNS | {"analysis", "model"},  # what the package's __init__ hands out
    PUBLIC: NOUNS | LIBRARY | {"public"},
    "cli": NOUNS | LIBRARY | {"launch", "tui", "web", PUBLIC},
    "__main__": {"cli"},
}
LAZY = {"tui", "web"}  # cli may import these only inside functions
OUTSIDE_NEVER = {"render": {"socket", "curses", "termios", "tty", "asyncio", "http"}}
SHARED_HEADERS = {"books.h", "format.h", "sys.h", "fold.h", "version.h"}


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _room(module: str) -> str:
    """The part of the package that a dotted name lies in: `heaptide.model.profile` -> `model`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else PUBLIC


def _imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported below `tree`; `from a import b` gives a.b where that is a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield node.lineno, inner if _is_module(inner) else base


def _is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def _runs_at_import(tree: ast.Module) -> ast.Module:
    """The module without function bodies and without what stands under TYPE_CHECKING."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)

    stripped: ast.Module = Strip().visit(tree)
    return stripped


def _parse(path: Path) -> tuple[ast.Module, str, bool]:
    return ast.parse(path.read_text(), str(path)), _name(path), path.name == "__init__.py"


@pytest.mark.parametrize("path", _modules(), ids=_name)
def test_room_imports_only_what_the_table_allows(path: Path) -> None:
    tree, module, is_package = _parse(path)
    room = _room(module)
    assert room in MAY_IMPORT, f"{room} has no row in HOUSE.md's table"
    for line, imported in _imports(tree, module, is_package):
        top = imported.split(".")[0]
        where = f"{path.relative_to(ROOT)}:{line}: {room} imports {imported}"
        assert top not in OUTSIDE_NEVER.get(room, ()), where
        if top == "heaptide" and _room(imported) != room:
            assert _room(imported) in MAY_IMPORT[room], where


def test_cli_imports_the_interfaces_lazily() -> None:
    for path in (PACKAGE / "cli").rglob("*.py"):
        tree, module, is_package = _parse(path)
        for line, imported in _imports(_runs_at_import(tree), module, is_package):
            assert _room(imported) not in LAZY or not imported.startswith("heaptide."), (
                f"{path.name}:{line}: {imported}"
            )


def test_no_import_cycles() -> None:
    graph: dict[str, set[str]] = {}
    for path in _modules():
        tree, module, is_package = _parse(path)
        found = {name for _, name in _imports(_runs_at_import(tree), module, is_package)}
        graph[module] = {name for name in found if name.startswith("heaptide.") and _is_module(name)} - {module}
    done: set[str] = set()

    def walk(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        if module not in done:
            for following in sorted(graph.get(module, ())):
                walk(following, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        walk(module, ())


def _c_files() -> list[Path]:
    return sorted(path for room in ("agent", "recorder") for path in (NATIVE / room).rglob("*.[ch]"))


@pytest.mark.parametrize("path", _c_files(), ids=lambda path: str(path.relative_to(NATIVE)))
def test_agent_and_recorder_meet_only_in_shared_headers(path: Path) -> None:
    room = NATIVE / path.relative_to(NATIVE).parts[0]
    shared = SHARED_HEADERS - ({"format.h"} if room.name == "agent" else set())  # the agent knows of no file
    text = path.read_text()
    assert "Python.h" not in text
    for included in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.MULTILINE):
        beside = (path.parent / included).resolve()
        found = beside if beside.exists() else NATIVE / included
        inside = found.is_relative_to(room)
        assert inside or (found.parent == NATIVE and found.name in shared), f"{path.name} includes {included}"


@pytest.mark.parametrize("path", _c_files(), ids=lambda path: str(path.relative_to(NATIVE)))
def test_differences_between_systems_live_in_sys(path: Path) -> None:
    conditions = re.findall(r"^\s*#\s*(?:if|ifdef|ifndef|elif)\b.*$", path.read_text(), re.MULTILINE)
    guard = f"HEAPTIDE_\\w*{re.escape(path.stem.upper())}_H$" if path.suffix == ".h" else r"(?!)"
    others = [line for line in conditions if not re.search(guard, line)]
    assert not others, f"conditional compilation outside native/sys.*: {others}"
