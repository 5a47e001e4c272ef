# SPDX-License-Identifier: Apache-2.0
"""What the two libraries show to the world: `import heaptide`, and libheaptide.so's dynamic symbols."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from elftools.elf.elffile import ELFFile

import heaptide

LIST = Path(__file__).with_name("exports.txt")
HEAVY = ("numpy", "symbolic", "click", "pygraphviz", "heaptide.build", "heaptide.model")


def test_public_names() -> None:
    assert heaptide.__all__ == ["HeaptideError", "__version__", "open"]
    assert all(getattr(heaptide, name).__doc__ for name in ("HeaptideError", "open"))
    assert (Path(heaptide.__file__).parent / "py.typed").exists()


def test_import_is_cheap() -> None:
    code = f"import sys, heaptide; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_one_version_everywhere(repository: Path) -> None:
    header = (repository / "native" / "version.h").read_text()
    found = re.search(r'#define HT_VERSION "([^"]+)"', header)
    assert found is not None and found[1] == heaptide.__version__


def _dynamic_symbols(library: Path) -> tuple[set[str], set[str]]:
    """(defined, needed) names of a library's dynamic symbols; only pyelftools is believed, not our own reader."""
    with library.open("rb") as file:
        symbols = list(ELFFile(file).get_section_by_name(".dynsym").iter_symbols())
    named = [symbol for symbol in symbols if symbol.name]
    defined = {symbol.name for symbol in named if symbol["st_shndx"] != "SHN_UNDEF"}
    return defined, {symbol.name for symbol in named} - defined


def _listed() -> tuple[set[str], set[str]]:
    """(must be there, may be there) of exports.txt."""
    lines = [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    optional = {line.removeprefix("? ") for line in lines if line.startswith("? ")}
    return {line for line in lines if not line.startswith("? ")}, optional


def test_agent_exports_the_list_and_nothing_else(agent: Path) -> None:
    defined, _ = _dynamic_symbols(agent)
    required, optional = _listed()
    assert sorted(required - defined) == [], "missing"
    assert sorted(defined - required - optional) == [], "not in tests/exports.txt"


def test_agent_needs_only_libc(agent: Path) -> None:
    with agent.open("rb") as file:
        tags = list(ELFFile(file).get_section_by_name(".dynamic").iter_tags())
    needed = {tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"}
    assert needed <= {"libc.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux-x86-64.so.2"}
    soname = [tag.soname for tag in tags if tag.entry.d_tag == "DT_SONAME"]
    assert soname == ["libheaptide.so"]
    assert any(tag.entry.d_tag == "DT_FLAGS" and tag.entry.d_val & 0x10 for tag in tags), (
        "no STATIC_TLS: TLS may allocate"
    )


def test_agent_asks_libc_for_no_thread_no_unwinder(agent: Path) -> None:
    _, needed = _dynamic_symbols(agent)
    forbidden = {"pthread_create", "backtrace", "_Unwind_Backtrace", "unw_step", "__tls_get_addr", "printf", "abort"}
    assert needed & forbidden == set()
