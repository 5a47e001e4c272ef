# SPDX-License-Identifier: Apache-2.0
"""The programs with known answers: each compiles at -O0 and -O2, runs, and gives the same account of itself both times.

That a profiler agrees with them is tests/integration's business; here only their own words are held against each other.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.programs import build as programs

HANDLERS = ("handle_login", "handle_search", "handle_upload", "handle_report", "handle_logout")


def _need_compiler(name: str) -> None:
    if programs.compiler(name) is None:
        pytest.skip(f"no compiler for {programs.source(name).name}")


@pytest.mark.parametrize("name", programs.NAMES)
def test_account_does_not_depend_on_the_optimiser(name: str, tmp_path: Path) -> None:
    _need_compiler(name)
    outcomes = [programs.run(programs.build(name, flag), truth=tmp_path / flag) for flag in ("-O0", "-O2")]
    for outcome in outcomes:
        assert outcome.status == -programs.SIGNALLED.get(name, 0)
        assert outcome.stdout == b"" and outcome.stderr == b""
    assert outcomes[0].truth == outcomes[1].truth


@pytest.mark.parametrize("name", programs.NAMES)
def test_account_is_possible(name: str, tmp_path: Path) -> None:
    _need_compiler(name)
    truth = programs.run(programs.build(name), truth=tmp_path / "truth").truth
    assert truth.end
    for site, counts in truth.end.items():
        assert 0 <= counts.inuse_space <= counts.alloc_space, site
        assert 0 <= counts.inuse_objects <= counts.alloc_objects, site
        later = truth.exit[site]
        assert (later.alloc_space, later.alloc_objects) == (counts.alloc_space, counts.alloc_objects), site
        assert later.inuse_space in (0, counts.inuse_space), site


def test_what_frees_at_exit_holds_until_then(tmp_path: Path) -> None:
    truth = programs.run(programs.build("frees_at_exit"), truth=tmp_path / "truth").truth
    assert sum(counts.inuse_space for counts in truth.end.values()) == 1000 * 128 + 50 * 2048
    assert sum(counts.inuse_space for counts in truth.exit.values()) == 0


@pytest.mark.parametrize("handler", range(-1, 5))
def test_demo_server_leaks_where_it_says(handler: int, tmp_path: Path) -> None:
    server = programs.build("server")
    environment = {**os.environ, "TRUTH": str(tmp_path / "truth")}
    done = subprocess.run([server, str(handler), "0.1"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("server: ") and done.stderr == ""
    truth = json.loads((tmp_path / "truth").read_text())
    if handler < 0:
        assert truth == {"function": None, "line": None, "bytes": 0, "objects": 0}
        return
    assert truth["function"] == HANDLERS[handler]
    assert truth["objects"] > 10 and truth["bytes"] > 1000 * truth["objects"]
    line = programs.DEMO_SERVER.read_text().splitlines()[truth["line"] - 1]
    assert any(call in line for call in ("malloc(", "realloc(", "strdup(", "calloc("))


def test_demo_server_refuses_nonsense() -> None:
    done = subprocess.run([programs.build("server"), "5"], capture_output=True, text=True)
    assert done.returncode == 2 and "usage" in done.stderr
