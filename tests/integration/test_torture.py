# SPDX-License-Identifier: Apache-2.0
"""The host is sacred: one small program per hazard, without us, sampled and exact, over four allocators.

A hazard passes when the program prints and returns what it does without the tool and every capture is whole, with
no stack freed more than it allocated. tests/torture has the programs; each says in its head what it is about.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import heaptide
from heaptide.capture import Recording, read
from heaptide.capture.records import NoteRecord
from tests.builders import torture
from tests.builders.fake_agent import Server, load, snapshots

MODES = {"sampled": {"HEAPTIDE_SAMPLE": "4KiB"}, "exact": {"HEAPTIDE_EXACT": "1"}}
PATIENCE_S = 240  # of a machine with much else to do


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


GLIBC, SAFE = ("glibc",), (torture.SIGNAL_SAFE,)
NOT_MIMALLOC, NOT_JEMALLOC = ("glibc", "tcmalloc", "jemalloc"), ("glibc", "tcmalloc", "mimalloc")
EXEC_CHAIN = ("sh", "-c", 'exec env NOTHING=1 sh -c \'exec "$@"\' sh "$@"', "sh")
HAZARDS = (
    Hazard("signals", "outside", 3, held=0),
    Hazard("signals", "on_alternate_stack", 3, held=0),
    Hazard("signals", "inside", 3, held=0, allocators=SAFE),
    Hazard("signals", "inside_on_alternate_stack", 3, held=0, allocators=SAFE),
    Hazard("signals", "inside_on_stack_above", 3, allocators=SAFE),
    Hazard("signals", "leaves", 3, allocators=SAFE),
    Hazard("signals", "leaves_new_stacks", 3, allocators=SAFE),
    Hazard("stacks", "exceptions", 4, held=0),
    Hazard("stacks", "bad_alloc", 4, held=0, allocators=NOT_MIMALLOC),  # mimalloc's operator new aborts
    Hazard("stacks", "coroutines", 5, held=40 * (4 * 103 + 64)),  # each: a vector, 103 long on the average, and a block
    Hazard("stacks", "boost_coroutines", 6, held=0),
    Hazard("coroutines", "generators", 9, held=0),
    Hazard("coroutines", "left_unfinished", 9),  # a thread leaves its table of TLS to the next one
    Hazard("stacks", "statics", 7, held=0),
    Hazard("stacks", "deeper_than_kept", 8, held=0),
    Hazard("libraries", "address_reuse", 0),
    Hazard("libraries", "opened_for_ever", 0),
    Hazard("libraries", "runpath", 0),
    Hazard("libraries", "deepbind", 0),
    Hazard("libraries", "deepbind_frees_ours", 0, allocators=GLIBC),
    Hazard("threads", "exit_destructors", 0),
    Hazard("threads", "five_hundred", 0),
    Hazard("threads", "forks", 0, captures=2),
    Hazard("threads", "small_stacks", 0),
    Hazard("threads", "keep_errno", 0),
    Hazard("threads", "exec_among_threads", 0),
    Hazard("requests", "odd", 0, held=0, allocators=NOT_JEMALLOC),  # jemalloc has no pvalloc and cannot free libc's
    Hazard("requests", "failures", 0, held=0),
    Hazard("requests", "usable", 0, held=0, allocators=NOT_JEMALLOC),  # its memalign is not always aligned
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
    Hazard("limits", "locked_at_once", 31, held=0, allocators=GLIBC),
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


def _in_use_by(capture: Path, *functions: str) -> dict[str, int]:
    """Bytes in use in the end below each of the functions."""
    series = heaptide.open(capture)
    profile = series.at(series.snapshots[-1])
    sums = dict.fromkeys(functions, 0)
    for row in range(len(profile)):
        names = {frame.function or "" for frame in profile.frames_of(row)}
        for name in names & sums.keys():
            sums[name] += int(profile.column("inuse_space")[row])
    return sums


@pytest.mark.parametrize("mode", MODES)
def test_names_after_address_reuse(mode: str, agent: Path, recorder: Path, folder: Path, tmp_path: Path) -> None:
    """Two libraries took turns at one address: what each kept stands under its own name."""
    runs = Runs(_named("libraries", "address_reuse"), "glibc", agent, recorder, folder, tmp_path)
    (capture,) = runs.recorded(mode)
    truth = {"alpha_keeps": 21 * 10 * 1000, "beta_keeps": 21 * 10 * 3000}
    tolerance = 0.0 if mode == "exact" else 0.5  # some 50 and 150 samples: not a test of sampling
    for name, seen in _in_use_by(capture, *truth).items():
        assert abs(seen - truth[name]) <= tolerance * truth[name], (name, seen)


def test_names_after_many_openings(agent: Path, recorder: Path, folder: Path, tmp_path: Path) -> None:
    """A library that comes and goes is the same one; another at its address, after 5000 times, is another."""
    runs = Runs(_named("libraries", "opened_for_ever"), "glibc", agent, recorder, folder, tmp_path)
    (capture,) = runs.recorded("exact")
    assert _in_use_by(capture, "alpha_keeps", "beta_keeps") == {"alpha_keeps": 0, "beta_keeps": 10 * 2000}
    stacks = {int(stack) for snapshot in snapshots(load(capture)) for stack in snapshot.ids}
    assert len(stacks) < 100, "each opening made new stacks"


def test_the_log_after_longjmp(agent: Path, recorder: Path, folder: Path, tmp_path: Path) -> None:
    """An entry that was left half made is passed over by the thread that left it: nothing had to be skipped."""
    runs = Runs(_named("signals", "leaves_new_stacks"), SAFE[0], agent, recorder, folder, tmp_path)
    for mode in MODES:
        (capture,) = runs.recorded(mode)
        notes = [record.text for record in load(capture).records if isinstance(record, NoteRecord)]
        assert not [note for note in notes if "log are lost" in note], notes


def _named(program: str, name: str) -> Hazard:
    return next(hazard for hazard in HAZARDS if (hazard.program, hazard.name) == (program, name) and not hazard.wrapper)


def _wait_for(folder: Path, captures: int) -> list[Recording]:
    """The captures of a recorder that nobody waits for, once so many are whole."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = [read(path.read_bytes(), live=True) for path in folder.glob("*.tide")]
        if len(found) >= captures and all(recording.complete for recording in found):
            return found
        time.sleep(0.05)
    pytest.fail(f"not {captures} whole captures after {PATIENCE_S} s: {list(folder.iterdir())}")


ALONE = (
    ("stacks", "statics", 1),
    ("threads", "five_hundred", 1),
    ("threads", "exec_among_threads", 1),
    ("children", "vforks", 1),
    ("children", "prefork", 5),
    ("children", "daemonised", 2),
    ("children", "subreaper", 1),
    ("limits", "closes_everything", 2),
    ("limits", "locked_up", 1),
    ("limits", "no_file_limit", 0),
    ("limits", "descriptor_limit", 0),
    ("limits", "half_of_address_limit", 1),
    ("limits", "aborts", 1),
)
"""Hazards for an agent that was preloaded alone and starts the recorder itself, and how many captures they leave."""


@pytest.mark.usefixtures("recorder")
@pytest.mark.parametrize(("program", "name", "captures"), ALONE)
def test_alone(program: str, name: str, captures: int, agent: Path, folder: Path, tmp_path: Path) -> None:
    """No child that the program could wait for, no descriptor that it could find."""
    runs = Runs(_named(program, name), "glibc", agent, Path(), folder, tmp_path)
    output = tmp_path / "captures"
    output.mkdir()
    runs.under({"HEAPTIDE_OUTPUT": str(output / "{name}.{pid}.tide"), **MODES["exact"]})
    for recording in _wait_for(output, captures):
        _in_use(recording)


@pytest.mark.usefixtures("recorder")
def test_alone_as_pid_1(agent: Path, folder: Path, tmp_path: Path) -> None:
    """A recorder beside PID 1 would be its child: there the agent stays off."""
    hazard = Hazard("children", "reaps_nobody", 0, wrapper=("unshare", "-p", "-f", "--kill-child", "env"))
    runs = Runs(hazard, "glibc", agent, Path(), folder, tmp_path)
    preload = {"LD_PRELOAD": str(agent), "HEAPTIDE_OUTPUT": str(tmp_path / "{name}.{pid}.tide")}
    runs.words[-2:-2] = [f"{name}={value}" for name, value in preload.items()]  # for the program and not for unshare
    assert _run(runs.words, [], {}, tmp_path) == runs.without
    assert not list(tmp_path.glob("*.tide"))


HEAPPROFILE = [hazard for hazard in HAZARDS if hazard.allocators != SAFE and "locked_up" not in hazard.name]
"""All but those that lock themselves up, from files too."""


@pytest.mark.parametrize("hazard", HEAPPROFILE, ids=str)
def test_under_heapprofile(hazard: Hazard, agent: Path, folder: Path, tmp_path: Path) -> None:
    """The old way writes files in the program itself; it says so on its standard error, as it always did."""
    runs = Runs(hazard, "glibc", agent, Path(), folder, tmp_path)
    variables = {"HEAPPROFILE": str(tmp_path / "profile"), "HEAP_PROFILE_ALLOCATION_INTERVAL": "10000000"}
    outcome = _run(runs.words, [str(agent)], variables, tmp_path)
    assert outcome[:2] == runs.without[:2]


def test_other_preloads(agent: Path, recorder: Path, folder: Path, tmp_path: Path) -> None:
    """Ahead of us or behind us; an allocator ahead of us leaves nothing to see, and the program runs."""
    words = [str(folder / "children"), "plain"]
    for number, preload in enumerate(
        (["libbeta.so", "AGENT"], ["AGENT", "libbeta.so"], [f"{torture.SIGNAL_SAFE}.so", "AGENT"])
    ):
        place = tmp_path / str(number)
        place.mkdir()
        libraries = [str(agent) if name == "AGENT" else str(folder / name) for name in preload]
        with Server(recorder, place, "--output={name}.{pid}.tide") as server:
            variables = {"HEAPTIDE_SOCKET": server.address, **MODES["exact"]}
            assert _run(words, libraries, variables, tmp_path) == (12, b"plain\n", b"")
            server.finish(PATIENCE_S)
        captures = [load(path) for path in place.glob("*.tide")]
        assert number == 2 or sum(_in_use(capture)[1] > 0 for capture in captures) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a program setuid for another user")
@pytest.mark.parametrize("bit", [0o4000, 0o2000], ids=["setuid", "setgid"])
@pytest.mark.parametrize("how", ["preloaded", "linked"])
def test_setuid(how: str, bit: int, agent: Path, recorder: Path, folder: Path) -> None:
    """Nothing is done in a setuid or setgid program, not even where the agent is linked in and so always loaded."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        place = Path(name)
        place.chmod(0o777)
        library = str(shutil.copy(agent, place))
        program = place / "plain"
        link = [library, f"-Wl,-rpath,{place}", "-Wl,--no-as-needed"] if how == "linked" else []
        source = str(torture.SOURCES / "children.c")
        subprocess.run(["cc", "-std=gnu17", source, *link, "-o", str(program)], check=True)
        program.chmod(0o755 | bit)
        with Server(recorder, place) as server:
            variables = {"HEAPTIDE_SOCKET": server.address, "HEAPPROFILE": f"{place}/profile", "HEAPTIDE_EXACT": "1"}
            if how == "preloaded":
                variables["LD_PRELOAD"] = library
            done = subprocess.run(
                [program, "plain"], env=variables, capture_output=True, user=65534, group=65534, cwd="/"
            )
            assert (done.returncode, done.stdout) == (12, b"plain\n")
            assert how == "preloaded" or done.stderr == b""
            server.finish(PATIENCE_S)
        assert not list(place.glob("*.tide")) and not list(place.glob("profile*"))


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """A memory cgroup of 16 MiB; the path of the file that takes a pid. Skips where none can be made."""
    for root, limit in (("memory", "memory.limit_in_bytes"), ("unified", "memory.max"), (".", "memory.max")):
        group = Path("/sys/fs/cgroup") / root / f"heaptide-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(16 << 20))
        except OSError:
            if group.exists():
                group.rmdir()
            continue
        yield group / "cgroup.procs"
        group.rmdir()
        return
    pytest.skip("no memory cgroup can be made here")


@pytest.mark.parametrize("mode", MODES)
def test_in_a_small_cgroup(
    mode: str, small_cgroup: Path, agent: Path, recorder: Path, folder: Path, tmp_path: Path
) -> None:
    """The books are charged to the program's own cgroup: they must leave it room."""
    words = ["sh", "-c", f"echo $$ > {small_cgroup}; exec env LD_PRELOAD={agent} {folder}/children plain"]
    with Server(recorder, tmp_path, "--output={name}.{pid}.tide") as server:
        outcome = _run(words, [], {"HEAPTIDE_SOCKET": server.address, **MODES[mode]}, tmp_path)
        server.finish(PATIENCE_S)
    assert outcome == (12, b"plain\n", b"")
    (capture,) = tmp_path.glob("*.tide")
    assert _in_use(load(capture))[1] > 0
