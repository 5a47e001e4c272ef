# SPDX-License-Identifier: Apache-2.0
"""What the tests of real programs share: recording, waiting for the last word, sums by frame.

    recording = record(["jq", "."], tmp_path, recorder, "--exact")
    recording.series.at("end")    # a heaptide Profile

Nothing here knows a number: what is true, each test finds out for itself.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import heaptide
from heaptide import capture
from heaptide.model import Frame, Profile, Series

PATIENCE_S = 20
TCMALLOC = Path("/usr/lib/x86_64-linux-gnu/libtcmalloc.so.4")
RUN_TIMEOUT_S = 120


@dataclass(frozen=True)
class Recording:
    """One recorded run: the capture, and what the program itself did."""

    path: Path
    done: subprocess.CompletedProcess[bytes]

    @property
    def series(self) -> Series:
        return heaptide.open(self.path)


def wait_until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Poll until `condition` holds; the test fails, saying `what` was awaited, when it never does."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"after {patience_s} s still no {what}")
        time.sleep(0.01)


def is_finished(path: Path) -> bool:
    """Whether the recorder has written its last record: it outlives the program by a few milliseconds."""
    return path.exists() and capture.read(path.read_bytes(), live=True).complete


def execute(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a command with `env` on top of ours; both outputs are kept, and no status raises."""
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        list(command), env=environment, cwd=cwd, input=stdin, capture_output=True, timeout=RUN_TIMEOUT_S
    )


def record(
    command: Sequence[str],
    folder: Path,
    recorder: Path,
    *options: str,
    env: Mapping[str, str] | None = None,
    name: str = "run",
    stdin: bytes = b"",
) -> Recording:
    """Run a command under the recorder and wait for the finished capture, `folder`/`name`.tide."""
    output = folder / f"{name}.tide"
    done = execute([str(recorder), *options, "-o", str(output), "--", *command], env=env, stdin=stdin)
    wait_until(lambda: is_finished(output), f"finished capture {output}; the program said {done.stderr!r}")
    return Recording(output, done)


@dataclass(frozen=True)
class Totals:
    """The four numbers of a heap profile, in the order in which gperftools writes them."""

    inuse_objects: int
    inuse_space: int
    alloc_objects: int
    alloc_space: int


_COUNTS = re.compile(rb"^(?:heap profile:)?\s*(\d+):\s*(\d+) \[\s*(\d+):\s*(\d+)\] @", re.MULTILINE)


def heap_totals(path: Path) -> Totals:
    """The header's totals of a .heap file."""
    match = _COUNTS.match(path.read_bytes())
    assert match, f"{path} is no heap profile"
    return Totals(*map(int, match.groups()))


def heap_record_sum(path: Path) -> Totals:
    """The sum over a .heap file's records, which an old tcmalloc's dump buffer may have cut short."""
    records = [tuple(map(int, numbers)) for numbers in _COUNTS.findall(path.read_bytes())[1:]]
    return Totals(*(sum(column) for column in zip(*records, strict=True)))


def profile_totals(profile: Profile) -> Totals:
    """The same four numbers of a profile of ours, rounded to whole objects."""
    names = ("inuse_objects", "inuse_space", "alloc_objects", "alloc_space")
    return Totals(*(round(profile.total(name)) for name in names))


def sum_where(profile: Profile, value: str, wanted: Callable[[tuple[Frame, ...]], bool]) -> float:
    """Sum of a value over the stacks that `wanted` says yes to."""
    column = profile.column(value)
    return float(sum(column[row] for row in range(len(profile)) if wanted(profile.frames_of(row))))


def rows_where(profile: Profile, wanted: Callable[[tuple[Frame, ...]], bool]) -> list[int]:
    """The rows whose stacks `wanted` says yes to."""
    return [row for row in range(len(profile)) if wanted(profile.frames_of(row))]


def passes_through(function: str) -> Callable[[tuple[Frame, ...]], bool]:
    """For `sum_where`: stacks that have a frame of this name."""
    return lambda frames: any(frame.function == function for frame in frames)


def compile_c(source: str, output: Path, *flags: str) -> Path:
    """Compile a C program given as text; the compiler's complaint fails the test."""
    path = output.with_suffix(".c")
    path.write_text(source)
    command = [os.environ.get("CC", "cc"), "-std=gnu17", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]
    done = execute([*command, "-o", str(output), str(path), *flags])
    assert done.returncode == 0, done.stderr.decode()
    return output
