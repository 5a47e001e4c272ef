# SPDX-License-Identifier: Apache-2.0
"""`heaptide report` of real programs and of odd files: the numbers in the page are those that `top` prints."""

from __future__ import annotations

import base64
import fcntl
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import heaptide
from heaptide.cli.guard import status_of
from heaptide.cli.main import cli
from heaptide.model import VALUES
from tests.builders.capture import CaptureBuilder, Counter
from tests.builders.page_reader import Page, profile_of, top_table
from tests.programs.build import build

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = re.compile(rb'<script type="application/octet-stream" id="heaptide-document">([^<]*)</script>')
PATIENCE_S = 120


def heaptide_run(capture: Path, program: str, *options: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "heaptide", "run", *options, "-o", str(capture), "--", program]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, agent: Path, recorder: Path) -> dict[str, Path]:
    """A program that maps memory, keeps blocks and starts threads, in both modes; C++ containers, inlined."""
    folder = tmp_path_factory.mktemp("report")
    mapper = folder / "mapper"
    subprocess.run(["cc", "-O2", "-g", "-pthread", "-o", mapper, ROOT / "tools" / "sample_mapped.c"], check=True)
    runs = {
        "exact": heaptide_run(folder / "exact.tide", str(mapper), "--exact", "--every", "100ms"),
        "sampled": heaptide_run(folder / "sampled.tide", str(mapper), "--sample", "8KiB", "--every", "100ms"),
        "inlined": heaptide_run(folder / "inlined.tide", str(build("cxx_containers", "-O2")), "--exact"),
    }
    for name, process in runs.items():
        _, words = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, (name, words)
    return {name: folder / f"{name}.tide" for name in runs}


def page_of(path: Path) -> Page:
    (body,) = DOCUMENT.findall(path.read_bytes())
    return Page(base64.b64decode(body, validate=True))


def run(*words: str | Path) -> tuple[int, str]:
    """Exit status and what was said, the last part of it."""
    result: Result = CliRunner().invoke(cli, [*map(str, words)])
    if isinstance(result.exception, heaptide.HeaptideError):
        return result.exception.exit_code, f"{result.output}{result.exception.message}"
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def reported(capture: Path, out: Path, expected: int = 0) -> Page:
    status, said = run("report", capture, "-o", out)
    assert status == expected, said
    assert f"wrote {out}" in said
    return page_of(out)


@pytest.mark.parametrize("name", ["exact", "sampled", "inlined"])
def test_ranges_are_those_of_top(recorded: dict[str, Path], tmp_path: Path, name: str) -> None:
    series = heaptide.open(recorded[name])
    page = reported(recorded[name], tmp_path / "x.html")
    numbers = page.moments["number"]
    assert page.header["mode"] == series.mode and page.header["capture"] == str(recorded[name])
    assert series.mappings is not None
    kinds = {"heap": series, "mmap": series.mappings}
    assert [info["kind"] for info in page.header["datasets"]] == list(kinds)[: 1 if name == "inlined" else 2]
    middle = len(numbers) // 2
    for info in page.header["datasets"]:
        one = kinds[info["kind"]]
        for a, b in ((-1, page.moments["end"]), (-1, page.moments["peak"]), (0, middle), (middle, len(numbers) - 1)):
            profile = profile_of(one, None if a < 0 else numbers[a], numbers[b])
            for value in VALUES:
                for by in ("function", "line", "file", "module", "address"):
                    expected = top_table(profile, value, by)  # type: ignore[arg-type]
                    got = page.table(info["kind"], value, a, b, by)  # type: ignore[arg-type]
                    assert got.keys() == expected.keys()
                    for key, pair in got.items():
                        assert pair == pytest.approx(expected[key], rel=1e-12, abs=1e-6), (value, by, key)


def test_the_command_line_prints_the_same(recorded: dict[str, Path], tmp_path: Path) -> None:
    page = reported(recorded["exact"], tmp_path / "x.html")
    numbers = page.moments["number"]
    a, b = 2, len(numbers) - 2
    words = ["top", recorded["exact"], "--json", "--base", f"#{numbers[a]}", "--at", f"#{numbers[b]}"]
    printed = json.loads(CliRunner().invoke(cli, [*map(str, words)]).stdout)
    assert page.values("heap", "inuse_space", a, b).sum() == printed["total"] > 0
    table = {key[0]: pair for key, pair in page.table("heap", "inuse_space", a, b, "function").items()}
    assert {row["function"]: (row["flat"], row["cum"]) for row in printed["rows"]} == table


def test_verdict_and_ledger_are_told(recorded: dict[str, Path], tmp_path: Path) -> None:
    page = reported(recorded["exact"], tmp_path / "x.html")
    header = page.header
    printed = json.loads(CliRunner().invoke(cli, ["growth", str(recorded["exact"]), "--json"]).stdout)
    assert header["headline"]["verdict"] == printed["verdict"]
    assert [one["rank"] for one in header["suspects"]] == [one["rank"] for one in printed["suspects"]]
    assert [one["rate"] * 3600 for one in header["suspects"]] == [one["bytes_per_hour"] for one in printed["suspects"]]
    kept = next(one for one in header["suspects"] if one["site"]["function"] == "blocks_of_many_sizes")
    excerpt = header["sources"][kept["source"]["index"]]
    assert "malloc(size)" in excerpt["lines"][kept["source"]["line"] - excerpt["first_line"]]
    assert header["strings"][kept["places"][0]] == "blocks_of_many_sizes"
    ledger = header["ledger"]
    for column, resident in enumerate(ledger["rss"]):
        assert abs(sum(part["bytes"][column] for part in ledger["parts"]) - resident) <= len(ledger["parts"])
    text = " ".join((tmp_path / "x.html").read_text().split())
    assert "bytes in use at the end: " in text and "bytes that the program mapped itself at the end: " in text


# ---- Files of every kind ---------------------------------------------------------------------------------------------


def a_capture(path: Path, snapshots: int, *, end: bool = True) -> Path:
    capture = CaptureBuilder().process(exe="/bin/none").stacks([(16, [0x10, 0x20]), (17, [0x30])])
    for shot in range(1, snapshots + 1):
        capture.snapshot("time", {16: Counter(shot * 1000, shot), 17: Counter(500, 5)})
    path.write_bytes((capture.end() if end else capture).data())
    return path


@pytest.mark.parametrize(("snapshots", "verdict"), [(1, "too-short"), (2, "too-short"), (40, "leak")])
def test_short_recordings(tmp_path: Path, snapshots: int, verdict: str) -> None:
    page = reported(a_capture(tmp_path / "x.tide", snapshots), tmp_path / "x.html")
    assert page.header["headline"]["verdict"] == verdict
    assert page.values("heap", "inuse_space", -1, snapshots - 1).sum() == snapshots * 1000 + 500
    assert page.header["ledger"] is None and page.header["survivors"] is None


def test_a_recording_without_snapshots(tmp_path: Path) -> None:
    status, said = run("report", a_capture(tmp_path / "x.tide", 0), "-o", tmp_path / "x.html")
    assert status == 4 and "no snapshot" in said
    assert not (tmp_path / "x.html").exists()


def test_what_is_damaged_is_shown_as_far_as_it_can_be_read(tmp_path: Path) -> None:
    capture = a_capture(tmp_path / "x.tide", 20)
    data = bytearray(capture.read_bytes())
    data[len(data) // 2] ^= 0xFF
    capture.write_bytes(data)
    page = reported(capture, tmp_path / "x.html", expected=3)
    assert page.header["damaged"] is True and page.header["warnings"]
    cut = a_capture(tmp_path / "cut.tide", 20, end=False)
    assert reported(cut, tmp_path / "cut.html", expected=3).header["damaged"] is True


def test_a_recording_that_goes_on(tmp_path: Path) -> None:
    capture = a_capture(tmp_path / "x.tide", 20, end=False)
    with capture.open("rb") as writer:  # its writer holds a lock on it
        fcntl.flock(writer, fcntl.LOCK_EX)
        page = reported(capture, tmp_path / "x.html")
    assert page.header["live"] is True and page.header["damaged"] is False
    assert page.moments["end"] == 19


def test_what_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "x.tide").write_bytes(b"not a capture at all")
    status, _ = run("report", tmp_path / "x.tide", "-o", tmp_path / "x.html")
    assert status == 3 and not (tmp_path / "x.html").exists()


@pytest.mark.parametrize("form", ["pb.gz", "heap"])
def test_files_of_other_profilers(recorded: dict[str, Path], tmp_path: Path, form: str) -> None:
    foreign = tmp_path / f"x.{form}"
    assert run("convert", recorded["exact"], "-o", foreign)[0] == 0
    page = reported(foreign, tmp_path / "x.html")
    series = heaptide.open(foreign)
    profile = series.at("end")
    assert page.header["headline"]["verdict"] == "none" and len(page.moments["number"]) == 1
    for value in page.header["datasets"][0]["values"]:
        assert page.table("heap", value, -1, 0, "function") == top_table(profile, value, "function")
    assert "inuse_space" in page.header["datasets"][0]["values"]


# ---- Where it goes ---------------------------------------------------------------------------------------------------


def test_the_default_name_is_the_captures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "records").mkdir()
    capture = a_capture(tmp_path / "records" / "server.4711.tide", 2)
    monkeypatch.chdir(tmp_path)
    status, said = run("report", capture)
    assert status == 0 and (tmp_path / "server.4711.html").exists(), said


def test_the_recording_is_never_overwritten(tmp_path: Path) -> None:
    capture = a_capture(tmp_path / "x.tide", 2)
    before = capture.read_bytes()
    (tmp_path / "link.html").symlink_to(capture)
    for name in ("x.tide", "link.html"):
        status, said = run("report", capture, "-o", tmp_path / name)
        assert status == 2 and "the capture itself" in said
    assert capture.read_bytes() == before


def test_a_place_that_cannot_be_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capture = a_capture(tmp_path / "x.tide", 2)
    assert status_of(cli, "heaptide", ["report", str(capture), "-o", str(tmp_path / "none" / "x.html")]) == 2
    assert "cannot be written" in capfd.readouterr().err
