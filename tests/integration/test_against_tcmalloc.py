# SPDX-License-Identifier: Apache-2.0
"""Real programs, counted by Debian's libtcmalloc and by us: equal stack by stack, function by function, to the byte.

Three ways to the same numbers: tcmalloc's HEAPPROFILE dump, ours, and a recorded exact capture. The dumps are read by
google-pprof and by bench/against_tcmalloc.py, the capture by `heaptide top`. What differs by design, and is therefore
not compared here, is in docs/design/0002-truth.md.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import against_tcmalloc as versus
from tests.integration import realworld as rw

SCALE = 2
INUSE_INTERVAL = 500_000


@pytest.fixture(params=sorted(versus.WORKLOADS))
def workload(request: pytest.FixtureRequest, tmp_path: Path, need: Callable[..., None]) -> versus.Workload:
    need(request.param, "google-pprof")
    if not versus.TCMALLOC.exists():
        pytest.skip(f"no {versus.TCMALLOC} (Debian: libgoogle-perftools4)")
    return versus.WORKLOADS[request.param](tmp_path, SCALE)


def _both(workload: versus.Workload, agent: Path, folder: Path, interval: int = 0) -> tuple[list[Path], list[Path]]:
    ours = versus.dumps(workload, agent, folder / "ours", interval)
    theirs = versus.dumps(workload, versus.TCMALLOC, folder / "theirs", interval)
    return ours, theirs


def test_dumps_are_equal(workload: versus.Workload, agent: Path, tmp_path: Path) -> None:
    """The exit dump: every stack, in use and allocated, objects and bytes; and google-pprof's table of functions."""
    (*_, ours), (*_, theirs) = _both(workload, agent, tmp_path)
    assert versus.differences(versus.read(ours)[0], versus.read(theirs)[0]) == []
    assert rw.heap_totals(ours) == rw.heap_totals(theirs) == rw.heap_record_sum(ours)
    program = shutil.which(workload.command[0]) or ""
    for value in ("inuse_space", "alloc_space"):
        assert versus.pprof_functions(program, ours, value) == versus.pprof_functions(program, theirs, value)


def test_dumps_by_growth_are_equal(agent: Path, tmp_path: Path, need: Callable[..., None]) -> None:
    """The in-use rule strikes at the same allocation. (xmllint: it hardly calls realloc, for which see 0002.)"""
    need("xmllint")
    if not versus.TCMALLOC.exists():
        pytest.skip(f"no {versus.TCMALLOC}")
    ours, theirs = _both(versus.xmllint(tmp_path, SCALE), agent, tmp_path, INUSE_INTERVAL)
    assert len(ours) == len(theirs) > 3
    for one, other in zip(ours, theirs, strict=True):
        assert versus.differences(versus.read(one)[0], versus.read(other)[0]) == []


def _top(capture: Path, value: str) -> dict[versus.Place, int]:
    words = ["top", str(capture), "--at", "exit", "--by", "address", "--all-frames", "--value", value, "--json"]
    done = rw.execute([sys.executable, "-m", "heaptide", *words])
    assert done.returncode in (0, 4), done.stderr.decode()  # 4: nothing is in use
    flat: dict[versus.Place, int] = defaultdict(int)
    for row in json.loads(done.stdout)["rows"]:
        if row["flat"]:
            flat[os.path.realpath(row["module"]), int(str(row["address"]), 0)] += row["flat"]
    return dict(flat)


def test_capture_is_equal(workload: versus.Workload, agent: Path, recorder: Path, tmp_path: Path) -> None:
    """Flat bytes by address: `heaptide top` of an exact capture, and google-pprof of tcmalloc's dump."""
    theirs = versus.dumps(workload, versus.TCMALLOC, tmp_path / "theirs")[-1]
    recording = rw.record(workload.command, tmp_path, recorder, "--exact", stdin=workload.stdin)
    program = shutil.which(workload.command[0]) or ""
    for value in ("inuse_space", "alloc_space"):
        assert _top(recording.path, value) == versus.pprof_flat(program, theirs, value)
    assert rw.profile_totals(recording.series.at("exit")) == rw.heap_totals(theirs)
