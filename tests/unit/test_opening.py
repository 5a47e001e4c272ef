# SPDX-License-Identifier: Apache-2.0
"""``--open``, with a desktop whose opener is a script of ours, and without a desktop."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from heaptide._errors import UsageError
from heaptide.cli import opening
from heaptide.cli.guard import status_of
from heaptide.cli.main import cli
from tests.unit.test_gperftools import FILE


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs, the only one that is searched, on a machine with a display."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.chdir(tmp_path)
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_file_is_handed_over_in_full(desktop: Path, tmp_path: Path) -> None:
    program(desktop, "xdg-open", f"printf '%s' \"$*\" > {tmp_path}/told")
    assert opening.open_file("-x #1.svg")
    assert (tmp_path / "told").read_text() == f"{tmp_path}/-x #1.svg"


def test_an_address_is_handed_over_as_it_is(desktop: Path, tmp_path: Path) -> None:
    program(desktop, "gio", f"printf '%s' \"$*\" > {tmp_path}/told")
    assert opening.open_url("http://127.0.0.1:1/")
    assert (tmp_path / "told").read_text() == "open http://127.0.0.1:1/"


def test_an_opener_may_stay(desktop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    program(desktop, "xdg-open", f"read line < {tmp_path}/pipe")
    monkeypatch.setattr(opening, "_PATIENCE", 0.05)
    assert opening.open_file("x.svg")
    (tmp_path / "pipe").write_text("end\n")


@pytest.mark.parametrize(
    ("script", "display", "reason"),
    [
        ("exit 3", ":0", "xdg-open found nothing to open it with"),
        (None, ":0", "xdg-open is not installed"),
        ("exit 0", "", "no desktop here (DISPLAY and WAYLAND_DISPLAY are not set)"),
    ],
)
def test_why_nothing_opens(
    desktop: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    script: str | None,
    display: str,
    reason: str,
) -> None:
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if script is not None:
        program(desktop, "xdg-open", script)
    assert not opening.open_file("x\x1b.svg")
    assert capsys.readouterr().err == f"heaptide: --open: {reason}; open it yourself: x\\x1b.svg\n"


def test_a_graph_is_opened_and_no_desktop_is_no_failure(desktop: Path, tmp_path: Path) -> None:
    program(desktop, "xdg-open", f"printf '%s' \"$*\" > {tmp_path}/told")
    Path("x.heap").write_bytes(FILE)
    assert status_of(cli, "heaptide", ["graph", "x.heap", "-o", "x.dot", "--open"]) == 0
    assert (tmp_path / "told").read_text() == f"{tmp_path}/x.dot"
    (desktop / "xdg-open").unlink()
    assert status_of(cli, "heaptide", ["graph", "x.heap", "-o", "y.dot", "--open"]) == 0
    assert Path("y.dot").exists()


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written: No such file or directory"):
        opening.write(tmp_path / "no" / "x.svg", b"")
