# SPDX-License-Identifier: Apache-2.0
"""Memory over time: what is drawn, where its ticks stand, and that the picture says it in words too."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

import heaptide
from heaptide._errors import NothingToShow, UsageError
from heaptide.analysis.over_time import MOMENTS, over_time
from heaptide.capture import format as fmt
from heaptide.cli.guard import status_of
from heaptide.cli.main import cli
from heaptide.render import palette
from heaptide.render.axes import size_label, size_ticks, time_ticks
from heaptide.render.timeline import FORMATS, picture
from tests.builders.capture import CaptureBuilder, Counter
from tests.unit.test_gperftools import FILE

SVG = "{http://www.w3.org/2000/svg}"
KEYS = {name: key for key, name in fmt.FIGURES.items()}
MIB = 1 << 20


def a_capture(path: Path, *, snapshots: int = 30, readings: bool = True, steps: Sequence[int] = ()) -> Path:
    """One site that leaks 1 MiB a second and one that holds 4 MiB; then an ordinary shutdown frees the latter.

    ``steps``: snapshots from which on a third site holds 50 MiB more.
    """
    capture = CaptureBuilder().process(exe="/bin/prog").module(1, 0x400000, 0x500000, flags=1)
    capture.stacks([(16, [0x401111]), (17, [0x402222]), (18, [0x403333])])
    steady = Counter(alloc_bytes=4 * MIB, alloc_objects=1)
    for number in range(1, snapshots + 1):
        leak = Counter(alloc_bytes=number * MIB, alloc_objects=number)
        stepped = 50 * MIB * sum(step <= number for step in steps)
        capture.snapshot("time", {16: leak, 17: steady} | ({18: Counter(stepped, 1)} if stepped else {}))
        if readings:
            heap = (number + 5) * MIB
            capture.memory({KEYS["part_heap"]: heap, KEYS["part_code"]: MIB, KEYS["part_rss"]: heap + MIB})
        else:
            capture.memory({KEYS["statm_resident"]: (number + 7) * MIB})
    last = Counter(alloc_bytes=snapshots * MIB, alloc_objects=snapshots)
    capture.snapshot("shutdown", {16: last, 17: steady})
    freed = Counter(alloc_bytes=4 * MIB, alloc_objects=1, free_bytes=4 * MIB, free_objects=1)
    capture.snapshot("exit", {16: last, 17: freed}).end()
    path.write_bytes(capture.data())
    return path


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return a_capture(tmp_path / "prog.1.tide")


def test_layers_are_the_ledgers_parts(capture: Path) -> None:
    found = over_time(heaptide.open(capture))
    held = {layer.part: layer.bytes.tolist() for layer in found.layers}
    assert held["in_use"] == [(number + 4) * MIB for number in range(1, 31)]
    assert held["allocator_free"] == held["code"] == [MIB] * 30
    assert found.resident is not None and found.resident.bytes.tolist() == [(n + 6) * MIB for n in range(1, 31)]
    assert found.in_use.bytes.tolist() == [*((n + 4) * MIB for n in range(1, 31)), 34 * MIB, 30 * MIB]
    assert (found.shutdown_s, found.growth.verdict) == (31.0, "leak")


def test_layers_are_sites_when_asked(capture: Path) -> None:
    found = over_time(heaptide.open(capture), by_site=True)
    assert len(found.t_s) == 32
    first, second, rest = found.layers
    assert first.bytes.tolist() == [*(n * MIB for n in range(1, 31)), 30 * MIB, 30 * MIB]
    assert second.bytes.tolist() == [4 * MIB] * 31 + [0]
    assert rest.place is None and not rest.bytes.any()


@pytest.mark.parametrize("by_site", [False, True])
def test_a_stretch_of_it(capture: Path, by_site: bool) -> None:
    found = over_time(heaptide.open(capture), by_site=by_site, start="5s", end="#12")
    assert (found.t_s[0], found.t_s[-1]) == (5.0, 12.0)
    assert found.in_use.t_s.tolist() == list(range(5, 13)) and found.shutdown_s is None
    assert all(len(layer.bytes) == 8 for layer in found.layers)


def test_long_recordings_are_thinned(tmp_path: Path) -> None:
    series = heaptide.open(a_capture(tmp_path / "x.tide", snapshots=3 * MOMENTS))
    found = over_time(series)
    assert MOMENTS / 2 < len(found.t_s) <= MOMENTS + 1
    assert found.in_use.t_s[-1] == 3 * MOMENTS + 2, "the last moment is always there"


def test_without_readings_of_pages(tmp_path: Path) -> None:
    series = heaptide.open(a_capture(tmp_path / "x.tide", readings=False))
    found = over_time(series)
    assert found.layers == () and found.resident is not None and found.resident.bytes[0] == 8 * MIB
    assert "No reading of the process" in picture(found, "svg").decode()


def test_what_cannot_be_drawn(capture: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="5s is not after 10s"):
        over_time(heaptide.open(capture), start="10s", end="5s")
    heap = tmp_path / "x.heap"
    heap.write_bytes(FILE)
    with pytest.raises(NothingToShow, match="holds one moment"):
        over_time(heaptide.open(heap))


def a_massif_file(path: Path, unit: str = "ms") -> Path:
    """Sixteen moments of one function that holds more and more, in massif's format, which tells bytes and no blocks."""
    text = f"desc: \ncmd: ./prog\ntime_unit: {unit}\n"
    for number in range(16):
        size = 1000 * (number + 1)
        text += f"#-----------\nsnapshot={number}\n#-----------\ntime={number * 250}\nmem_heap_B={size}\n"
        text += "mem_heap_extra_B=0\nmem_stacks_B=0\nheap_tree=detailed\n"
        text += f"n1: {size} (heap allocation functions) malloc/new/new[], --alloc-fns, etc.\n"
        text += f" n0: {size} 0x401136: work (prog.c:7)\n"
    path.write_text(text)
    return path


@pytest.mark.parametrize("by_site", [False, True])
def test_another_profilers_moments_are_drawn_and_not_judged(tmp_path: Path, by_site: bool) -> None:
    found = over_time(heaptide.open(a_massif_file(tmp_path / "massif.out.1")), by_site=by_site)
    assert found.in_use.bytes.tolist() == [1000 * (number + 1) for number in range(16)]
    assert (found.growth.verdict, found.growth.detectable) == ("too-short", None)
    shown = texts(picture(found, "svg"))
    assert "growth is not judged" in shown and ("work" in shown) == by_site


def test_moments_without_times(tmp_path: Path) -> None:
    with pytest.raises(NothingToShow, match="does not say when"):
        over_time(heaptide.open(a_massif_file(tmp_path / "massif.out.1", unit="i")))


@pytest.mark.parametrize("verb", [["report"], ["flame"]])
def test_pages_of_files_that_tell_bytes_alone(tmp_path: Path, verb: list[str]) -> None:
    file = a_massif_file(tmp_path / "massif.out.1")
    assert status_of(cli, "heaptide", [*verb, str(file), "-o", str(tmp_path / "x.html")]) == 0
    assert b"held at the end: 15.6 KiB; most of it, 15.6 KiB (100 %), at work" in (tmp_path / "x.html").read_bytes()


def texts(drawn: bytes) -> str:
    return "\n".join("".join(text.itertext()) for text in ElementTree.fromstring(drawn).iter(f"{SVG}text"))


@pytest.mark.parametrize("by_site", [False, True])
def test_the_picture_says_it_in_words_too(capture: Path, by_site: bool) -> None:
    found = over_time(heaptide.open(capture), by_site=by_site)
    drawn = picture(found, "svg")
    assert drawn == picture(found, "svg"), "the same every time"
    shown = texts(drawn)
    assert "leak: " in shown and "shutdown" in shown and "30 MiB" in shown and "at +00:31.0" in shown
    root = ElementTree.fromstring(drawn)
    described = next(root.iter(f"{SVG}desc")).text or ""
    assert "in use 34.0 MiB" in described and ("blocks in use 34.0 MiB" in described) != by_site
    assert not list(root.iter(f"{SVG}script")) and b"http://www.w3.org/Graphics" not in drawn


def test_steps_are_marked_and_close_ones_stand_in_two_rows(tmp_path: Path) -> None:
    found = over_time(heaptide.open(a_capture(tmp_path / "x.tide", snapshots=60, steps=[40, 43])))
    assert [(step.t_s, step.bytes) for step in found.steps] == [(40, 50 * MIB), (43, 50 * MIB)]
    labels = {
        text.get("y") or text.get("transform")
        for text in ElementTree.fromstring(picture(found, "svg")).iter(f"{SVG}text")
        if text.text == "step +50.0 MiB"
    }
    assert len(labels) == 2


def test_every_colour_has_one_for_the_dark(capture: Path) -> None:
    drawn = picture(over_time(heaptide.open(capture)), "svg").decode()
    head, body = drawn.split("</style>", 1)
    dark = set(re.findall(r'style\*="\w+: (#\w{6})"', head))
    assert set(re.findall(r"(?:fill|stroke): (#\w{6})", body)) <= dark
    assert palette.PAPER.light in dark


@pytest.mark.parametrize(("form", "mark"), [("png", b"\x89PNG\r\n\x1a\n"), ("pdf", b"%PDF-"), ("svg", b"<?xml")])
def test_every_format(capture: Path, tmp_path: Path, form: str, mark: bytes) -> None:
    output = tmp_path / f"x.{form}"
    assert status_of(cli, "heaptide", ["timeline", str(capture), "-o", str(output)]) == 0
    assert output.read_bytes().startswith(mark) and form in FORMATS


def test_without_matplotlib(capture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert status_of(cli, "heaptide", ["timeline", str(capture), "-o", str(capture.parent / "x.svg")]) == 4
    assert "pip install 'heaptide[pictures]'" in capsys.readouterr().err


def test_matplotlib_is_not_heard(capture: Path, tmp_path: Path) -> None:
    """Where it can write no cache of fonts it would say so."""
    run = subprocess.run(
        [sys.executable, "-m", "heaptide", "timeline", str(capture), "-o", str(tmp_path / "x.svg")],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "HOME": "/nonexistent",
            "MPLCONFIGDIR": "/proc/nonexistent",
            "XDG_CACHE_HOME": str(tmp_path),
        },
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "")
    assert "atplotlib" not in run.stderr and "font" not in run.stderr


def test_a_picture_of_another_kind(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(cli, "heaptide", ["timeline", str(capture), "-o", "x.svgz"]) == 2
    assert "did you mean 'svg'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("largest", "labels"),
    [
        (0, ["0 B", "1 B"]),
        (5, ["0 B", "1 B", "2 B", "3 B", "4 B", "5 B"]),
        (700, ["0 B", "128 B", "256 B", "384 B", "512 B", "640 B", "768 B"]),
        (28.9 * MIB, ["0 B", "5 MiB", "10 MiB", "15 MiB", "20 MiB", "25 MiB", "30 MiB"]),
        (1.3 * 2**30, ["0 B", "256 MiB", "512 MiB", "768 MiB", "1 GiB", "1.25 GiB", "1.5 GiB"]),
        (600 * 2**40, ["0 B", "128 TiB", "256 TiB", "384 TiB", "512 TiB", "640 TiB"]),
    ],
)
def test_ticks_of_sizes(largest: float, labels: list[str]) -> None:
    assert [size_label(tick) for tick in size_ticks(largest)] == labels


STARTED = datetime(2026, 11, 23, 3, 19, 6, 100_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "last", "labels"),
    [
        (0, 0.7, ["03:19:06.1\n+00:00.0", "03:19:06.2\n+00:00.1"]),
        (0, 6, ["03:19:07\n+00:00.9", "03:19:08\n+00:01.9"]),
        (30, 3900, ["03:20\n+00:53.9", "03:30\n+10:53.9"]),
        (0, 86400, ["06:00\n+02:40:53", "09:00\n+05:40:53"]),
        (86400 * 0.7, 86400 * 1.2, ["22:00\n+18:40:53", "2026-11-24\n+20:40:53"]),
        (0, 86400 * 30, ["2026-11-28\n+116:40:53", "2026-12-03\n+236:40:53"]),
    ],
)
def test_ticks_of_times(first: float, last: float, labels: list[str]) -> None:
    ticks = time_ticks(STARTED, first, last)
    assert [words for _, words in ticks][: len(labels)] == labels
    assert 2 <= len(ticks) <= 9 and all(first <= offset <= last + 1e-6 for offset, _ in ticks)
