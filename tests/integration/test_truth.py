# SPDX-License-Identifier: Apache-2.0
"""Exact mode against programs with known answers: by function, to the byte, at both moments.

Each program of tests/programs runs under the recorder and writes its own account; what the capture says of every
function that is in it must be equal. Functions that are in no account (main, libc's own) are not looked at.
"""

from __future__ import annotations

import re
import sys
import sysconfig
import time
from collections import defaultdict
from pathlib import Path

import pytest

import heaptide
from heaptide import capture, launch
from heaptide._errors import LaunchError
from heaptide.analysis.site import site_of
from heaptide.capture.records import ModuleRecord
from heaptide.model import Profile, Series, Snapshot
from tests.programs import build as programs

VALUES = ("alloc_space", "alloc_objects", "inuse_space", "inuse_objects")
NO_SHUTDOWN = {"killed", "quits", "cxx_containers"}
"""Programs that end by a signal or by _exit: the state at their exit is all there is."""
RECORDER_PATIENCE_S = 20


def _finished(folder: Path) -> Path:
    """The capture in `folder`, once the recorder has written its last record (it outlives the program a little)."""
    deadline = time.monotonic() + RECORDER_PATIENCE_S
    while time.monotonic() < deadline:
        found = list(folder.glob("*.tide"))
        if len(found) == 1 and capture.read(found[0].read_bytes(), live=True).complete:
            return found[0]
        time.sleep(0.05)
    pytest.fail(f"no finished capture after {RECORDER_PATIENCE_S} s, there is {list(folder.iterdir())}")


def _bare(function: str | None) -> str:
    """`made::plain(int)` -> `plain`."""
    return re.sub(r"\(.*", "", function or "").split("::")[-1]


def _by_site(profile: Profile) -> dict[str, programs.Counts]:
    sums: dict[str, list[int]] = defaultdict(lambda: [0] * len(VALUES))
    for row in range(len(profile)):
        site = site_of(profile.frames_of(row))
        for index, value in enumerate(VALUES):
            sums[_bare(site.function if site else None)][index] += int(profile.column(value)[row])
    return {name: programs.Counts(*values) for name, values in sums.items()}


def _record(
    name: str,
    folder: Path,
    *wrapper: str | Path,
    flags: tuple[str, ...] = ("-O2",),
    arguments: tuple[str, ...] = (),
) -> tuple[Series, programs.Outcome]:
    """Run a program behind the words of `wrapper`: the recorder, or `heaptide run` with its options."""
    if programs.compiler(name) is None:
        pytest.skip(f"no compiler for {programs.source(name).name}")
    outcome = programs.run(
        programs.build(name, *flags),
        *arguments,
        truth=folder / "truth",
        wrapper=[*map(str, wrapper), "--exact", "-o", str(folder / "{name}.{pid}.tide"), "--"],
    )
    return heaptide.open(_finished(folder)), outcome


def _snapshot(series: Series, kind: str) -> Snapshot:
    """The last snapshot of that kind. By kind and not by `end`, which goes back over what a program frees in main."""
    found = [snapshot for snapshot in series.snapshots if snapshot.kind == kind]
    assert found, f"no {kind} snapshot among {[snapshot.kind for snapshot in series.snapshots]}"
    return found[-1]


def _compare(series: Series, kind: str, truth: dict[str, programs.Counts]) -> None:
    seen = _by_site(series.at(_snapshot(series, kind)))
    nothing = programs.Counts(0, 0, 0, 0)
    assert {site: seen.get(site, nothing) for site in truth} == truth, f"at the {kind}; all that was seen: {seen}"


@pytest.mark.parametrize("flag", ["-O0", "-O2"])
@pytest.mark.parametrize("name", programs.NAMES)
def test_exact_to_the_byte(name: str, flag: str, tmp_path: Path, agent: Path, recorder: Path) -> None:
    series, outcome = _record(name, tmp_path, recorder, flags=(flag,))
    assert outcome.status == -programs.SIGNALLED.get(name, 0)
    assert outcome.stdout == b"" and outcome.stderr == b"", "the tool spoke in its host"
    _compare_both(name, series, outcome)


def _compare_both(name: str, series: Series, outcome: programs.Outcome) -> None:
    assert series.mode == "exact"
    if name not in NO_SHUTDOWN:
        _compare(series, "shutdown", outcome.truth.end)
    _compare(series, "exit", outcome.truth.exit)


def _library(allocator: str) -> str:
    """What `--allocator` is given: a name, or for PyPI's mimalloc its path; skips where it is not installed."""
    if allocator == "cmeel-mimalloc":
        found = sorted(Path(sysconfig.get_path("purelib")).glob("cmeel.prefix/lib/libmimalloc.so.*"))
        return str(found[0]) if found else pytest.skip("cmeel-mimalloc is not installed (pip install heaptide[test])")
    try:
        launch.allocator_path(allocator)
    except LaunchError as missing:
        pytest.skip(f"{missing} (tests/system-packages.txt)")
    return allocator


ALLOCATORS = ("tcmalloc", "jemalloc", "mimalloc", "cmeel-mimalloc")
UNFIT = {
    ("entry_points", "jemalloc"),  # has no pvalloc, and cannot free the C library's
    ("cxx_throws", "mimalloc"),  # its operator new aborts where it should throw
    ("cxx_throws", "cmeel-mimalloc"),
}
"""Programs that do not run over an allocator, without us either."""


@pytest.mark.parametrize(
    ("name", "allocator"),
    [(name, over) for over in ALLOCATORS for name in programs.NAMES if (name, over) not in UNFIT],
)
def test_exact_over_other_allocators(name: str, allocator: str, tmp_path: Path, agent: Path, recorder: Path) -> None:
    """`heaptide run --allocator`: the same program, the same numbers, whoever hands out the blocks."""
    run = [sys.executable, "-m", "heaptide", "run", "--allocator", _library(allocator)]
    series, outcome = _record(name, tmp_path, *run)
    assert outcome.status == (128 + programs.SIGNALLED[name] if name in programs.SIGNALLED else 0)
    paths = {Path(module.path).name for module in _modules(tmp_path) if module.flags & capture.format.MODULE_ALLOCATOR}
    assert [path for path in paths if allocator.removeprefix("cmeel-") in path], f"the blocks came from {paths}"
    _compare_both(name, series, outcome)


def _modules(folder: Path) -> list[ModuleRecord]:
    records = capture.read(_finished(folder).read_bytes()).records
    return [record for record in records if isinstance(record, ModuleRecord)]


def test_shutdown_through_exit(tmp_path: Path, agent: Path, recorder: Path) -> None:
    """The moment `end` is the same when the program calls exit instead of returning from main."""
    series, outcome = _record("frees_at_exit", tmp_path, recorder, arguments=("exit",))
    _compare(series, "shutdown", outcome.truth.end)
    _compare(series, "exit", outcome.truth.exit)


def test_killed_in_the_middle_of_other_threads(tmp_path: Path, agent: Path, recorder: Path) -> None:
    """SIGKILL while three threads are inside malloc and free: half counted is at most one operation of each."""
    series, outcome = _record("killed", tmp_path, recorder, arguments=("3",))
    assert outcome.status == -9
    _compare(series, "exit", outcome.truth.exit)
    churned = _by_site(series.at("exit")).get("churns")
    assert churned is None or abs(churned.inuse_objects) <= 3
