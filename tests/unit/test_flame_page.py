# SPDX-License-Identifier: Apache-2.0
"""`heaptide flame -o FILE.html`: where the page begins, and the options that a page has no use for."""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from heaptide.cli.guard import status_of
from heaptide.cli.main import cli
from tests.unit.test_timeline import a_capture


@pytest.fixture
def capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return a_capture(tmp_path / "prog.1.tide", snapshots=600)


def header(path: Path) -> dict[str, object]:
    found = re.search(rb'id="heaptide-document">([^<]*)<', path.read_bytes())
    assert found is not None
    data = gzip.decompress(base64.b64decode(found[1]))
    length = struct.unpack_from("<4sI", data)[1]
    document: dict[str, object] = json.loads(data[8 : 8 + length])
    return document


def run(*arguments: str) -> int:
    return status_of(cli, "heaptide", ["flame", *arguments])


def test_the_page_begins_where_it_was_asked_to(capture: Path) -> None:
    options = ["--at", "#217", "--base", "#33", "--value", "alloc_objects", "--all-frames", "--flame"]
    options += ["--by", "line", "--inverted"]
    assert run(str(capture), "-o", "x.html", *options) == 0
    found = header(Path("x.html"))
    assert found["view"] == "flame"
    assert parse_qs(str(found["start"])) == {
        "a": ["33"],
        "b": ["217"],
        "value": ["alloc_objects"],
        "hide": ["0"],
        "by": ["line"],
        "flame.order": ["flame"],
        "flame.from": ["site"],
    }
    moments = found["moments"]
    assert isinstance(moments, dict) and {33, 217} <= set(moments["number"]), "both are among the moments it keeps"
    assert len(moments["number"]) < 600, "and not all are"


def test_without_options_it_begins_at_the_end(capture: Path) -> None:
    assert run("-o", "x.html") == 0
    assert header(Path("x.html"))["start"] == "b=601&value=inuse_space", "the shutdown, not the exit"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--minwidth", "3"], "--minwidth goes with a picture"),
        (["--focus", "x"], "--focus goes with a picture"),
        (["--born", "start..end"], "--born goes with a picture"),
        (["--width", "800"], "--width goes with a picture"),
        (["--base", "prog.1.tide"], "a page shows one recording"),
        (["--base", "nowhere"], "'nowhere' is no moment"),
    ],
)
def test_what_a_page_does_not_take(
    capture: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert run(str(capture), "-o", "x.html", *options) == 2
    assert message in capsys.readouterr().err and not Path("x.html").exists()
