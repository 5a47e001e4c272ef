# SPDX-License-Identifier: Apache-2.0
"""What a server tells of files that grow, go, come back, are cut, damaged or replaced. The files are real captures."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import pytest

from heaptide.cli.rooted import RootedSources
from heaptide.cli.served import Files, TellingSymbolizer
from heaptide.model import Series
from heaptide.symbolize import Module
from heaptide.web.bell import Bell
from heaptide.web.opener import Tell
from heaptide.web.reader import PAUSE_S, REST, Reader
from heaptide.web.shelf import Capture, Shelf
from tests.builders.capture import CaptureBuilder, Counter


def capture_of(snapshots: int, *, pid: int = 4711, ended: bool = False) -> bytes:
    builder = CaptureBuilder(mode="exact")
    builder.process(exe="/bin/prog", argv=["prog", "x"], pid=pid)
    builder.stacks([(16, [0x401111, 0x402222])])
    for number in range(1, snapshots + 1):
        builder.snapshot("time", {16: Counter(alloc_bytes=100 * number, alloc_objects=number)})
    return (builder.end() if ended else builder).data()


class World:
    """One file, its place on the shelf, and a reader whose time passes when told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "prog.4711.tide"
        self.now = 0.0
        self.news = 0
        self.cost = 0.0
        shelf = Shelf([str(self.path)], self._changed)
        self.capture: Capture = shelf.captures[0]
        opener = Files((), RootedSources([str(folder)]))
        self.reader = Reader(shelf, opener, self._draw, clock=lambda: self.now)

    def _changed(self) -> None:
        self.news += 1

    def _draw(self, series: Series, tell: Tell) -> bytes:
        self.now += self.cost
        return b"%d snapshots" % len(series.snapshots)

    def look(self, after_s: float = 100.0) -> None:
        self.now += after_s
        self.reader.look()

    def replace(self, data: bytes) -> None:
        """Another file in its place, as a recorder or a restarted program puts it there."""
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(data)
        fresh.rename(self.path)

    @property
    def told(self) -> tuple[str, int, str]:
        entry = self.capture.entry
        return entry.state, entry.version, entry.message

    @property
    def document(self) -> bytes:
        assert self.capture.shown is not None
        return self.capture.shown.document


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_it_is_read_again_only_when_it_changed(world: World) -> None:
    assert world.told == ("loading", 0, "waiting to be read")
    world.replace(capture_of(2))
    world.look()
    assert world.told == ("ready", 1, "") and world.document == b"2 snapshots"
    assert world.capture.entry.title == "prog" and world.capture.entry.name == "prog.4711.tide"
    news = world.news
    world.look()
    assert world.told == ("ready", 1, "") and world.news == news, "nothing new, nobody is told"
    with world.path.open("ab") as file:
        file.write(capture_of(3)[len(capture_of(2)) :])
    world.look()
    assert world.told == ("ready", 2, "") and world.document == b"3 snapshots"


def test_it_rests_in_proportion_to_what_reading_costs(world: World) -> None:
    world.cost = 3.0
    world.replace(capture_of(1))
    world.look()
    world.replace(capture_of(2))
    world.look(after_s=3.0 * REST - 0.1)
    assert world.document == b"1 snapshots"
    world.cost = 0.0
    world.look(after_s=0.2)
    assert world.document == b"2 snapshots"
    world.replace(capture_of(3))
    world.look(after_s=PAUSE_S - 0.1)
    assert world.document == b"2 snapshots"
    world.look(after_s=0.2)
    assert world.document == b"3 snapshots"


def test_a_file_that_is_not_there_yet_and_one_that_goes(world: World) -> None:
    world.look()
    assert world.capture.entry.state == "failed" and "is not there" in world.capture.entry.message
    world.replace(capture_of(2))
    world.look()
    assert world.told == ("ready", 1, "")
    world.path.unlink()
    world.look()
    state, version, message = world.told
    assert (state, version) == ("ready", 1) and "is not there" in message and "read last" in message
    assert world.document == b"2 snapshots", "what was read stays"
    world.replace(capture_of(2))
    world.look()
    assert world.told == ("ready", 2, "")


def test_another_recording_in_its_place(world: World) -> None:
    world.replace(capture_of(5))
    world.look()
    world.replace(capture_of(5))  # the recorder writes its file anew to keep to its budget
    world.look()
    assert world.told == ("ready", 2, "")
    world.replace(capture_of(1, pid=4712))
    world.look()
    state, version, message = world.told
    assert (state, version) == ("ready", 3) and "another recording" in message
    assert world.document == b"1 snapshots"


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\0" * 5000, capture_of(3)[:40]])
def test_what_is_no_capture_is_said(world: World, data: bytes) -> None:
    world.replace(data)
    world.look()
    assert world.capture.entry.state == "failed" and world.capture.entry.message
    assert "Traceback" not in world.capture.entry.message
    world.replace(capture_of(2))
    world.look()
    assert world.told == ("ready", 1, "")
    world.replace(data)
    world.look()
    state, version, message = world.told
    assert (state, version) == ("ready", 1) and message and world.document == b"2 snapshots"


def test_a_capture_that_is_cut_short_is_shown_as_far_as_it_goes(world: World) -> None:
    whole = capture_of(4, ended=True)
    world.replace(whole)
    world.look()
    os.truncate(world.path, len(capture_of(3)) + 20)
    world.look()
    assert world.document == b"3 snapshots"
    assert world.capture.shown is not None and world.capture.shown.series.warnings


def test_an_error_of_our_own_ends_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def fails(series: Series, tell: Tell) -> bytes:
        raise ZeroDivisionError

    world.replace(capture_of(1))
    reader = Reader(Shelf([str(world.path)], lambda: None), Files((), RootedSources(["."])), fails)
    capture = reader._watched[0][0]
    reader.look()
    assert capture.entry.state == "failed" and "heaptide's own" in capture.entry.message
    assert "ZeroDivisionError" in caplog.text


def test_a_writer_that_dies_is_noticed_though_the_file_stays(world: World) -> None:
    world.replace(capture_of(2))
    with world.path.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        world.look()
        assert world.capture.entry.live
    world.look()
    assert not world.capture.entry.live and world.capture.entry.version == 2


def test_names_that_a_terminal_would_obey(tmp_path: Path) -> None:
    world = World(tmp_path)
    builder = CaptureBuilder(mode="exact").process(exe="/x", argv=["a\x1b[31m<script>\n"])
    world.replace(builder.stacks([(16, [1])]).snapshot("time", {16: Counter(alloc_bytes=1, alloc_objects=1)}).data())
    world.look()
    assert world.capture.entry.title == r"a\x1b[31m<script>\x0a"


def test_naming_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[float, str]] = []
    symbolizer = TellingSymbolizer(())
    symbolizer.tell = lambda progress, what: told.append((progress, what))
    symbolizer.expect(2000)
    module = Module(str(tmp_path / "none.so"), b"", ())
    frames = symbolizer.resolve(module, list(range(1500)))
    frames += symbolizer.resolve(module, list(range(500)))
    assert len(frames) == 2000 and all(frames)
    assert [round(progress, 3) for progress, _ in told] == [0.1, 0.225, 0.35, 0.475]
    assert told[0][1] == "naming 1,500 addresses of none.so"


def test_files_keep_their_numbers(tmp_path: Path) -> None:
    capture = World(tmp_path).capture
    assert capture.number_of(["b", "a"]) == [0, 1]
    assert capture.number_of(["c", "a", "b"]) == [2, 1, 0]
    assert [capture.file(number) for number in (0, 1, 2, 3, -1)] == ["b", "a", "c", None, None]


def test_no_ring_is_lost() -> None:
    async def story() -> None:
        bell = Bell()
        bell.ring()  # nobody can hear it yet, and nobody has to
        bell.attach(asyncio.get_running_loop())
        seen = bell.count
        assert not await bell.heard(seen, 0.0)
        bell.ring()
        assert await bell.heard(seen, 60.0), "rung before it was waited for"
        waiting = [asyncio.create_task(bell.heard(bell.count, 60.0)) for _ in range(3)]
        await asyncio.to_thread(bell.ring)
        assert await asyncio.gather(*waiting) == [True] * 3
        waiting = [asyncio.create_task(bell.heard(bell.count, 60.0)) for _ in range(3)]
        await asyncio.sleep(0)
        bell.close()
        assert await asyncio.gather(*waiting) == [True] * 3 and await bell.heard(bell.count, 60.0)

    asyncio.run(story())
