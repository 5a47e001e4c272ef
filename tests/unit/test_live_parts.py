# SPDX-License-Identifier: Apache-2.0
"""What `heaptide live` is made of beside the view: names in the background, exports, the terminal, texts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from rich.cells import cell_len

from heaptide._errors import UsageError
from heaptide.analysis.marks import Span, mark_of
from heaptide.analysis.spots import Question
from heaptide.analysis.watch import look
from heaptide.capture import format as fmt
from heaptide.cli import recorders
from heaptide.cli.exporting import Files
from heaptide.cli.naming import UNNAMED, BackgroundNames
from heaptide.model import Frame
from heaptide.render import pace, units
from heaptide.symbolize import Module, SourceFrame
from heaptide.tui import words
from heaptide.tui.plain import to_ascii
from tests.builders.live import MIB, Names, read, recording

MODULE = Module("/bin/prog", b"", ())


class Gated(Names):
    """Names nothing before the gate opens."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def resolve(self, module: Module, vaddrs: Sequence[int]) -> list[tuple[SourceFrame, ...]]:
        assert self.gate.wait(60)
        return super().resolve(module, vaddrs)


def test_names_that_take_long_are_not_waited_for() -> None:
    slow = Gated()
    names = BackgroundNames(slow, patience_s=0.01)
    names.begin()
    assert names.resolve(MODULE, [0x1000, 0x2000]) == [UNNAMED, UNNAMED]
    assert names.owing and names.unnamed == 2
    slow.gate.set()
    settled(names)
    assert names.owing, "that reading has answers without a name"
    names.begin()
    assert [frames[0].function for frames in names.resolve(MODULE, [0x1000, 0x2000])] == ["leaks", "keeps"]
    assert not names.owing


def settled(names: BackgroundNames) -> None:
    """Waits until nothing is looked up any more."""
    deadline = time.monotonic() + 60
    while names.unnamed:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_names_that_are_quick_are_there_at_once() -> None:
    names = BackgroundNames(Names(), patience_s=60.0)
    names.begin()
    assert [frames[0].function for frames in names.resolve(MODULE, [0x6000])] == ["main"] and not names.owing


@pytest.mark.parametrize("marked", [False, True])
def test_exports(tmp_path: Path, marked: bool) -> None:
    path = tmp_path / "prog.tide"
    mark = mark_of(look(read(recording(path, 10))))
    watch = look(read(recording(path, 20)))
    question = Question(span=Span(mark) if marked else Span(), pattern=re.compile("leaks|churns"))
    files = Files(tmp_path)
    document = json.loads(Path(files.write("json", watch, question)).read_text())
    grown = 30 if marked else 60
    assert {row["function"]: row["flat"] for row in document["rows"]}["leaks"] == grown * MIB
    assert "keeps" not in str(document)
    text = Path(files.write("text", watch, question)).read_text()
    assert "only sites that match leaks|churns" in text and ("less what there was at #10" in text) == marked
    folded = Path(files.write("collapsed", watch, question)).read_text().splitlines()
    assert f"main;left;leaks {grown * 2 // 3 * MIB}" in folded
    names = {files.write("json", watch, question) for _ in range(3)}
    assert len(names) == 3, "no file is written over"


def test_an_export_that_cannot_be_written(tmp_path: Path) -> None:
    watch = look(read(recording(tmp_path / "prog.tide", 6)))
    with pytest.raises(UsageError, match="cannot be written"):
        Files(tmp_path / "nowhere").write("text", watch, Question())


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, True),
        ({"LANG": "C"}, True),
        ({"LANG": "C.UTF-8"}, False),
        ({"LANG": "de_DE.ISO-8859-1"}, True),
        ({"LANG": "C", "LC_CTYPE": "en_US.utf8"}, False),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "POSIX"}, True),
    ],
    ids=str,
)
def test_ascii_where_the_locale_asks_for_it(environment: Mapping[str, str], expected: bool) -> None:
    """In a process of its own: Python changes the environment that it was started in."""
    assert asked("is_ascii", environment) is expected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, True),
        ({"TERM": "vt100"}, False),
        ({"TERM": "nobody-described-this"}, True),
    ],
    ids=str,
)
def test_colours_where_there_are_some(environment: Mapping[str, str], expected: bool) -> None:
    assert asked("has_colours", environment) is expected


def asked(question: str, environment: Mapping[str, str]) -> bool:
    kept = {name: value for name, value in os.environ.items() if not re.match("LC_|LANG|TERM|NO_COLOR", name)}
    code = f"from heaptide.cli import terminals; print(terminals.{question}())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True, check=True
    )
    return done.stdout == "True\n"


def test_the_name_of_a_file_that_had_none_when_it_was_opened(tmp_path: Path) -> None:
    """What becomes of a capture within its budget: written anew without a name, then given the old one's."""
    try:
        descriptor = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR)
    except OSError:
        pytest.skip("this file system has no files without a name")
    try:
        (tmp_path / "other").touch()
        os.link(
            f"/proc/self/fd/{descriptor}", tmp_path / "x.tide", src_dir_fd=descriptor
        )  # else Python does not follow
        assert recorders._name_of(Path(f"/proc/self/fd/{descriptor}")) == tmp_path / "x.tide"
        os.unlink(tmp_path / "x.tide")
        assert recorders._name_of(Path(f"/proc/self/fd/{descriptor}")) is None
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("data", [b"", b"anything else", fmt.MAGIC, fmt.MAGIC + b"MORE OF WHAT IS NO CAPTURE" * 9])
def test_an_open_file_that_is_no_capture(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.tide"
    path.write_bytes(data)
    assert recorders._process(path) is None
    found = recorders._process(recording(path, 3))
    assert found is not None and found.pid == 4711
    assert recorders._process(tmp_path) is None


def test_no_signal_to_a_process_that_is_no_recorder() -> None:
    assert not recorders.take_snapshot(os.getpid())  # SIGUSR1 would end this process
    assert not recorders.take_snapshot(2**22 + 1)


A_FRAME = Frame("a_function_with_a_long_name", "/src/file.c", 123, "/bin/prog", None)


@pytest.mark.parametrize("width", [6, 12, 20, 30, 60])
def test_a_place_fits_its_column(width: int) -> None:
    text = words.place(A_FRAME, width, before="▸ ").plain
    assert cell_len(text) <= width
    assert ("file.c:123" in text) == (width >= 30) and ("long_name" in text) == (width == 60)


def test_a_place_without_a_name_is_its_address_first() -> None:
    frame = Frame(None, None, None, "/lib/libx.so", 0x1234, unresolved="stripped: no symbol covers 0x1234")  # type: ignore[arg-type]
    assert words.place(frame, 24).plain == "libx.so+0x1234 (strippe…"
    assert words.place(None, 40).plain == "? (no stack was recorded)"


def test_names_are_cut_and_shown_as_they_are() -> None:
    assert words.clip("中文中文", 5) == "中文…" and words.clip("abc", 0) == ""
    assert len(words.shortened("x" * 100_000)) < 2100 and "98,000 characters left out" in words.shortened("x" * 100_000)
    assert words.shortened("a\udcffb") == "a\ufffdb"


def test_ascii_is_as_wide() -> None:
    text = "▸ 中文 ▁▂█ … é"
    assert to_ascii(text) == "> ???? _.# ~ ?" and cell_len(to_ascii(text)) == cell_len(text)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (12.9 * 2**30, 14.06 * 2**30, "12.9..14.1 GiB"),
        (-3.0, 8.4, "-3..8 B"),
        (-0.001 * 2**20, 2**20, "0.00..1.00 MiB"),
        (0, 0, "0..0 B"),
        (-900 * 1024, 1023.6 * 1024, "-0.88..1.00 MiB"),
    ],
)
def test_ranges(low: float, high: float, text: str) -> None:
    assert units.size_range(low, high) == text


def test_rate_ranges() -> None:
    assert pace.rate_range(2**20 / 3600, 2**21 / 3600) == "1.00..2.00 MiB/h"
    assert pace.rate_range(-100 / 3600, 200 / 3600) == "-2.34..4.69 KiB/day"
    assert pace.rate_range(0, 0) == "0..0 B/h"
