# SPDX-License-Identifier: Apache-2.0
"""The host is sacred: one small program per hazard, without us, sampled and exact, over four allocators.

A hazard passes when the program prints and returns what it does without the tool and every capture is whole, with
no stack freed more than it allocated. tests/torture has the programs; each says in its head what it is about.
"""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import heaptide
from heaptide.capture import Recording
from tests.builders import torture
from tests.builders.fake_agent import Server, load, snapshots

MODES = {"sampled": {"HEAPTIDE_SAMPLE": "4KiB"}, "exact": {"HEAPTIDE_EXACT": "1"}}
PATIENCE_S = 60


@dataclass(frozen=True)
class Hazard:
    """One program: its name and its hazard, as on its command line."""

    program: str
    name: str
    status: int
    """What it returns where all is well: what the programs check themselves is in it."""
    captures: int = 1
    """At least so many, of at least one sample each; 0: perhaps none, but what there is must be whole."""
    held: int | None = None
    """Bytes that its captures in exact mode have in use in the end, all together; None: not to be told in advance."""
    allocators: tuple[str, ...] = torture.ALLOCATORS
    wrapper: tuple[str, ...] = ()
    """Words in front of the program."""

    def __str__(self) -> str:
        return "-".join([self.program, self.name, *self.wrapper[:1]])


GLIBC, SAFE, NOT_MIMALLOC = ("glibc",), (torture.SIGNAL_SAFE,), ("glibc", "tcmalloc", "jemalloc")
EXEC_CHAIN = ("sh", "-c", 'exec env NOTHING=1 sh -c \'exec "$@"\' sh "$@"', "sh")
HAZARDS = (
    Hazard("signals", "outside", 3, held=0),
    Hazard("signals", "on_alternate_stack", 3, held=0),
    Hazard("signals", "inside", 3, held=0, allocators=SAFE),
    Hazard("signals", "inside_on_alternate_stack", 3, held=0, allocators=SAFE),
    Hazard("signals", "leaves", 3, allocators=SAFE),
    Hazard("stacks", "exceptions", 4, held=0),
    Hazard("stacks", "bad_alloc", 4, held=0, allocators=NOT_MIMALLOC),  # mimalloc's operator new aborts
    Hazard("stacks", "coroutines", 5, held=40 * 4 * 103),  # the vector of each, of 103 on the average
    Hazard("stacks", "boost_coroutines", 6, held=0),
    Hazard("stacks", "statics", 7, held=0),
    Hazard("libraries", "address_reuse", 0),
    Hazard("libraries", "runpath", 0),
    Hazard("libraries", "deepbind", 0),
    Hazard("libraries", "deepbind_frees_ours", 0, allocators=GLIBC),
    Hazard("threads", "exit_destructors", 0),
    Hazard("threads", "five_hundred", 0),
    Hazard("threads", "forks", 0, captures=2),
    Hazard("children", "vforks", 0),
    Hazard("children", "prefork", 0, captures=5, held=4 * 100 * 777),
    Hazard("children", "daemonised", 0, captures=2, held=0),
    Hazard("children", "subreaper", 0, captures=2, held=0),
    Hazard("children", "plain", 12, held=0, wrapper=EXEC_CHAIN),
    Hazard("children", "plain", 12, captures=0, wrapper=("unshare", "-p", "-f")),  # PID 1 of a name space
    Hazard("limits", "closes_everything", 0, captures=2, held=0),
    Hazard("limits", "locked_up", 22, held=0),
    Hazard("limits", "locked_up_threads", 23, allocators=NOT_MIMALLOC),  # asks for random numbers in each new thread
    Hazard("limits", "file_limit", 0, captures=0),
    Hazard("limits", "no_file_limit", 24, captures=0),
    Hazard("limits", "descriptor_limit", 24, captures=0),
    Hazard("limits", "half_of_address_limit", 30),
    Hazard("limits", "address_limit", 25, captures=0),
    Hazard("limits", "tight_address_limit", 24, captures=0),
    Hazard("limits", "locked_memory", 0, captures=2, held=0),
    Hazard("limits", "leaves_at_once", 27, held=0),
    Hazard("limits", "aborts", -signal.SIGABRT, held=0),
    Hazard("limits", "quick", 28, held=0),
    Hazard("own_malloc", "its_own", 29, captures=0),
)


@pytest.fixture(scope="session")
def folder() -> Path:
    return torture.build()


def _libraries(allocator: str, folder: Path) -> list[str]:
    try:
        return torture.library(allocator, folder)
    except LookupError as missing:
        pytest.skip(f"{missing} (tests/system-packages.txt)")


def _run(words: list[str], preload: list[str], variables: dict[str, str], folder: Path) -> tuple[int, bytes, bytes]:
    """Exit status, output and errors of a program in `folder`."""
    environment = {**os.environ, **variables}
    if preload:
        environment["LD_PRELOAD"] = ":".join(preload)
    done = subprocess.run(
        words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S
    )
    return done.returncode, done.stdout, done.stderr


def _in_use(recording: Recording) -> tuple[int, int]:
    """Bytes in use and allocated in the end. No stack ever freed more than it allocated, no total ever fell."""
    state: dict[int, np.ndarray] = {}
    columns = ("alloc_bytes", "free_bytes", "alloc_objects", "free_objects")
    for snapshot in snapshots(recording):
        table = np.array([snapshot.columns[name] for name in columns], dtype=np.uint64)
        assert (table[1] <= table[0]).all() and (table[3] <= table[2]).all(), f"freed more, snapshot {snapshot.number}"
        for index, stack in enumerate(snapshot.ids):
            now = table[:, index]
            assert (now >= state.get(int(stack), 0)).all(), f"stack {stack} fell in snapshot {snapshot.number}"
            state[int(stack)] = now
    return sum(int(values[0] - values[1]) for values in state.values()), sum(
        int(values[0]) for values in state.values()
    )


class Runs:
    """One hazard over one allocator, as often as asked: always with the same output and status."""

    def __init__(self, hazard: Hazard, allocator: str, agent: Path, recorder: Path, folder: Path, place: Path) -> None:
        self.words = [*hazard.wrapper, str(folder / hazard.program), hazard.name]
        self.below, self.agent, self.recorder, self.place = _libraries(allocator, folder), agent, recorder, place
        self.hazard = hazard
        self.without = _run(self.words, self.below, {}, place)
        assert self.without[0] == hazard.status and b"FAILED" not in self.without[1], self.without

    def under(self, variables: dict[str, str]) -> None:
        outcome = _run(self.words, [str(self.agent), *self.below], variables, self.place)
        assert outcome == self.without, "the program noticed"

    def recorded(self, mode: str) -> list[Path]:
        """The captures of a run with a recorder of its own: whole, plausible, and as many as there should be."""
        folder = self.place / mode
        folder.mkdir()
        with Server(self.recorder, folder, "--output={name}.{pid}.tide") as server:
            self.under({"HEAPTIDE_SOCKET": server.address, **MODES[mode]})
            server.finish(PATIENCE_S)
        captures = sorted(folder.glob("*.tide"))
        figures = [_in_use(load(capture)) for capture in captures]
        assert sum(allocated > 0 for _, allocated in figures) >= self.hazard.captures, captures
        if mode == "exact" and self.hazard.held is not None:
            assert sum(in_use for in_use, _ in figures) == self.hazard.held, figures
        return captures


@pytest.mark.parametrize(
    ("hazard", "allocator"),
    [pytest.param(hazard, over, id=f"{hazard}-{over}") for hazard in HAZARDS for over in hazard.allocators],
)
def test_hazard(hazard: Hazard, allocator: str, agent: Path, recorder: Path, folder: Path, tmp_path: Path) -> None:
    runs = Runs(hazard, allocator, agent, recorder, folder, tmp_path)
    runs.under({})
    for mode in MODES:
        runs.recorded(mode)


@pytest.mark.parametrize("mode", MODES)
def test_names_after_address_reuse(mode: str, agent: Path, recorder: Path, folder: Path, tmp_path: Path) -> None:
    """Two libraries took turns at one address: what each kept stands under its own name."""
    runs = Runs(Hazard("libraries", "address_reuse", 0), "glibc", agent, recorder, folder, tmp_path)
    (capture,) = runs.recorded(mode)
    series = heaptide.open(capture)
    profile = series.at(series.snapshots[-1])
    sums = {"alpha_keeps": 0, "beta_keeps": 0}
    for row in range(len(profile)):
        names = {frame.function or "" for frame in profile.frames_of(row)}
        for name in names & sums.keys():
            sums[name] += int(profile.column("inuse_space")[row])
    truth = {"alpha_keeps": 21 * 10 * 1000, "beta_keeps": 21 * 10 * 3000}
    tolerance = 0.0 if mode == "exact" else 0.5  # of 21 and 63 % of 4 KiB samples: not a test of sampling
    for name, expected in truth.items():
        assert abs(sums[name] - expected) <= tolerance * expected, sums
