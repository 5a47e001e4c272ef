# SPDX-License-Identifier: Apache-2.0
"""Two recordings of two builds under different load: `top --base FILE --per`, held against known counts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from heaptide._errors import NothingToShow, UsageError
from heaptide.analysis.growth.stretch import stretch_of
from heaptide.analysis.growth.work import amount
from heaptide.build import load
from heaptide.cli.main import cli
from tests.integration.realworld import is_finished, wait_until
from tests.unit.test_gperftools import FILE

PROGRAM = r"""
#include <stdlib.h>
static void *volatile kept[100000];
#define SITE __attribute__((noinline, noclone)) static void
SITE forgets(int i) { kept[i] = malloc(1000); }
SITE starts(void) { kept[0] = malloc(100000); }
SITE serves(void) { void *volatile answer = malloc(4000); free(answer); }
int main(int argc, char **argv) {
    int requests = argc > 1 ? atoi(argv[1]) : 0;
    starts();
    for (int i = 1; i <= requests; i++) {
        serves();
        if (!FIXED || i % 10 == 0) forgets(i);
    }
    _Exit(0);
}
"""
PATIENCE_S = 60


def recorded(folder: Path, name: str, requests: int, *flags: str) -> str:
    """The capture of a build of the program, in exact mode."""
    source, program, capture = folder / "program.c", folder / name, folder / f"{name}.tide"
    source.write_text(PROGRAM)
    subprocess.run(["cc", "-g", *flags, "-o", program, source], check=True)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "heaptide",
        "run",
        "--exact",
        "-o",
        capture,
        "--",
        program,
        str(requests),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    wait_until(lambda: is_finished(capture), "last word", PATIENCE_S)
    return str(capture)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, recorder: Path, agent: Path) -> dict[str, str]:
    """`old`; `busy`, another build of the same under thrice the load; `fixed`, which keeps a tenth under that load."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        "old": recorded(folder, "old", 3000, "-O0", "-DFIXED=0"),
        "busy": recorded(folder, "busy", 9000, "-O2", "-DFIXED=0"),
        "fixed": recorded(folder, "fixed", 9000, "-O2", "-DFIXED=1"),
    }


def top(now: str, *words: str) -> dict[str, Any]:
    done = CliRunner().invoke(cli, ["top", now, *words, "--json"])
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def row(document: dict[str, Any], function: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in document["rows"] if row["function"] == function)
    return found


def test_thrice_the_load_is_no_change_per_byte_allocated(runs: dict[str, str]) -> None:
    plain = row(top(runs["busy"], "--base", runs["old"]), "forgets")
    assert (plain["flat"], plain["flat_before"]) == (6_000_000, 3_000_000)
    document = top(runs["busy"], "--base", runs["old"], "--per", "allocated")
    assert document["per"]["measure"] == "allocated" and document["per"]["unit"] == "bytes"
    assert document["per"]["now"] == pytest.approx(45_100_000, rel=0.001)
    assert document["per"]["factor"] == pytest.approx(3, rel=0.01)
    same = row(document, "forgets")
    assert same["flat_before"] == pytest.approx(9_000_000, rel=0.01) and abs(same["flat"]) < 90_000
    once = row(document, "starts")  # no part of the work: it was done once
    assert once["flat"] == pytest.approx(100_000 * (1 - document["per"]["factor"]), abs=1)


def test_a_fix_is_better_per_byte_allocated(runs: dict[str, str]) -> None:
    """9000 requests allocated 36.9 MB, the old build's 3000 15 MB; it kept 1000 bytes of each 5000."""
    found = row(top(runs["fixed"], "--base", runs["old"], "--per", "allocated"), "forgets")
    assert found["flat_before"] == pytest.approx(36.9e6 / 5, rel=0.01)
    assert found["flat"] + found["flat_before"] == pytest.approx(900_000)


@pytest.mark.parametrize("value", ["alloc_space", "alloc_objects"])
def test_over_time_the_old_run_is_made_as_long(runs: dict[str, str], value: str) -> None:
    document = top(runs["busy"], "--base", runs["old"], "--per", "time", "--value", value)
    seconds = [amount(stretch_of(load(runs[name]), "start", "end"), "time") for name in ("busy", "old")]
    assert [document["per"]["now"], document["per"]["before"]] == pytest.approx(seconds)
    for function, once in (("forgets", 1000), ("serves", 4000)):
        expected = 3000 * (once if value == "alloc_space" else 1) * seconds[0] / seconds[1]
        assert row(document, function)["flat_before"] == pytest.approx(expected, abs=1)


def test_the_text_says_what_was_multiplied(runs: dict[str, str]) -> None:
    done = CliRunner().invoke(cli, ["top", runs["busy"], "--base", runs["old"], "--per", "allocated"])
    assert done.exit_code == 0
    assert "its values times 2.99 (43.0 MiB against 14.4 MiB allocated)" in done.output


def test_one_recording_has_nothing_to_be_compared_with(runs: dict[str, str], tmp_path: Path) -> None:
    for words in ([], ["--base", "start"], ["--born", "start..end"]):
        done = CliRunner().invoke(cli, ["top", runs["old"], "--per", "time", *words])
        assert isinstance(done.exception, UsageError) and "--per compares two recordings" in str(done.exception)
    foreign = tmp_path / "x.heap"
    foreign.write_bytes(FILE)
    done = CliRunner().invoke(cli, ["top", runs["old"], "--base", str(foreign), "--per", "time"])
    assert isinstance(done.exception, NothingToShow) and "how long it ran" in str(done.exception)
