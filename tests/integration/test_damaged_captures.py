# SPDX-License-Identifier: Apache-2.0
"""Captures are cut and damaged at thousands of places: never a crash, never a wrong number without a warning.

The captures are of both modes, some written by the recorder over a real program, some by the builder (those also have
losses, gaps and address re-use).
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from heaptide._errors import InputError
from heaptide.build import load
from heaptide.capture import read
from heaptide.model import Series
from heaptide.symbolize import Module, SourceFrame
from tests.builders.capture import CaptureBuilder, Counter
from tests.builders.damage import damaged

INJURED = 600  # copies of each of four captures

PROGRAM = r"""
#include <stdlib.h>
#include <time.h>
static void *kept[4000];
__attribute__((noinline)) static void *leak(int n) { return malloc(64 + n % 7); }
__attribute__((noinline)) static void *grow(void *old, int n) { return realloc(old, n); }
int main(void) {
    void *buffer = NULL;
    struct timespec pause = {0, 1000000};
    for (int i = 0; i < 4000; i++) {
        kept[i] = leak(i);
        if (i % 3 == 0) { free(kept[i / 2]); kept[i / 2] = NULL; }
        if (i % 10 == 0) buffer = grow(buffer, i * 10 + 1);
        if (i % 20 == 0) nanosleep(&pause, NULL);
    }
    return buffer == NULL;
}
"""


class Nameless:
    """Symbols do not matter here, and looking them up thousands of times would."""

    def resolve(self, module: Module, vaddrs: Sequence[int]) -> list[tuple[SourceFrame, ...]]:
        return [(SourceFrame(f"{vaddr:x}"),) for vaddr in vaddrs]


Numbers = dict[int, dict[int, dict[str, float]]]


def numbers(series: Series) -> Numbers:
    """Snapshot number -> stack id -> everything that is counted. Rows of zeros count as absent."""
    found: Numbers = {}
    for snapshot in series.snapshots:
        profile = series.at(snapshot)
        profile.check()
        assert profile.ids is not None
        columns = dict(profile.values)
        columns |= {f"{name}±": column for name, column in profile.variance.items()}
        rows = {
            stack_id: {name: column[row].item() for name, column in columns.items()}
            for row, stack_id in enumerate(profile.ids.tolist())
        }
        found[snapshot.number] = {stack_id: row for stack_id, row in rows.items() if any(row.values())}
        assert snapshot.in_use_bytes == profile.total("inuse_space")
        assert snapshot.allocated_bytes == profile.total("alloc_space")
    return found


def built(mode: str) -> bytes:
    rng = random.Random(mode)
    capture = CaptureBuilder(mode).process()
    state: dict[int, Counter] = {}
    for step in range(12):
        capture.module(step + 1, 0x10000, 0x20000, bias=0x10000 + step, path=f"/lib/plugin{step}.so")
        capture.stacks([(16 + 5 * step + n, [0x10000 + rng.randrange(0x9000) for _ in range(6)]) for n in range(5)])
        changed = {}
        for stack_id in rng.sample(range(16, 21 + 5 * step), 4):
            old, size = state.get(stack_id, Counter()), rng.randrange(1, 10**6)
            extra = (old.alloc_variance + size, 0.0, old.alloc_samples + 1, 0) if mode == "sampled" else ()
            changed[stack_id] = Counter(old.alloc_bytes + size, old.alloc_objects + 1, old.alloc_bytes, 0, *extra)
        state |= changed
        capture.snapshot("exit" if step == 11 else "time", changed).memory({102: step * 4096})
        capture.unload(step + 1)
    return capture.note(1, "done").agent().end().data()


@pytest.fixture(scope="session")
def recorded(agent: Path, recorder: Path, tmp_path_factory: pytest.TempPathFactory):
    """Mode -> the capture of a real program."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "p.c").write_text(PROGRAM)
    subprocess.run(["cc", "-O1", "-g", "-o", "p", "p.c"], cwd=folder, check=True)

    def record(mode: str) -> bytes:
        how = ["--exact"] if mode == "exact" else ["--sample", "1KiB"]
        path = folder / f"{mode}.tide"
        subprocess.run(
            [recorder, *how, "--agent", agent, "--every", "20ms", "-o", path, "--", folder / "p"],
            check=True,
            env=dict(os.environ),
            timeout=60,
        )
        for _ in itertools.repeat(None, 100):  # the recorder finishes after the program
            if path.exists() and read(path.read_bytes()).complete:
                return path.read_bytes()
            time.sleep(0.1)
        raise AssertionError("the recorder did not finish")

    return record


@pytest.fixture(params=["built exact", "built sampled", "recorded exact", "recorded sampled"])
def capture(request) -> bytes:
    how, mode = request.param.split()
    return built(mode) if how == "built" else request.getfixturevalue("recorded")(mode)


def opened(path: Path, data: bytes) -> Series:
    path.write_bytes(data)
    return load(path, symbolizer=Nameless())


def judge(what: str, series: Series, sound: Numbers, known: Sequence[str]) -> None:
    found = numbers(series)
    wrong = [number for number, rows in found.items() if number in sound and rows != sound[number]]
    if wrong or found.keys() != sound.keys():
        assert [warning for warning in series.warnings if warning not in known], f"{what}: snapshots {wrong} differ"
    if wrong:
        assert series.damaged, what


def test_a_sound_capture_is_read_whole(capture, tmp_path):
    series = opened(tmp_path / "x", capture)
    assert series.complete and not series.damaged and len(series.snapshots) >= 5
    totals = [snapshot.allocated_bytes for snapshot in series.snapshots]
    assert totals == sorted(totals) and totals[-1] > 0
    numbers(series)


def test_damage(capture, tmp_path):
    path = tmp_path / "x"
    series = opened(path, capture)
    sound, known = numbers(series), series.warnings
    borders = [record.offset for record in read(capture).records] + [len(capture)]
    rng = random.Random(1)
    refused = 0
    for _ in range(INJURED):
        what, data = damaged(capture, rng, borders)
        try:
            series = opened(path, data)
        except InputError as error:
            assert error.offset is not None, what
            refused += 1
            continue
        judge(what, series, sound, known)
    assert refused < INJURED / 4  # the rest really was read


def test_every_cut(capture, tmp_path):
    path = tmp_path / "x"
    series = opened(path, capture)
    sound, known = numbers(series), series.warnings
    rng = random.Random(2)
    for length in sorted(rng.sample(range(32, len(capture)), min(300, len(capture) - 32))):
        series = opened(path, capture[:length])
        judge(f"cut at {length}", series, sound, known)
        assert series.warnings and not series.complete
        if series.snapshots:  # what was finished before the cut is all there
            assert series.snapshots[-1].number == len(series.snapshots)
