# SPDX-License-Identifier: Apache-2.0
"""What `heaptide convert` writes, opened by the tools that it is for, and held against what the program counted.

A program that knows its own totals is recorded exactly; go tool pprof, google-pprof, callgrind_annotate and speedscope
must find those totals at those functions.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration import realworld as rw
from tests.programs.build import ROOT, Truth, build, read_truth

SPEEDSCOPE = ("speedscope@1.25.0", "jsdom@29.1.1")
_MODULES = ROOT / "build" / "speedscope"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, recorder: Path) -> tuple[Path, Path, Truth]:
    """The program, its capture, and what it counted itself."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ (tests/system-packages.txt)")
    folder = tmp_path_factory.mktemp("recorded")
    program = build("cxx_new", "-O2")
    recording = rw.record([str(program)], folder, recorder, "--exact", env={"TRUTH": str(folder / "truth")})
    assert recording.done.returncode == 0, recording.done.stderr
    return program, recording.path, read_truth(folder / "truth")


def _convert(capture: Path, output: Path, *options: str) -> str:
    """Runs the command; what it said on stderr."""
    words = ["convert", str(capture), "--at", "exit", "-o", str(output), *options]
    done = rw.execute([sys.executable, "-m", "heaptide", *words])
    assert done.returncode == 0, done.stderr.decode()
    return done.stderr.decode()


def _site(name: str) -> str:
    return name.partition("(")[0].rpartition("::")[2].strip()


def _check(found: dict[str, int], truth: Truth, value: str) -> None:
    wanted = {site: getattr(counts, value) for site, counts in truth.exit.items()}
    assert {site: found.get(site, 0) for site in wanted} == wanted


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=200).stdout


@pytest.mark.parametrize("value", ["alloc_objects", "alloc_space", "inuse_space"])
def test_go_reads_our_protobuf(
    recorded: tuple[Path, Path, Truth], value: str, tmp_path: Path, need: Callable[..., None]
) -> None:
    need("go")
    _, capture, truth = recorded
    assert "does not hold" not in _convert(capture, tmp_path / "x.pb.gz")
    options = ["-symbolize=none", "-top", "-nodefraction=0", "-unit=bytes", f"-sample_index={value}"]
    found: dict[str, int] = defaultdict(int)
    for line in _run("go", "tool", "pprof", *options, str(tmp_path / "x.pb.gz")).splitlines():
        if match := re.match(
            r"\s*(\d+)[a-zA-Z]*\s+\S+\s+\S+\s+\d+[a-zA-Z]*\s+\S+  (.*?)(?: \((?:partial-)?inline\))?$", line
        ):
            found[_site(match[2])] += int(match[1])
    _check(found, truth, value)


@pytest.mark.parametrize("value", ["alloc_objects", "alloc_space", "inuse_space"])
def test_google_pprof_and_go_read_our_text(
    recorded: tuple[Path, Path, Truth], value: str, tmp_path: Path, need: Callable[..., None]
) -> None:
    need("google-pprof", "go")
    program, capture, truth = recorded
    said = _convert(capture, tmp_path / "x.heap")
    assert "does not hold:" in said and "names of functions" in said
    found: dict[str, int] = defaultdict(int)
    words = ("--text", "--show_bytes", f"--{value}", str(program), str(tmp_path / "x.heap"))
    for line in _run("google-pprof", *words).splitlines():
        # Cumulative: it does not take `operator new@@GLIBCXX_3.4`, the name in a stripped library, for an allocator's.
        if match := re.match(r"\s*\d+\s+\S+\s+\S+\s+(\d+)\s+\S+ (.*)$", line):
            found[_site(match[2])] += int(match[1])
    _check(found, truth, value)
    listed = _run("go", "tool", "pprof", "-symbolize=none", "-raw", str(tmp_path / "x.heap"))
    assert "alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes" in listed


def test_callgrind_annotate_reads_our_callgrind(
    recorded: tuple[Path, Path, Truth], tmp_path: Path, need: Callable[..., None]
) -> None:
    need("callgrind_annotate")
    _, capture, truth = recorded
    _convert(capture, tmp_path / "callgrind.out.1")
    text = _run(
        "callgrind_annotate", "--inclusive=yes", "--threshold=100", "--auto=no", str(tmp_path / "callgrind.out.1")
    )
    assert "Events shown:     alloc_objects alloc_space inuse_objects inuse_space" in text
    number = r"\s*([\d,]+)(?: \(\s*[\d.]+%\))?"
    found: dict[str, list[int]] = {}
    for line in text.splitlines():
        if match := re.match(rf"{number}{number}{number}{number}\s+\S+?:(.*?) \[", line):
            found[_site(match[5])] = [int(match[group].replace(",", "")) for group in range(1, 5)]
    for column, value in enumerate(("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")):
        _check({site: numbers[column] for site, numbers in found.items()}, truth, value)


@pytest.fixture
def speedscope(need: Callable[..., None]) -> dict[str, str]:
    """NODE_PATH of speedscope, fetched into build/ the first time."""
    need("node", "npm")
    if not (_MODULES / "node_modules" / "speedscope").is_dir():
        words = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(_MODULES), *SPEEDSCOPE]
        done = subprocess.run(words, capture_output=True, text=True, timeout=200, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot fetch {' '.join(SPEEDSCOPE)}: {done.stderr[-200:]}")
    return {"NODE_PATH": str(_MODULES / "node_modules")}


def _opened(file: Path, env: dict[str, str]) -> dict[str, object]:
    script = Path(__file__).with_name("speedscope_check.cjs")
    done = rw.execute(["node", str(script), str(file)], env=env)
    assert done.returncode == 0, done.stderr.decode()
    document: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return document


def test_speedscope_imports_our_json(
    recorded: tuple[Path, Path, Truth], speedscope: dict[str, str], tmp_path: Path
) -> None:
    _, capture, truth = recorded
    _convert(capture, tmp_path / "x.json")
    opened = _opened(tmp_path / "x.json", speedscope)
    assert opened["title"] == f"{capture.name} - speedscope", opened
    assert "Importing as speedscope json file" in str(opened["said"])
    document = json.loads((tmp_path / "x.json").read_text())
    for profile in document["profiles"]:
        found: dict[str, int] = defaultdict(int)
        for stack, weight in zip(profile["samples"], profile["weights"], strict=True):
            names = [_site(document["shared"]["frames"][frame]["name"]) for frame in stack]
            site = next((name for name in reversed(names) if name in truth.exit), None)
            found[site or ""] += weight
        _check(found, truth, profile["name"])
    del document["profiles"][0]["weights"]
    (tmp_path / "bad.json").write_text(json.dumps(document))
    assert _opened(tmp_path / "bad.json", speedscope)["title"] == "speedscope", "a file that it must refuse"
