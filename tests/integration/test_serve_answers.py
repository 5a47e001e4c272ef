# SPDX-License-Identifier: Apache-2.0
"""What `heaptide serve` and ``pprof -http`` answer, held against what the command line says of the same files."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from heaptide.cli.guard import status_of
from heaptide.cli.main import cli
from heaptide.formats.targets import TARGETS
from tests.integration.serving import SITE_LINE, Growing, Session, heaptide, serving


def numbers(document: dict[str, Any]) -> list[int]:
    """Of the moments up to the end."""
    moments = document["moments"]
    found: list[int] = moments["number"][: moments["end"] + 1]
    return found


def test_the_document_is_that_of_the_command_line(session: Session, finished: Path) -> None:
    document = session.document()
    top = json.loads(heaptide("top", finished, "--json", cwd=finished.parent))
    moments = document["moments"]
    assert moments["in_use"][moments["end"]] == top["total"] >= 600_000
    assert document["capture"] == str(finished) and not document["live"]
    (entry, _) = session.json("/api/captures")
    assert (entry["name"], entry["title"], entry["version"], entry["message"]) == (str(finished), "grower", 1, "")


def test_source_lines_are_those_of_list(session: Session, finished: Path) -> None:
    last = numbers(session.document())[-1]
    first = numbers(session.document())[1]
    files = session.json("/api/sources/1")
    (number,) = [file["index"] for file in files if file["name"].endswith("grower.c")]
    for query, options in (
        ("", ()),
        (f"&at={first}", ("--at", f"#{first}")),
        (f"&at={last}&base={first}", ("--at", f"#{last}", "--base", f"#{first}")),
        ("&value=alloc_objects", ("--value", "alloc_objects")),
    ):
        source = session.json(f"/api/source/1?file={number}{query}")
        assert source["lines"][SITE_LINE - 1] == "  return malloc(1000); /* the site */"
        printed = json.loads(
            heaptide("list", "^(grow|passing|main)$", finished, "--json", *options, cwd=finished.parent)
        )
        wanted = {line["line"]: (line["flat"], line["cum"]) for row in printed.get("rows", []) for line in row["lines"]}
        assert {line["line"]: (line["flat"], line["cum"]) for line in source["amounts"]} == wanted, query


def test_source_outside_of_the_roots_is_not_shown(finished: Path, tmp_path: Path) -> None:
    with serving(finished, cwd=tmp_path) as server:
        session = server.enter()
        session.ready()
        (number,) = [file["index"] for file in session.json("/api/sources/1") if file["name"].endswith("grower.c")]
        source = session.json(f"/api/source/1?file={number}")
        assert source["lines"] is None and "--source-path" in source["reason"]
        assert source["amounts"], "what its lines hold is known all the same"
        server.end()


@pytest.mark.parametrize("form", [*TARGETS, "svg", "pdf"])
def test_downloads_are_what_convert_writes(session: Session, finished: Path, tmp_path: Path, form: str) -> None:
    number = numbers(session.document())[-2]
    answer, data = session.server.ask(f"/api/download/1?to={form}&at={number}", session.headers)
    assert answer.status == 200
    name = unquote((answer.getheader("Content-Disposition") or "").partition("UTF-8''")[2])
    assert name.startswith(f"finished.{number}.") and "/" not in name
    if form not in TARGETS:
        assert data.startswith({"svg": b"<?xml", "pdf": b"%PDF"}[form])
        return
    wanted = tmp_path / name
    words = ("convert", finished, "--at", f"#{number}", "--to", form, "-o", wanted)
    heaptide(*words, cwd=finished.parent)
    assert data == wanted.read_bytes()
    assert bool(answer.getheader("Heaptide-Note")) == (form != "pprof")
    assert session.status(f"/api/download/1?to={form}&at={number}&base=1") in (200, 400)


def test_two_captures_and_their_difference(session: Session) -> None:
    known = numbers(session.document())
    target = f"/api/difference/1?old=2&at={known[-1]}&old_at={known[1]}&by=function"
    found = session.json(target)
    in_use = session.document()["moments"]["in_use"]
    assert found["rows"][0]["name"] == "grow" and found["more"] == 0 and found["rows"][0]["sign"] == 1
    assert found["total"].startswith("+") or in_use[-1] == in_use[1]
    same = session.json(f"/api/difference/1?old=2&at={known[-1]}&old_at={known[-1]}")
    assert same["rows"] == []


def test_what_can_be_downloaded(session: Session) -> None:
    assert [one["name"] for one in session.json("/api/formats")] == [*TARGETS, "svg", "pdf"]


# --- a capture that grows ---------------------------------------------------------------------------------------------


def test_a_capture_that_grows_is_told_and_shown(grower: Path, tmp_path: Path) -> None:
    path = tmp_path / "growing.tide"
    growing = Growing(grower, path)
    growing.grow(100)
    growing.until_recorded(100_000)
    with serving(path, cwd=tmp_path) as server:
        session = server.enter()
        with session.events() as news:
            seen = 0
            for total in (100_000, 1_100_000, 2_100_000):
                while True:
                    (entry,) = next(news)
                    assert entry["version"] >= seen, "versions rise"
                    assert entry["state"] == "loading" or not entry["message"], entry
                    seen = entry["version"]
                    if seen and session.document()["moments"]["in_use"][-1] >= total:
                        break
                assert entry["live"] and entry["state"] == "ready"
                growing.grow(1000)
            growing.end()
            entry = next(entries[0] for entries in news if not entries[0]["live"])
        assert session.document()["moments"]["in_use"][-1] >= 3_100_000 and not session.document()["live"]
        path.unlink()
        with session.events() as news:
            entry = next(entries[0] for entries in news if entries[0]["message"])
        assert "is not there" in entry["message"] and entry["state"] == "ready"
        assert session.document()["title"] == "growing.tide", "what was read stays"
        server.end()


def test_many_at_once(session: Session) -> None:
    """Twenty who ask at a time, for everything there is."""
    files = session.json("/api/sources/1")
    targets = [
        *("/", "/api/captures", "/api/page/1", "/api/page/2", "/api/formats", "/api/sources/2"),
        *("/api/download/1?to=pprof", "/api/download/2?to=collapsed", "/api/difference/1?old=2"),
        *(
            f"/api/source/1?file={file['index']}&at={number}"
            for file in files[:1]
            for number in numbers(session.document())[:9]
        ),
    ]
    alone = {target: session.get(target) for target in targets}
    with ThreadPoolExecutor(20) as pool:
        together = list(pool.map(session.get, targets * 5))
    assert together == [alone[target] for target in targets * 5]


# --- pprof -http ------------------------------------------------------------------------------------------------------


def test_pprof_http_serves_any_profile(finished: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "end.pb.gz"
    heaptide("convert", finished, "-o", foreign, cwd=tmp_path)
    total = json.loads(heaptide("top", finished, "--json", cwd=tmp_path))["total"]
    for words, moments, in_use in (
        (("-http=:", "-no_browser", foreign), 1, total),
        (("-http=localhost:0", "-no_browser", "-focus=^grow$", foreign), 1, 600_000),
        (("-http=:", "-no_browser", "-base", foreign, foreign), 1, 0),
        (("-http=:", "-no_browser", finished), 4, total),
    ):
        with serving(*words, cwd=tmp_path, verb="pprof") as server:
            session = server.enter()
            (entry,) = session.ready()
            assert entry["state"] == "ready", entry
            document = session.document()
            found = document["moments"]
            assert len(found["number"]) >= moments and found["in_use"][found["end"]] == in_use
            told = [text for text in document["warnings"] if "asks for" in text]
            assert bool(told) == any(str(word).startswith(("-focus", "-base")) for word in words)
            server.end()


def test_the_browser_is_opened_where_there_is_a_desktop(finished: Path, tmp_path: Path) -> None:
    opener, opened = tmp_path / "xdg-open", tmp_path / "opened"
    os.mkfifo(opened)
    opener.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    opener.chmod(opener.stat().st_mode | stat.S_IXUSR)
    desktop = {"DISPLAY": ":7", "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    for verb, words in (("serve", ("--open", finished)), ("pprof", ("-http=:", finished))):
        with serving(*words, cwd=tmp_path, verb=verb, environment=desktop) as server:
            assert opened.read_text().strip() == server.url
            server.end()
    no_desktop = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    with serving("-http=:", finished, cwd=tmp_path, verb="pprof", environment=no_desktop) as server:
        assert "desktop" not in server.end()


def test_pprof_http_is_for_heaps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cpu.folded").write_text("main;work 17\n")
    assert status_of(cli, "heaptide", ["pprof", "-http=:", str(tmp_path / "cpu.folded")]) == 4
    assert "values of a heap" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["8080", "localhost", "a:b:c", ":99999", "http://localhost:80"])
def test_addresses_that_are_none(finished: Path, capsys: pytest.CaptureFixture[str], address: str) -> None:
    assert status_of(cli, "heaptide", ["pprof", f"-http={address}", str(finished)]) == 2
    assert "is no address" in capsys.readouterr().err
