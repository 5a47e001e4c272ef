# SPDX-License-Identifier: Apache-2.0
"""Profiles that are of no heap, and data on a terminal."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from heaptide._errors import UsageError
from heaptide.cli.guard import out_data, status_of
from heaptide.cli.main import cli


@pytest.mark.parametrize(
    "verb", [["top"], ["top", "--json"], ["tree"], ["peek", "."], ["traces"], ["list", "."], ["graph"], ["flame"]]
)
def test_a_profile_of_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cpu.folded").write_text("main;work 5\n")
    output = ["-o", "x.svg"] if verb[0] in ("graph", "flame") else []
    assert status_of(cli, "heaptide", [*verb, "cpu.folded", *output]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "cpu.folded holds no inuse_space; what it counts: samples" in err and "heaptide pprof" in err


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("data", [b"\x1b[2J", b"\x1f\x8b\x08", "a \x9b31m".encode(), b"\xff \x85"])
def test_data_stays_off_a_terminal(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", Terminal(written))
    with pytest.raises(UsageError, match="standard output is a terminal"):
        out_data(data)
    out_data("größe;main\t5\n".encode())
    assert written.getvalue().decode() == "größe;main\t5\n"


def test_data_goes_into_a_pipe_as_it_is(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    out_data(b"\x1f\x8b\x08\xff")
    assert capsysbinary.readouterr().out == b"\x1f\x8b\x08\xff"
