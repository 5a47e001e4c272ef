# SPDX-License-Identifier: Apache-2.0
"""Survivors of a program that says which phase it is in: what each phase left is told by its birth, in both modes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from heaptide.build import load
from heaptide.capture.reader import read
from heaptide.capture.records import AgesRecord
from heaptide.cli.main import cli
from heaptide.model import Profile, Series
from tests.integration.realworld import is_finished, wait_until

PROGRAM = r"""
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
enum { KEPT = 20000, RING = 4096, SIZE = 1000 };
static char *kept[2 * KEPT], *ring[RING];
static int count;
#define SITE __attribute__((noinline, noclone)) static void
SITE early(void) { for (int i = 0; i < KEPT; i++) kept[count++] = malloc(SIZE); }
SITE late(void) { for (int i = 0; i < KEPT; i++) kept[count++] = malloc(SIZE); }
SITE cache(void) { for (int i = 0; i < RING; i++) { free(ring[i]); ring[i] = malloc(SIZE); } }
static void next_phase(void) { char byte = '.'; if (write(1, &byte, 1) != 1 || read(0, &byte, 1) != 1) _exit(1); }
int main(void) {
    early();
    cache();
    next_phase();
    late();
    cache();
    next_phase();
    cache();
    next_phase();
    for (int i = 0; i < count; i++) free(kept[i]);
    return 0;
}
"""
PATIENCE_S = 60


def sites(profile: Profile) -> dict[str, tuple[float, float]]:
    """Bytes and half-width of the 95 % interval, by the function that called malloc."""
    sizes, errors = profile.column("inuse_space").tolist(), profile.errors("inuse_space").tolist()
    names = [next((f.function for f in profile.frames_of(row) if f.role == "user"), None) for row in range(len(sizes))]
    return {name or "?": (size, error) for name, size, error in zip(names, sizes, errors, strict=True)}


def run_in_phases(folder: Path, *options: str) -> tuple[Series, list[int]]:
    """The recording, and the snapshot before each of the three ends of a phase."""
    (folder / "phases.c").write_text(PROGRAM)
    subprocess.run(["cc", "-O1", "-g", "-o", folder / "phases", folder / "phases.c"], check=True)
    capture = folder / "x.tide"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "heaptide",
        "run",
        "-o",
        capture,
        "--every",
        "100ms",
        *options,
        "--",
    ]
    ends: list[int] = []
    with subprocess.Popen(
        [*command, folder / "phases"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as run:
        assert run.stdin is not None and run.stdout is not None
        for _ in range(3):
            assert run.stdout.read(1) == b"."
            ends.append(next_snapshot(capture))
            await_ages(capture, ends[-1])
            run.stdin.write(b".")
            run.stdin.flush()
        assert run.wait(PATIENCE_S) == 0
    wait_until(lambda: is_finished(capture), "last word", PATIENCE_S)
    return load(capture), ends


def next_snapshot(capture: Path) -> int:
    """The number of a snapshot that was begun after this call."""
    wait_until(capture.exists, "capture", PATIENCE_S)
    taken = len(load(capture).snapshots)
    wait_until(lambda: len(load(capture).snapshots) >= taken + 2, "snapshot", PATIENCE_S)  # one may be under way
    return load(capture).snapshots[-1].number


def await_ages(capture: Path, number: int) -> None:
    """Waits until the ages of what is in use were read at snapshot `number` or later."""

    def is_read() -> bool:
        records = read(capture.read_bytes(), live=True).records
        return any(isinstance(record, AgesRecord) and record.snapshot >= number for record in records)

    wait_until(is_read, "reading of ages", PATIENCE_S)


@pytest.mark.parametrize("options", [("--exact",), ("--sample", "16KiB")])
def test_each_phase_left_what_it_left(
    options: tuple[str, ...], tmp_path: Path, recorder: Path, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEAPTIDE_SEED", "1234")
    series, ends = run_in_phases(tmp_path, *options)
    first = sites(series.born("start", ends[0]))
    second = sites(series.born(ends[0], ends[1]))
    third = sites(series.born(ends[1], ends[2]))
    assert first.keys() == {"early"}  # what the cache held then has been replaced
    assert second.keys() == {"late"}
    assert third.keys() == {"cache"}
    for found, true in ((first["early"], 20e6), (second["late"], 20e6), (third["cache"], 4.096e6)):
        size, error = found
        assert 0 < error < 0.35 * true
        assert abs(size - true) < 2.5 * error  # five standard errors
    assert not sites(series.born(ends[2], "end"))
    assert listed(series, f"start..#{ends[0]}") == ["early"]
    assert listed(series, f"#{ends[0]}..#{ends[1]}") == ["late"]


def listed(series: Series, born: str) -> list[str]:
    """The functions of the program itself that `list --born` shows."""
    done = CliRunner().invoke(cli, ["list", "early|late|cache", series.path, "--born", born, "--json"])
    assert done.exit_code == 0, done.output
    return [row["function"] for row in json.loads(done.stdout)["rows"]]
