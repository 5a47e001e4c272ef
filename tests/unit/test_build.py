# SPDX-License-Identifier: Apache-2.0
"""The join of records and symbols, with a symboliser that says what it was asked."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from heaptide import build
from heaptide._errors import InputError, UsageError
from heaptide.build import load
from heaptide.capture import format as fmt
from heaptide.model import Series
from heaptide.symbolize import Module, SourceFrame
from tests.builders.capture import CaptureBuilder, Counter, Phdr


class Names:
    """Names an address after itself; addresses that end in 7 are an inlined call in another."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def resolve(self, module: Module, vaddrs: Sequence[int]) -> list[tuple[SourceFrame, ...]]:
        self.module = module
        self.asked += [(module.path, vaddr) for vaddr in vaddrs]
        return [self._one(vaddr) for vaddr in vaddrs]

    def _one(self, vaddr: int) -> tuple[SourceFrame, ...]:
        outer = SourceFrame(f"f{vaddr:x}", "f.c", vaddr % 1000)
        if vaddr % 16 == 7:
            return (SourceFrame(f"in{vaddr:x}", "i.h", 5, inlined=True), outer)
        return (SourceFrame(None, unresolved="stripped"),) if vaddr % 16 == 9 else (outer,)


@pytest.fixture
def opened(tmp_path):
    def open_it(capture: CaptureBuilder, names: Names | None = None) -> Series:
        path = tmp_path / "x.tide"
        path.write_bytes(capture.data())
        return load(path, symbolizer=names or Names())

    return open_it


def program(mode: str = "exact") -> CaptureBuilder:
    capture = CaptureBuilder(mode).process(exe="/bin/prog", argv=("prog", "-v"))
    capture.module(1, 0x400000, 0x500000, bias=0x400000, path="", flags=fmt.MODULE_MAIN, phdrs=[Phdr()])
    return capture.module(2, 0x700000, 0x710000, bias=0x700000, path="/x/libheaptide.so", flags=fmt.MODULE_AGENT)


def shown(series: Series, moment: str = "exit") -> dict[int, list[str]]:
    """Stack id -> its frames, leaf first."""
    profile = series.at(moment)
    profile.check()
    assert profile.ids is not None
    return {
        stack_id: [frame.function or f"? {frame.unresolved}" for frame in profile.frames_of(row)]
        for row, stack_id in enumerate(profile.ids.tolist())
    }


def test_frames_with_inlined_calls_and_without_the_agent(opened):
    capture = program().stacks([(16, [0x700101, 0x401008, 0x402001]), (17, [0x40100A, 0x402001])])
    capture.snapshot("exit", {16: Counter(10, 1), 17: Counter(5, 1)}).end()
    names = Names()
    series = opened(capture, names)
    assert shown(series) == {16: ["in1007", "f1007", "f2000"], 17: ["? stripped", "f2000"]}
    inner, outer, root = series.at("exit").frames_of(0)
    assert inner.inlined and not outer.inlined and inner.address == outer.address == 0x1007
    assert (root.module, root.file, root.role) == ("/bin/prog", "f.c", "user")
    assert names.module.path == "/bin/prog" and len(names.module.phdrs) == 1 and names.module.build_id == b"\xab" * 20


def test_opening_asks_for_no_name_and_each_place_is_asked_once(opened):
    capture = program().stacks([(16, [0x401001, 0x402001]), (17, [0x401002, 0x402001]), (18, [0x401003])])
    capture.snapshot("time", {16: Counter(10, 1)}).snapshot("exit", {17: Counter(5, 1)}).end()
    names = Names()
    series = opened(capture, names)
    assert names.asked == []
    series.at("#1")
    assert sorted(names.asked) == [("/bin/prog", 0x1000), ("/bin/prog", 0x2000)]
    series.at("exit")
    series.at("#1")
    assert len(names.asked) == len(set(names.asked)) == 3  # 0x1002 belongs to a stack that nothing was counted for
    assert series.at("exit") is series.at(2)


def test_what_has_no_stack_says_why(opened):
    capture = program().stacks([(16, [0x999999]), (17, []), (18, [0x401001], fmt.STACK_TRUNCATED)])
    counters = {stack_id: Counter(1, 1) for stack_id in (1, 2, 3, 4, 5, 9, 16, 17, 18, 40)}
    series = opened(capture.snapshot("exit", counters).end())
    frames = shown(series)
    assert "log was full" in frames[1][0] and "signal handler" in frames[2][0] and "special id 9" in frames[9][0]
    assert frames[16] == ["? no module is mapped there"] and series.at("exit").frames_of(6)[0].address == 0x999998
    assert frames[17] == ["? the stack is empty"]
    assert frames[18][0] == "f1000" and "deeper" in frames[18][1]
    assert frames[40] == ["? the record of this stack was lost"]
    assert series.at("exit").total("inuse_space") == 10
    assert series.damaged and any("1 stacks are missing" in warning for warning in series.warnings)


def test_exact_values(opened):
    capture = program().stacks([(16, [0x401001])])
    capture.snapshot("time", {16: Counter(100, 4, 60, 1)}).snapshot("exit", {16: Counter(2**40, 5, 2**40, 5)}).end()
    series = opened(capture)
    first, last = series.at("start"), series.at("exit")
    assert [first.total(v) for v in ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")] == [4, 100, 3, 40]
    assert last.total("inuse_space") == 0 and last.total("alloc_space") == 2**40
    assert not first.variance and first.values["inuse_objects"].dtype == "int64"
    assert (last - first).total("inuse_space") == -40


def test_sampled_values(opened):
    capture = program("sampled").stacks([(16, [0x401001])])
    wrapped = Counter(3000, 3 * 65536 + 32768, 1000, 65536, 9.0, 5.0, 3, 2**32 - 2)
    series = opened(capture.snapshot("exit", {16: wrapped}).end())
    profile = series.at("exit")
    profile.check()
    assert profile.values["alloc_objects"].tolist() == [3.5] and profile.total("inuse_objects") == 2.5
    assert profile.variance["inuse_space"].tolist() == [4.0] and profile.variance["alloc_space"].tolist() == [9.0]
    assert profile.samples["inuse_space"].tolist() == [5]  # the counts wrap, their difference does not
    assert profile.error("inuse_space") == pytest.approx(3.92)


def test_variance_is_never_below_zero(opened):
    capture = program("sampled").stacks([(16, [0x401001])])
    series = opened(capture.snapshot("exit", {16: Counter(1, 1, 1, 1, 0.1 + 0.2, 0.3000000000000001)}).end())
    assert series.at("exit").error("inuse_space") == 0


def test_snapshots_carry_times_totals_figures_and_remarks(opened):
    capture = program().stacks([(16, [0x401001])])
    capture.snapshot("start", {}, at_s=0.5).memory({102: 4096, 212: 3, 998: 1})
    capture.snapshot("time", {16: Counter(100, 1)}, at_s=2.0, flags=fmt.SNAPSHOT_LATE | fmt.SNAPSHOT_GAP)
    capture.snapshot("exit", {16: Counter(100, 1, 100, 1)}, at_s=3.0, flags=fmt.SNAPSHOT_KILLED).end()
    series = opened(capture)
    assert [snapshot.offset_s for snapshot in series.snapshots] == [0.5, 2.0, 3.0] and series.duration_s == 3.0
    assert [snapshot.in_use_bytes for snapshot in series.snapshots] == [0, 100, 0]
    assert series.snapshots[0].memory == {"statm_resident": 4096, "threads": 3, "figure_998": 1}
    assert [snapshot.remarks for snapshot in series.snapshots] == [(), ("late", "gap"), ("killed",)]
    assert series.command == ("prog", "-v") and series.pid == 4711 and series.complete and not series.live
    assert [warning.split(":")[0] for warning in series.warnings] == [
        "1 of 3 snapshots waited for a thread that did not run",
        "the program ended inside operations",
    ]
    with pytest.raises(UsageError):
        series.at(9)
    with pytest.raises(UsageError):
        series.at(replace(series.snapshots[0], in_use_bytes=1))


def test_a_sound_capture_has_no_warning(opened):
    capture = program().stacks([(16, [0x401001])]).snapshot("exit", {16: Counter(1, 1)})
    series = opened(capture.agent(losses={"unknown_free": 9, "unwind_guess": 3}).note(1, "hello").end())
    assert series.warnings == [] and not series.damaged


def test_losses_and_notes_are_warnings(opened):
    capture = program().snapshot("exit", {3: Counter(1, 1)}).agent(losses={"sample_table_full": 7, "nested": 2})
    series = opened(capture.note(2, "the disk was full").end())
    assert any(warning.startswith("7 samples were dropped") for warning in series.warnings)
    assert any(warning.startswith("2 allocations in signal handlers") for warning in series.warnings)
    assert "the disk was full" in series.warnings and not series.damaged


def test_a_recording_that_was_cut_short(opened):
    series = opened(program().snapshot("time", {3: Counter(5, 1)}))
    assert "cut short" in series.warnings[0] and "#1" in series.warnings[0] and not series.complete
    assert series.at("exit").total("inuse_space") == 5


def test_an_end_without_exit_snapshot(opened):
    assert "no snapshot of the program's end" in opened(program().snapshot("time", {}).end()).warnings[0]
    assert opened(program().snapshot("time", {}).end(fmt.END_RECORDER)).warnings == []


def test_missing_snapshots(opened):
    hole = program().snapshot("time", {}, number=1).snapshot("exit", {}, number=4).end()
    series = opened(hole)
    assert "snapshot #2 to #3 is missing" in series.warnings[0] and series.damaged
    assert series.snapshots[1].remarks == ("damaged",)
    known = program().snapshot("time", {}, number=1).snapshot("exit", {}, number=4, flags=fmt.SNAPSHOT_GAP).end()
    assert opened(known).warnings == []
    tail = program().snapshot("exit", {}, number=1).memory({102: 1}, snapshot=3).end()
    assert "up to #3 were taken" in opened(tail).warnings[0]


def test_snapshots_out_of_order_or_of_the_other_mode_are_left_out(opened):
    capture = program().snapshot("time", {3: Counter(5, 1)}).snapshot("time", {3: Counter(1, 1)}, number=1)
    capture.mode = "sampled"
    capture.snapshot("exit", {3: Counter(9, 1)}, number=2).end()
    series = opened(capture)
    assert [snapshot.in_use_bytes for snapshot in series.snapshots] == [5] and series.damaged
    assert sum("left out" in warning for warning in series.warnings) == 2


def test_without_its_process_record(opened):
    capture = CaptureBuilder("sampled").snapshot("time", {3: Counter(5, 65536)}, at_s=7.0).end()
    series = opened(capture)
    assert series.mode == "sampled" and "PROCESS record is missing" in series.warnings[0]
    assert series.snapshots[0].offset_s == 0.0 and series.pid is None


def test_impossible_counters_show_nothing_in_use(opened):
    capture = program().stacks([(16, [0x401001])]).snapshot("exit", {16: Counter(10, 1, 30, 3)}).end()
    series = opened(capture)
    profile = series.at("exit")
    profile.check()
    assert profile.total("inuse_space") == 0 == series.snapshots[0].in_use_bytes
    assert "freed more than they allocated" in series.warnings[0]


def test_two_captures_do_not_share_ids(opened, tmp_path):
    one = opened(program().stacks([(16, [0x401001])]).snapshot("exit", {16: Counter(10, 1)}).end()).at("exit")
    two = opened(program().stacks([(16, [0x402001])]).snapshot("exit", {16: Counter(10, 1)}).end()).at("exit")
    assert len(two - one) == 2 and (two - one).ids is None


@pytest.mark.parametrize("what", ["missing", "directory", "fifo", "device", "empty", "text"])
def test_what_is_no_capture(what, tmp_path):
    path = {"directory": tmp_path, "device": Path("/dev/zero")}.get(what, tmp_path / "x")
    if what == "fifo":
        os.mkfifo(path)
    elif what in ("empty", "text"):
        path.write_bytes(b"hello, world\n" if what == "text" else b"")
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(path) in str(caught.value) and (caught.value.offset == 0) == (what in ("empty", "text"))


def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(program().data())
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(InputError, match="Permission denied"):
        load(path)


def test_while_it_is_written(tmp_path):
    """At every byte of the writing: what was finished is there, nothing is called damage, and `live` says how it is."""
    capture = program().stacks([(16, [0x401001])])
    capture.snapshot("time", {16: Counter(10, 1)}).snapshot("time", {16: Counter(25, 2)}).snapshot("exit", {}).end()
    data, borders = capture.data(), capture.offsets()
    path = tmp_path / "x.tide"
    with path.open("wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(data[: borders[0]])
        for place in range(borders[0], len(data)):
            series = load(path, symbolizer=Names())
            assert series.live and not series.damaged and series.warnings == []
            if series.snapshots:
                assert series.at("end").total("inuse_space") == (0, 10, 25, 25)[len(series.snapshots)]
            file.write(data[place : place + 1])
        done = load(path, symbolizer=Names())
        assert done.complete and not done.live  # its last record is there, the lock is about to go
    assert load(path, symbolizer=Names()).warnings == []


def test_a_file_that_was_replaced_while_it_was_opened_is_opened_again(tmp_path, monkeypatch):
    """As the recorder does to keep to its budget: the old file is unlinked, and its lock is gone with its writer's."""
    path, shorter = tmp_path / "x.tide", tmp_path / "shorter"
    path.write_bytes(CaptureBuilder().process().snapshot("start", {}).data())
    shorter.write_bytes(CaptureBuilder().process().snapshot("start", {}).snapshot("time", {}).data())
    writer = shorter.open("rb")
    fcntl.flock(writer, fcntl.LOCK_EX)
    really_locked = build._is_locked

    def replace_first(descriptor):
        if shorter.exists():
            shorter.rename(path)
        return really_locked(descriptor)

    monkeypatch.setattr(build, "_is_locked", replace_first)
    with writer:
        series = load(path)
    assert series.live and len(series.snapshots) == 2
