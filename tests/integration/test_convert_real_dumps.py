# SPDX-License-Identifier: Apache-2.0
"""Four real programs, dumped by libtcmalloc (exact and sampled) and libjemalloc: our numbers are those of their tools.

By address, `go tool pprof`, google-pprof and jeprof are equal to us in flat and cumulative values of every kind: they
read the same file and no name is involved. By function they can only be equal where they give an address the same
name. Where they do not, addr2line, asked for the address of the call, says who is right; and programs with known
answers say it of the totals.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

import heaptide
from heaptide.analysis.rows import with_steps
from heaptide.analysis.site import no_frame
from heaptide.analysis.top import top
from heaptide.formats.named import frame_names
from heaptide.model import Profile, StackTable
from heaptide.model.columns import Columns
from heaptide.model.convert import stack_table
from tests.integration import foreign_dumps as fd
from tests.integration.foreign_dumps import Row
from tests.programs.build import build, run

_ALLOCATORS = ("libtcmalloc", "libjemalloc", "keeper.so")
_LIBC = "/lib/x86_64-linux-gnu/libc.so.6"


@pytest.fixture(scope="module", params=fd.PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    for tool in (request.param, "google-pprof", "jeprof", "go", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} (tests/system-packages.txt)")
    for library in (fd.TCMALLOC, fd.JEMALLOC, Path("/usr/include/gperftools/malloc_extension.h")):
        if not library.exists():
            pytest.skip(f"no {library} (tests/system-packages.txt)")
    return str(request.param)


@pytest.fixture(scope="module")
def dumps(program: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp(program)
    return {profiler: fd.make_dump(program, profiler, folder) for profiler in fd.PROFILERS}


def _executable(program: str) -> str:
    return shutil.which(program) or program


def _own(columns: Columns, value: str, *, cut: bool = False) -> dict[int, Row]:
    """Flat and cumulative values by address, summed here; with ``cut`` without the allocator's own frames."""
    places = columns.locations
    allocators = {n for n, one in enumerate(columns.mappings) if any(a in one.file for a in _ALLOCATORS)}
    rows: dict[int, Row] = defaultdict(Row)
    bounds = columns.stack_start.tolist()
    for sample, number in enumerate(columns.values[columns.column(value)].tolist()):
        stack = columns.stack[bounds[sample] : bounds[sample + 1]].tolist()
        while cut and len(stack) > 1 and int(places.mapping[stack[0]]) in allocators:
            stack = stack[1:]
        addresses = [int(places.address[place]) for place in stack]
        for address in set(addresses):
            rows[address].cum += number
        if addresses:
            rows[addresses[0]].flat += number
    return {address: row for address, row in rows.items() if row.flat or row.cum}


def _numbers(rows: Mapping[int, Row]) -> dict[int, tuple[int, int]]:
    return {address: (row.flat, row.cum) for address, row in rows.items()}


@pytest.mark.parametrize("profiler", ["heapprofile", "sampled"])
def test_every_address_has_the_numbers_that_go_gives_it(dumps: Mapping[str, Path], profiler: str) -> None:
    columns = heaptide.open(dumps[profiler]).at().columns
    assert columns is not None and len(columns) > 10
    for kind in columns.sample_types:
        ours = _numbers(_own(columns, kind.type))
        theirs = _numbers(fd.by_address_go(dumps[profiler], kind.type))
        assert {address: row for address, row in theirs.items() if any(row)} == ours, kind.type
        assert len(ours) > 10 or not sum(flat for flat, _ in ours.values())


@pytest.mark.parametrize("profiler", fd.PROFILERS)
def test_every_address_has_the_numbers_of_the_perl_tools(
    program: str, dumps: Mapping[str, Path], profiler: str
) -> None:
    """They leave the leaf's address as it is (one too many), drop frames by name, and round where we cut off."""
    columns = heaptide.open(dumps[profiler]).at().columns
    assert columns is not None
    tool, rounding = _tool(profiler), 0 if profiler == "heapprofile" else len(columns)
    kind = columns.sample_types[-1].type
    for value in (kind, kind.replace("inuse", "alloc")) if "inuse" in kind else (kind,):
        ours = _own(columns, value, cut=True)
        asked = value if "_" in value else f"inuse_{value}"
        theirs = _at_calls(fd.by_address(tool, _executable(program), dumps[profiler], asked), ours)
        assert theirs and set(theirs) <= set(ours)
        dropped = set(ours) - set(theirs)
        assert len(dropped) <= max(3, len(ours) // 20), "the tool drops allocators' frames, no more"
        for address, row in theirs.items():
            assert abs(row.cum - ours[address].cum) <= rounding, hex(address)
            if not dropped:
                assert abs(row.flat - ours[address].flat) <= rounding, hex(address)
        total = sum(row.flat for row in ours.values())
        assert abs(sum(row.flat for row in theirs.values()) - total) <= rounding + total // 100 * bool(dropped)


def _tool(profiler: str) -> str:
    return "jeprof" if profiler == "jemalloc" else "google-pprof"


def _at_calls(rows: Mapping[int, Row], ours: Mapping[int, Row]) -> dict[int, Row]:
    """Their table with the leaf's addresses corrected, where one that is not ours stands behind one that is."""
    out: dict[int, Row] = defaultdict(Row)
    for address, row in rows.items():
        mine = out[address if address in ours or address - 1 not in ours else address - 1]
        mine.flat += row.flat
        mine.cum += row.cum
        mine.names |= row.names
    return dict(out)


@pytest.mark.parametrize("profiler", fd.PROFILERS)
def test_functions_have_the_numbers_of_the_perl_tools_or_addr2line_says_why(
    program: str, dumps: Mapping[str, Path], profiler: str
) -> None:
    profile = heaptide.open(dumps[profiler]).at()
    columns = profile.columns
    assert columns is not None
    value = "alloc_space" if profiler == "heapprofile" else "inuse_space"
    held = value if any(kind.type == value for kind in columns.sample_types) else "space"
    tool, executable = _tool(profiler), _executable(program)
    table = _at_calls(fd.by_address(tool, executable, dumps[profiler], value), _own(columns, held))
    theirs = {_canonical(name): row for name, row in fd.by_function(tool, executable, dumps[profiler], value).items()}
    ours = _functions(profile, columns, value, set(table))
    named = _named(columns, set(table))
    their_places, our_places = _places(table), _places(named)
    unlike = {place for place in table if _all_canonical(table[place]) != _all_canonical(named[place])}
    rounding = 0 if profiler == "heapprofile" else len(columns)
    alike = [name for name in theirs if their_places[name] == our_places[name]]
    for name in alike:
        assert abs(theirs[name].cum - ours[name].cum) <= rounding, name
        if not our_places[name] & unlike:  # else another function is inlined there for one of us
            assert abs(theirs[name].flat - ours[name].flat) <= rounding, name
    assert len(alike) >= 2, "hardly anything was compared"
    _judge(columns, unlike)


def _all_canonical(row: Row) -> set[str]:
    return {_canonical(name) for name in row.names}


def _functions(profile: Profile, columns: Columns, value: str, kept: set[int]) -> dict[str, Row]:
    """Our own table by name, of the addresses that the other tool kept; aliases of the C library under one name."""
    address = columns.locations.address
    keep = np.isin(address, np.array(sorted(kept), np.uint64))[columns.stack]
    stacks = stack_table(with_steps(columns, keep), address, [one.file for one in columns.mappings])
    frames = [replace(frame, function=_canonical(fd.plain(frame.function or "")) or None) for frame in stacks.frames]
    cut = replace(profile, stacks=StackTable(frames, stacks.stacks))
    rows = top(cut, value=value, by="name", skip=no_frame).rows
    return defaultdict(
        Row, {row.place.function: Row(int(row.flat), int(row.cum)) for row in rows if row.place.function}
    )


def _named(columns: Columns, addresses: set[int]) -> dict[int, Row]:
    names = frame_names(columns)
    named = [bool(one) for one in (columns.locations.line_start[1:] > columns.locations.line_start[:-1]).tolist()]
    return {
        address: Row(names={fd.plain(name) for name in names[row]} if named[row] else set())
        for row, address in enumerate(columns.locations.address.tolist())
        if address in addresses
    }


def _places(rows: Mapping[int, Row]) -> dict[str, set[int]]:
    places: dict[str, set[int]] = defaultdict(set)
    for address, row in rows.items():
        for name in row.names:
            places[_canonical(name)].add(address)
    return places


def _judge(columns: Columns, addresses: set[int]) -> None:
    """At every address where names differ, addr2line (with the address of the call) gives what we give, or nothing.

    Where it gives nothing, a symbol that covers the address gives ours its right; without one ours must be nothing.
    """
    ours = _named(columns, addresses)
    places = columns.locations
    of_file: dict[str, dict[int, int]] = defaultdict(dict)
    for row, address in enumerate(places.address.tolist()):
        one = columns.mappings[int(places.mapping[row])]
        if address in addresses and one.file.startswith("/"):
            of_file[one.file][address] = _vaddr(one.file, address - one.start + one.offset)
    for file, wanted in of_file.items():
        said = fd.addr2line(file, wanted.values())
        for address, vaddr in wanted.items():
            names = {_canonical(name) for name in ours[address].names}
            if said[vaddr]:
                third = {_canonical(name) for name in said[vaddr]}
                assert names == third, f"{file} {vaddr:#x}: ours {names}, addr2line {third}"
            else:
                assert names <= {_canonical(name) for name in _symbols_at(file, vaddr)}, f"{file} {vaddr:#x}: {names}"


def _vaddr(file: str, offset: int) -> int:
    for head in _loads(file):
        if head[0] <= offset < head[0] + head[2]:
            return offset - head[0] + head[1]
    return offset


@cache
def _loads(file: str) -> list[tuple[int, int, int]]:
    with open(file, "rb") as stream:
        heads = [segment.header for segment in ELFFile(stream).iter_segments("PT_LOAD")]
    return [(head.p_offset, head.p_vaddr, head.p_filesz) for head in heads]


@cache
def _symbols(file: str) -> list[tuple[int, int, str]]:
    with open(file, "rb") as stream:
        elf = ELFFile(stream)
        sections = [section for section in elf.iter_sections() if isinstance(section, SymbolTableSection)]
        return [
            (symbol["st_value"], symbol["st_size"], symbol.name)
            for section in sections
            for symbol in section.iter_symbols()
            if symbol["st_info"]["type"] in ("STT_FUNC", "STT_LOOS") and symbol["st_value"]
        ]


def _symbols_at(file: str, vaddr: int) -> set[str]:
    return {fd.plain(name) for start, size, name in _symbols(file) if start <= vaddr < start + max(size, 1)}


@cache
def _libc_names() -> dict[str, str]:
    """For each name of the C library's debug file the first of those of the same address."""
    with open(_LIBC, "rb") as stream:
        note = next(iter(ELFFile(stream).get_section_by_name(".note.gnu.build-id").iter_notes()))
    build_id = str(note["n_desc"])
    debug = f"/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug"
    first: dict[int, str] = {}
    found = {}
    for start, _, name in sorted(_symbols(debug if Path(debug).exists() else _LIBC)):
        found[fd.plain(name)] = first.setdefault(start, fd.plain(name))
    return found


def _canonical(name: str) -> str:
    """One of a symbol's names; `__GI_x` is what x is called inside the C library and the loader."""
    plain = name.removeprefix("__GI_")
    return _libc_names().get(name, _libc_names().get(plain, plain))


@pytest.mark.parametrize("profiler", ["heapprofile", "jemalloc"])
def test_totals_of_a_program_that_knows_them(profiler: str, tmp_path: Path, need: Callable[..., None]) -> None:
    """Who is right where tools differ: the program itself counts. jemalloc counts blocks of its size classes."""
    need("g++")
    library = fd.TCMALLOC if profiler == "heapprofile" else fd.JEMALLOC
    if not library.exists():
        pytest.skip(f"no {library}")
    env = {"LD_PRELOAD": str(library)}
    if profiler == "heapprofile":
        env["HEAPPROFILE"] = str(tmp_path / "x")
    else:
        env["MALLOC_CONF"] = f"prof:true,prof_final:true,prof_accum:true,lg_prof_sample:0,prof_prefix:{tmp_path}/x"
    outcome = run(build("cxx_new", "-O2"), truth=tmp_path / "truth", env=env)
    (dump,) = tmp_path.glob("*.heap")
    profile = heaptide.open(dump).at()
    assert len(outcome.truth.exit) > 5
    for value in ("alloc_objects", "inuse_objects", "alloc_space", "inuse_space"):
        rows = {row.place.function: row.flat for row in top(profile, value=value, by="name").rows}
        found = {(name or "").partition("(")[0].rpartition("::")[2]: number for name, number in rows.items()}
        for site, counts in outcome.truth.exit.items():
            true = getattr(counts, value)
            if profiler == "heapprofile" or value.endswith("objects"):
                assert found.get(site, 0) == true, (site, value)
            else:
                assert (
                    true <= found.get(site, 0) <= 2 * true + 16 * getattr(counts, value.replace("space", "objects"))
                ), site
