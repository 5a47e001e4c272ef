# SPDX-License-Identifier: Apache-2.0
"""From columns to a file and back: nothing changes but what the format cannot hold.

Columns are those of any profile at random, and those of captures, built by the builder and read by the real reader.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter as Count
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heaptide import build_foreign
from heaptide.build import load
from heaptide.capture import format as fmt
from heaptide.formats import callgrind, collapsed, gperftools, pprof, read, speedscope, text_heap
from heaptide.formats.named import frame_names
from heaptide.formats.targets import TARGETS, default_value
from heaptide.model import Profile
from heaptide.model.columns import Columns
from heaptide.model.flatten import columns_of
from heaptide.symbolize import Module, SourceFrame
from tests.builders.callgrind_file import CallgrindFile
from tests.builders.capture import CaptureBuilder, Counter, Phdr
from tests.builders.columns import columns, said

_EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@_EXAMPLES
@given(columns())
def test_profile_proto_holds_everything(profile: Columns) -> None:
    profile.check()
    data = pprof.dump(profile)
    back = pprof.parse(data)
    back.check()
    assert said(back) == said(profile)
    assert pprof.dump(back) == data
    plain = pprof.message_of(profile).SerializeToString()
    assert said(pprof.parse(plain)) == said(profile)
    assert pprof.looks_like(plain) and not TARGETS["pprof"].lacks(profile, 0)


@_EXAMPLES
@given(columns())
def test_every_target_takes_every_profile(profile: Columns) -> None:
    for target in TARGETS.values():
        assert isinstance(target.write(profile, default_value(profile), "x"), bytes)
        target.lacks(profile, default_value(profile))


class _Names:
    """Some addresses have no name, some are inlined calls, some names are hard to write down."""

    def resolve(self, module: Module, vaddrs: Sequence[int]) -> list[tuple[SourceFrame, ...]]:
        return [self._one(vaddr) for vaddr in vaddrs]

    def _one(self, vaddr: int) -> tuple[SourceFrame, ...]:
        outer = SourceFrame(f"ns::f<{vaddr % 5}, A<int> >(char const*)", f"/src/f{vaddr % 3}.c", vaddr % 97)
        if vaddr % 7 == 1:
            inner = SourceFrame(f"in{vaddr % 3}", "i.h", 5, inlined=True)
            return (inner, SourceFrame("mid", None, None, inlined=True), outer)
        return (SourceFrame(None, unresolved="stripped"),) if vaddr % 7 == 2 else (outer,)


@dataclass(frozen=True)
class _Taken:
    profile: Profile
    columns: Columns


@st.composite
def captures(draw: st.DrawFn) -> _Taken:
    """A capture of up to six stacks in three modules (one of them unloaded and its addresses used again)."""
    mode = draw(st.sampled_from(["exact", "sampled"]))
    capture = CaptureBuilder(mode).process(exe="/bin/prog")
    capture.module(1, 0x400000, 0x500000, bias=0x400000, path="", flags=fmt.MODULE_MAIN, phdrs=[_code()])
    capture.module(2, 0x700000, 0x710000, bias=0x700000, path="/lib/one.so", phdrs=[_code()])
    address = st.integers(0x401001, 0x401030) | st.integers(0x701001, 0x701020) | st.integers(0x10, 0x14)
    stacks = draw(st.lists(st.lists(address, min_size=1, max_size=6), min_size=1, max_size=6))
    half = len(stacks) // 2
    capture.stacks([(16 + n, stack) for n, stack in enumerate(stacks[: half + 1])])
    capture.unload(2).module(3, 0x700000, 0x710000, bias=0x700000, path="/lib/two.so", phdrs=[_code()])
    if stacks[half + 1 :]:
        capture.stacks([(17 + half + n, stack) for n, stack in enumerate(stacks[half + 1 :])])
    capture.snapshot("exit", {16 + n: _counter(draw, mode) for n in range(len(stacks))})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.tide"
        path.write_bytes(capture.end().data())
        series = load(path, symbolizer=_Names())
        profile = series.at("exit")
    return _Taken(profile, columns_of(profile, series.images))


def _code() -> Phdr:
    return Phdr(type=1, flags=5, offset=0x1000, vaddr=0x1000, filesz=0x8000, memsz=0x8000, align=0x1000)


def _counter(draw: st.DrawFn, mode: str) -> Counter:
    scale = 1 if mode == "exact" else fmt.OBJECT_SCALE
    blocks, freed = draw(st.integers(1, 50)), draw(st.integers(0, 1))
    size = draw(st.integers(1, 1 << 40))
    plain = (size * blocks, blocks * scale, size * blocks * freed, blocks * scale * freed)
    return Counter(*plain, *((2.5, 1.5, 5, 2) if mode == "sampled" else ()))


def _rows(profile: Columns, names: Sequence[str]) -> Count[tuple[object, ...]]:
    """The samples, in any order: addresses and the values of these names."""
    bounds, stack = profile.stack_start.tolist(), profile.locations.address[profile.stack].tolist()
    held = text_heap.values_of(profile)
    values = np.array([held[name] for name in names]).T.tolist()
    return Count((tuple(stack[bounds[n] : bounds[n + 1]]), tuple(row)) for n, row in enumerate(values) if any(row))


_FOUR = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")


@_EXAMPLES
@given(captures())
def test_a_capture_as_columns_says_what_it_said(taken: _Taken) -> None:
    taken.columns.check()
    names = frame_names(taken.columns)
    bounds = taken.columns.stack_start.tolist()
    for row in range(len(taken.profile)):
        frames = taken.profile.frames_of(row)
        places = taken.columns.stack[bounds[row] : bounds[row + 1]].tolist()
        told = [name for place in places for name in names[place]]
        assert len(told) == len(frames)
        for name, frame in zip(told, frames, strict=True):
            assert frame.function is None or name == frame.function
    for number, kind in enumerate(taken.columns.sample_types):
        assert taken.columns.values[number].tolist() == np.rint(taken.profile.values[kind.type]).tolist()
    assert said(pprof.parse(pprof.dump(taken.columns))) == said(taken.columns)


@_EXAMPLES
@given(captures())
def test_a_capture_as_text_heap(taken: _Taken) -> None:
    data = text_heap.dump(taken.columns)
    back = read(data)
    assert back.format == "gperftools" and all("no memory map" in warning for warning in back.warnings)
    names = _FOUR if len(back.columns.sample_types) == 4 else _FOUR[2:]
    assert _rows(back.columns, names) == _rows(taken.columns, names)
    if len(names) == 2:
        assert back.alloc_is_inuse and _rows(taken.columns, _FOUR[:2]) == _rows(taken.columns, _FOUR[2:])
    assert _modules(back.columns) == _modules(taken.columns)
    assert gperftools.parse(text_heap.dump(back.columns)).records == gperftools.parse(data).records


def _modules(profile: Columns) -> set[tuple[int, str, int]]:
    """Of each address in a module the file, and where in it."""
    found = set()
    places = profile.locations
    for address, number in zip(places.address.tolist(), places.mapping.tolist(), strict=True):
        one = profile.mappings[number] if number >= 0 else None
        if one is not None and one.file and address in set(places.address[profile.stack].tolist()):
            found.add((address, one.file, address - one.start + one.offset))
    return found


def _folded(profile: Columns, value: int) -> dict[tuple[str, ...], int]:
    """Values by stack of names, root first."""
    names = frame_names(profile)
    bounds, total = profile.stack_start.tolist(), Count[tuple[str, ...]]()
    for row, number in enumerate(profile.values[value].tolist()):
        places = profile.stack[bounds[row] : bounds[row + 1]].tolist()
        total[tuple(name for place in places for name in names[place])[::-1]] += number
    return {stack: number for stack, number in total.items() if number}


@_EXAMPLES
@given(captures(), st.sampled_from(_FOUR))
def test_a_capture_as_collapsed_stacks(taken: _Taken, value: str) -> None:
    wanted = taken.columns.column(value)
    back = collapsed.parse(collapsed.dump(taken.columns, wanted))
    back.check()
    assert _folded(back, 0) == _folded(taken.columns, wanted)


@_EXAMPLES
@given(captures())
def test_a_capture_as_callgrind(taken: _Taken) -> None:
    file = CallgrindFile.parse(callgrind.dump(taken.columns).decode())
    assert file.events == [kind.type for kind in taken.columns.sample_types]
    assert file.totals == taken.columns.values.sum(axis=1).tolist()
    for number in range(len(file.events)):
        folded = _folded(taken.columns, number)
        own = Count[str]()
        for stack, value in folded.items():
            own[stack[-1]] += value
        assert {name: values[number] for name, values in file.own().items() if values[number]} == {
            name: value for name, value in own.items() if value
        }
        roots = Count(stack[0] for stack, value in folded.items() for _ in range(bool(value)))
        assert set(roots) <= set(file.functions)


@_EXAMPLES
@given(captures())
def test_a_capture_as_speedscope(taken: _Taken) -> None:
    document = json.loads(speedscope.dump(taken.columns, 0, "x"))
    frames = [frame["name"] for frame in document["shared"]["frames"]]
    for number, profile in enumerate(document["profiles"]):
        total = Count[tuple[str, ...]]()
        for stack, weight in zip(profile["samples"], profile["weights"], strict=True):
            total[tuple(frames[index] for index in stack)] += weight
        assert dict(total) == _folded(taken.columns, number)
        assert profile["endValue"] == sum(profile["weights"])


@pytest.mark.parametrize("name", ["x.pb.gz", "x.heap", "x.folded"])
def test_a_file_that_was_written_opens_as_a_series(name: str, tmp_path: Path) -> None:
    source = b"heap profile: 3: 600 [ 5: 1000] @ heapprofile\n 3: 600 [ 5: 1000] @ 0x11 0x21\nMAPPED_LIBRARIES:\n"
    target = {"x.pb.gz": "pprof", "x.heap": "gperftools", "x.folded": "collapsed"}[name]
    (tmp_path / name).write_bytes(TARGETS[target].write(read(source).columns, 3, "x"))
    assert build_foreign.is_foreign(tmp_path / name)
    profile = build_foreign.load(tmp_path / name).at()
    profile.check()
    assert profile.total("samples" if name == "x.folded" else "inuse_space") == 600
