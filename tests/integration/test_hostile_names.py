# SPDX-License-Identifier: Apache-2.0
"""Recordings full of names that were chosen to do harm, through every verb and every format that is text or a picture.

In process, but for what Graphviz draws. (The page in a browser: tests/browser; the terminal view: test_live.)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import heaptide
from heaptide.cli.guard import status_of
from heaptide.cli.main import cli
from heaptide.cli.pprof import command as pprof
from heaptide.formats import pprof as formats
from tests.builders import hostile

Capture = pytest.CaptureFixture[bytes]
LONGEST_LINE = 20_000
"""Characters: a line may hold several names, of which each is cut at 2,000."""
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\udc80-\udc9f]")
"""What a terminal may obey, and what breaks a line or turns it round: all but tab and newline."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("evil")
    makers: dict[str, Callable[[Path], Path]] = {
        "tide": hostile.a_capture,
        "pb": hostile.a_pprof_file,
        "heap": hostile.a_heap_file,
        "folded": hostile.a_folded_file,
    }
    found = {kind: maker(folder) for kind, maker in makers.items()}
    (folder / "earlier").mkdir()
    return found | {"earlier": hostile.a_capture(folder / "earlier", shots=30)}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache of symbols from other tests, and none left."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def answered(capsysbinary: Capture, *arguments: str) -> bytes:
    """Standard output of a command that succeeds (3: a name in the input was damaged); what it says is harmless."""
    status = status_of(pprof if arguments[0] == "pprof" else cli, "heaptide", arguments[arguments[0] == "pprof" :])
    out, err = capsysbinary.readouterr()
    assert status == 0, (arguments, err)
    check_text(err)
    return out


def check_text(data: bytes) -> str:
    text = data.decode("utf-8", "surrogateescape")
    found = COMMANDS.search(text)
    assert found is None, f"{found[0]!r} in {text[max(found.start() - 60, 0) : found.end() + 60]!r}"
    longest = max(text.split("\n"), key=len)
    assert len(longest) <= LONGEST_LINE, longest[:300]
    return text


def check_json(data: bytes) -> object:
    """A document may hold a name in full; as text it is harmless all the same."""
    text = data.decode("utf-8")
    assert COMMANDS.search(text) is None
    return json.loads(text)


def check_svg(data: bytes) -> str:
    assert COMMANDS.search(data.decode("utf-8")) is None
    root = ElementTree.fromstring(data)
    for element in root.iter():
        assert element.tag.rpartition("}")[2] not in ("script", "img", "foreignObject", "iframe")
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on"), name
            assert not (name.endswith("href") and "script" in value), value
    return "".join(root.itertext())


class Markup(HTMLParser):
    """Elements and event handlers that a name may have made."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {name}" for name, value in attributes if "alert" in (value or "")]
        self.found += [tag] if tag in ("img", "i", "b") else []


def check_html(data: bytes) -> str:
    text = data.decode("utf-8", "surrogateescape")
    assert "<script>alert" not in text and not re.search(r"\bon\w+=['\"]?alert", text.replace("&quot;", '"'))
    markup = Markup()
    markup.feed(text)
    assert markup.found == []
    return text


INPUTS = ("tide", "pb", "heap", "folded")
HEAPS = ("tide", "pb", "heap")
TABLES = [
    ("top",),
    ("top", "--by", "line"),
    ("top", "--by", "file"),
    ("top", "--by", "module"),
    ("top", "--by", "address", "--cum"),
    ("tree", "--all-frames"),
    ("peek",),
    ("traces",),
]


@pytest.mark.parametrize("kind", HEAPS)
@pytest.mark.parametrize("verb", TABLES, ids=" ".join)
def test_tables(files: dict[str, Path], capsysbinary: Capture, kind: str, verb: tuple[str, ...]) -> None:
    first, *options = verb
    words = [first, *(["."] if first == "peek" else []), str(files[kind]), *options]
    text = check_text(answered(capsysbinary, *words))
    assert "script" in text
    check_json(answered(capsysbinary, *words, "--json"))


@pytest.mark.parametrize(
    "verb",
    [
        ("top", "--base", "start"),
        ("growth",),
        ("growth", "-n", "0"),
        ("ledger",),
        ("ledger", "--over-time"),
    ],
    ids=" ".join,
)
def test_what_only_captures_tell(files: dict[str, Path], capsysbinary: Capture, verb: tuple[str, ...]) -> None:
    first, *options = verb
    check_text(answered(capsysbinary, first, str(files["tide"]), *options))
    check_json(answered(capsysbinary, first, str(files["tide"]), *options, "--json"))


def test_names_in_a_document_are_what_they_are(files: dict[str, Path], capsysbinary: Capture) -> None:
    document = check_json(answered(capsysbinary, "top", str(files["pb"]), "--json", "--all-frames"))
    functions = {row["function"] for row in document["rows"]}  # type: ignore[index, call-overload]
    assert {name for name in hostile.NAMES if name.isprintable()} <= functions


@pytest.mark.parametrize("words", [("growth",), ("growth", "--per", "allocated"), ("top",), ("top", "--per", "time")])
def test_two_recordings(files: dict[str, Path], capsysbinary: Capture, words: tuple[str, ...]) -> None:
    first, *options = words
    arguments = [first, str(files["tide"]), "--base", str(files["earlier"]), *options]
    check_text(answered(capsysbinary, *arguments))
    check_json(answered(capsysbinary, *arguments, "--json"))


def test_source_that_would_command_a_terminal(capsysbinary: Capture, tmp_path: Path) -> None:
    """What stands in a source file is no more trusted than a name."""
    source = tmp_path / "evil.c"
    lines = [name.replace("\n", " ").replace("\r", " ") for name in hostile.NAMES]
    source.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    columns = hostile.a_columns()
    functions = replace(columns.functions, filename=[str(source)] * len(columns.functions.name))
    line = np.arange(len(columns.locations.line)) % len(lines) + 1
    places = replace(columns.locations, line=line.astype(np.int64))
    profile = tmp_path / "x.pb.gz"
    profile.write_bytes(formats.dump(replace(columns, functions=functions, locations=places)))
    for words in (("list", ".", str(profile)), ("pprof", "--list=.", str(profile))):
        assert "script" in check_text(answered(capsysbinary, *words))
    check_json(answered(capsysbinary, "list", ".", str(profile), "--json"))


def test_source_that_is_not_there(files: dict[str, Path], capsysbinary: Capture) -> None:
    check_text(answered(capsysbinary, "list", "script", str(files["pb"])))


@pytest.mark.parametrize("kind", ["tide", "pb"])
@pytest.mark.parametrize("form", ["dot", "svg", "pdf"])
def test_graphs(files: dict[str, Path], capsysbinary: Capture, tmp_path: Path, kind: str, form: str) -> None:
    output = tmp_path / f"x.{form}"
    answered(capsysbinary, "graph", str(files[kind]), "-o", str(output))
    check_picture(output)


@pytest.mark.parametrize("kind", HEAPS)
@pytest.mark.parametrize("options", [(), ("--inverted", "--by", "line"), ("--flame", "--all-frames", "--width", "400")])
def test_flame_graphs(
    files: dict[str, Path], capsysbinary: Capture, tmp_path: Path, kind: str, options: tuple[str, ...]
) -> None:
    output = tmp_path / "x.svg"
    answered(capsysbinary, "flame", str(files[kind]), "-o", str(output), "--minwidth", "0", *options)
    assert "script" in check_picture(output)


@pytest.mark.parametrize("by", ["part", "site"])
@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_timelines(files: dict[str, Path], capsysbinary: Capture, tmp_path: Path, by: str, form: str) -> None:
    output = tmp_path / f"x.{form}"
    answered(capsysbinary, "timeline", str(files["tide"]), "-o", str(output), "--by", by)
    check_picture(output)


def check_picture(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".svg":
        return check_svg(data)
    if path.suffix == ".dot":
        return check_text(data)
    assert data.startswith({".pdf": b"%PDF-", ".png": b"\x89PNG"}[path.suffix])
    assert b"/JavaScript" not in data and b"/URI" not in data
    return ""


@pytest.mark.parametrize("kind", ["tide", "pb"])
@pytest.mark.parametrize("verb", ["report", "flame"])
def test_pages(files: dict[str, Path], capsysbinary: Capture, tmp_path: Path, kind: str, verb: str) -> None:
    output = tmp_path / "x.html"
    answered(capsysbinary, verb, str(files[kind]), "-o", str(output))
    check_html(output.read_bytes())


CONVERSIONS = [(kind, name) for kind in INPUTS for name in ("x.folded", "x.callgrind", "x.heap", "x.json", "x.pb.gz")]
CONVERSIONS.remove(("folded", "x.heap"))  # stacks of names have no addresses


@pytest.mark.parametrize(("kind", "name"), CONVERSIONS)
def test_conversions(files: dict[str, Path], capsysbinary: Capture, tmp_path: Path, kind: str, name: str) -> None:
    output = tmp_path / name
    answered(capsysbinary, "convert", str(files[kind]), "-o", str(output))
    if name == "x.json":
        check_json(output.read_bytes())
    elif name == "x.pb.gz":
        heaptide.open(output)
    elif name == "x.heap":
        numbers, _, paths = output.read_bytes().partition(b"MAPPED_LIBRARIES:\n")
        check_text(numbers)
        assert paths.count(b"\n") == len(heaptide.open(output).at().columns.mappings), "one line each, as they are"
    else:
        assert COMMANDS.search(output.read_bytes().decode("utf-8", "surrogateescape")) is None


PPROF = ("text", "tree", "traces", "tags", "comments", "raw", "callgrind", "dot")


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("output", [*PPROF, "lines", "files", "addresses"])
def test_pprof(files: dict[str, Path], capsysbinary: Capture, kind: str, output: str) -> None:
    check_text(answered(capsysbinary, "pprof", f"--{output}", str(files[kind])))


@pytest.mark.parametrize("kind", INPUTS)
def test_collapsed_stacks_have_names_in_full(files: dict[str, Path], capsysbinary: Capture, kind: str) -> None:
    text = answered(capsysbinary, "pprof", "--collapsed", str(files[kind])).decode("utf-8", "surrogateescape")
    assert COMMANDS.search(text) is None and hostile.NAMES[-1] in text


@pytest.mark.parametrize("search", ["peek", "list"])
def test_searches_of_pprof(files: dict[str, Path], capsysbinary: Capture, search: str) -> None:
    check_text(answered(capsysbinary, "pprof", f"--{search}=.", str(files["pb"])))


@pytest.mark.parametrize("kind", ["pb", "tide"])
@pytest.mark.parametrize("search", ["disasm", "weblist"])
def test_machine_code(files: dict[str, Path], capsysbinary: Capture, kind: str, search: str) -> None:
    """There is none behind these names (status 4), which is said harmlessly, or shown as a page without any."""
    status = status_of(pprof, "heaptide", [f"--{search}=.", str(files[kind])])
    out, err = capsysbinary.readouterr()
    assert status in (0, 4)
    check_text(err)
    check_text(out) if search == "disasm" else check_html(out)


@pytest.mark.parametrize("output", ["svg", "ps", "proto", "topproto"])
def test_pictures_of_pprof(files: dict[str, Path], capsysbinary: Capture, tmp_path: Path, output: str) -> None:
    data = answered(capsysbinary, "pprof", f"--{output}", str(files["pb"]))
    if output == "svg":
        check_svg(data)
    elif output == "ps":
        assert COMMANDS.search(data.decode("utf-8", "replace")) is None
    else:
        (tmp_path / "x.pb.gz").write_bytes(data)
        heaptide.open(tmp_path / "x.pb.gz")


def test_doctor(files: dict[str, Path], capsysbinary: Capture) -> None:
    program = next(files["tide"].parent.glob("*/evil*.so"))
    status = status_of(cli, "heaptide", ["doctor", str(program)])
    out, err = capsysbinary.readouterr()
    assert status in (0, 1, 3, 4)
    check_text(out)
    check_text(err)
    assert b"evil<script>" in out + err


@pytest.mark.parametrize("name", ["\x1b[31mred.tide", "\u202eedit.heap"])
def test_a_file_that_is_not_there(capsysbinary: Capture, name: str) -> None:
    assert status_of(cli, "heaptide", ["top", name]) == 3
    check_text(capsysbinary.readouterr().err)
