# SPDX-License-Identifier: Apache-2.0
"""The ledger against the kernel's figures and the allocators' own, of programs that stand still meanwhile.

`pytest -s` prints a line for each: docs/design/0008-the-ledger.md has them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heaptide.analysis.ledger import Ledger, ledger
from heaptide.build import load
from tests.integration.realworld import is_finished, wait_until

SOURCES = Path(__file__).parent.parent / "programs" / "ledger"
PATIENCE_S = 90
MIB = 1 << 20
ALLOCATORS = ("libc", "jemalloc", "tcmalloc")
PYTHON = """
import sys
kept = [{str(i): [i] * 20, "x": "y" * (i % 700)} for i in range(40000)][::3]
print("ready", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Mapping:
    """One entry of smaps."""

    start: int
    end: int
    rights: str
    inode: int
    name: str
    rss: int


@dataclass(frozen=True)
class Answer:
    """What the kernel and the allocator said of a program at rest, and what the ledger says."""

    maps: list[Mapping]
    said: dict[str, Any]
    ledger: Ledger

    @property
    def rss(self) -> int:
        return sum(mapping.rss for mapping in self.maps)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ledger")
    common: list[str | Path] = ["-O1", "-g", "-pthread", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *common, "-o", folder / "fragments", SOURCES / "fragments.c"], check=True)
    subprocess.run(["c++", *common, "-o", folder / "server", SOURCES / "server.cpp"], check=True)
    asker: list[str | Path] = [
        "cc",
        *common,
        "-shared",
        "-fPIC",
        "-o",
        folder / "asker.so",
        SOURCES / "asker.c",
        "-ldl",
    ]
    subprocess.run(asker, check=True)
    return folder


def read_smaps(pid: int) -> list[Mapping]:
    """Every mapping of a process with its resident bytes."""
    found: list[Mapping] = []
    pattern = r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+) *(.*)\n(?:.*\n)*?Rss: +(\d+) kB"
    for start, end, rights, inode, name, rss in re.findall(pattern, Path(f"/proc/{pid}/smaps").read_text()):
        found.append(Mapping(int(start, 16), int(end, 16), rights, int(inode), name, int(rss) * 1024))
    return found


def program_of(run: int) -> int:
    """The pid of the program that `heaptide run` started: its child that has the agent's library."""
    for child in Path(f"/proc/{run}/task/{run}/children").read_text().split():
        if "libheaptide.so" in Path(f"/proc/{child}/maps").read_text():
            return int(child)
    pytest.fail("`heaptide run` has no child with the agent in it")


def readings(capture: Path) -> int:
    """How often the program's pages have been read so far."""
    return sum("part_heap" in snapshot.memory for snapshot in load(capture).snapshots)


@contextmanager
def running(command: list[str | Path], folder: Path, tmp_path: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A program under `heaptide run`, with the asker in it, once it has said that it is ready."""
    os.mkfifo(tmp_path / "in")
    env = os.environ | {
        "LD_PRELOAD": str(folder / "asker.so"),
        "ASKER_IN": str(tmp_path / "in"),
        "ASKER_OUT": str(tmp_path / "out"),
        "ASKER_PROGRAM": Path(command[0]).name,
    }
    words: list[str | Path] = [
        sys.executable,
        "-m",
        "heaptide",
        "run",
        "-o",
        tmp_path / "x.tide",
        "--no-children",
        *options,
        "--",
    ]
    with subprocess.Popen(
        [*words, *command], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        try:
            assert run.stdout is not None
            for line in run.stdout:
                if "ready" in line.lower():
                    break
            yield run
        finally:
            run.send_signal(signal.SIGCONT)
            run.terminate()
            run.communicate(timeout=PATIENCE_S)


def ask(run: subprocess.Popen[str], tmp_path: Path) -> Answer:
    """Asks the allocator, stops the program, asks the kernel, waits for a reading of the pages, ends the program."""
    capture, out = tmp_path / "x.tide", tmp_path / "out"
    fifo = os.open(tmp_path / "in", os.O_RDWR)
    os.write(fifo, b"?")
    wait_until(out.exists, "answer of the allocator", PATIENCE_S)
    os.close(fifo)
    program = program_of(run.pid)
    os.kill(program, signal.SIGSTOP)  # or jemalloc gives back what it has just told of
    maps = read_smaps(program)
    wait_until(capture.exists, "capture", PATIENCE_S)
    before = readings(capture)
    wait_until(lambda: readings(capture) >= before + 2, "reading of the pages", PATIENCE_S)
    os.kill(program, signal.SIGKILL)  # nothing is freed
    os.kill(run.pid, signal.SIGCONT)  # it stops and goes on with its child
    run.wait(PATIENCE_S)
    wait_until(lambda: is_finished(capture), "last word", PATIENCE_S)
    return Answer(maps, json.loads(out.read_text()), ledger(load(capture), "exit"))


# ---- What must hold ---------------------------------------------------------------------------------------------


def files_of(maps: list[Mapping]) -> tuple[int, int]:
    """Resident bytes of files, heaptide's own left out; and of what lies right behind them: their zeroed data, and what
    the kernel joined to that."""
    files = [mapping for mapping in maps if mapping.inode or mapping.name in ("[vdso]", "[vvar]")]
    ends = {mapping.end for mapping in files}
    behind = [mapping for mapping in maps if not mapping.inode and not mapping.name and mapping.start in ends]
    own = sum(mapping.rss for mapping in files if "heaptide" in mapping.name)
    return sum(mapping.rss for mapping in files) - own, sum(mapping.rss for mapping in behind)


def error_of_free(answer: Answer) -> float:
    """Bytes that the ledger's free memory is off. Its own books are told by their size, touched or not."""
    free, least, books = answer.ledger.part("allocator_free").bytes, answer.said["free"], answer.said["books"]
    return float(max(least - free, free - least - books, 0))


def check_sums(answer: Answer) -> None:
    """The parts are what the kernel says, add up, and none is negative."""
    found = answer.ledger
    assert all(part.bytes >= 0 for part in found.parts)
    assert sum(part.bytes for part in found.parts) + found.remainder_bytes == pytest.approx(found.rss_bytes)
    files, data = files_of(answer.maps)
    told = found.part("code").bytes + found.part("files").bytes
    errors = (
        abs(found.rss_bytes - answer.rss),
        abs(found.remainder_bytes),
        max(files - told, told - files - data, 0),
        error_of_free(answer),
    )
    free, said = found.part("allocator_free"), answer.said
    print(
        f"\n{said['allocator']}: resident {answer.rss / MIB:.1f} MiB, free {free.bytes / MIB:.2f} MiB, allocator says"
        f" {said['free'] / MIB:.2f} and {said['books'] / MIB:.2f} of books, errors {sum(errors) / answer.rss:.2%}"
    )
    assert sum(errors) < 0.03 * answer.rss, (errors, answer.rss)


def check_free(answer: Answer, share: float = 0.05) -> None:
    assert error_of_free(answer) < share * answer.said["free"], (answer.ledger.part("allocator_free"), answer.said)


def options_of(allocator: str) -> tuple[str, ...]:
    return () if allocator == "libc" else ("--allocator", allocator)


@pytest.fixture
def installed(need: Callable[..., None]) -> Callable[[str], None]:
    def check(allocator: str) -> None:
        library = {"jemalloc": "libjemalloc.so.2", "tcmalloc": "libtcmalloc.so.4"}.get(allocator)
        if library and not list(Path("/usr/lib").glob(f"*/{library}")):
            pytest.skip(f"{library} is not installed (tests/system-packages.txt)")

    return check


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_a_heap_in_fragments(
    allocator: str, programs: Path, tmp_path: Path, recorder: Path, agent: Path, installed: Callable[[str], None]
) -> None:
    installed(allocator)
    with running([programs / "fragments"], programs, tmp_path, "--exact", *options_of(allocator)) as run:
        answer = ask(run, tmp_path)
    check_sums(answer)
    check_free(answer)
    found = answer.ledger
    assert found.absent_bytes == pytest.approx(36 * MIB, abs=MIB / 4)  # three quarters of 48 MiB were never touched
    assert found.part("mapped").bytes == 8 * MIB
    assert [share.place and share.place.function for share in found.part("mapped").sites] == ["maps"]
    sites = {share.place.function: share.bytes for share in found.part("in_use").sites if share.place}
    assert sites["untouched"] == pytest.approx(12 * MIB, rel=0.02)
    assert sites["keeps"] == pytest.approx(22.4e6, rel=0.01)


def test_a_sampled_one_within_its_error(programs: Path, tmp_path: Path, recorder: Path, agent: Path) -> None:
    with running([programs / "fragments"], programs, tmp_path) as run:
        answer = ask(run, tmp_path)
    found = answer.ledger.part("allocator_free")
    assert 0 < found.error_bytes < 0.2 * found.bytes
    assert abs(found.bytes - answer.said["free"]) < 2.5 * found.error_bytes  # five standard errors
    assert answer.ledger.absent_bytes == pytest.approx(36 * MIB, rel=0.05)  # large blocks are surely drawn


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_a_server_with_threads(
    allocator: str, programs: Path, tmp_path: Path, recorder: Path, agent: Path, installed: Callable[[str], None]
) -> None:
    installed(allocator)
    with running([programs / "server"], programs, tmp_path, "--exact", *options_of(allocator)) as run:
        answer = ask(run, tmp_path)
    check_sums(answer)
    check_free(answer)
    stacks = answer.ledger.part("stacks").bytes
    assert 9 * 4096 <= stacks < 9 * 256 * 1024  # of nine threads


def test_python(programs: Path, tmp_path: Path, recorder: Path, agent: Path) -> None:
    python = shutil.which("python3", path="/usr/bin")
    if python is None:
        pytest.skip("no /usr/bin/python3")
    with running([python, "-c", PYTHON], programs, tmp_path, "--exact") as run:
        answer = ask(run, tmp_path)
    check_sums(answer)  # what is free is little: its own allocator maps what it needs
    assert answer.ledger.part("mapped").bytes > 0.3 * answer.rss


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def test_redis(programs: Path, tmp_path: Path, recorder: Path, agent: Path, need: Callable[..., None]) -> None:
    need("redis-server", "redis-cli")
    port = str(free_port())
    server: list[str | Path] = ["redis-server", "--port", port, "--save", "", "--enable-debug-command", "yes"]
    thin = "for i = 0, 99999 do if i % 3 ~= 0 then redis.call('del', 'key:' .. i) end end"
    with running(server, programs, tmp_path, "--exact") as run:
        for words in (("debug", "populate", "100000", "key", "300"), ("eval", thin, "0")):
            subprocess.run(["redis-cli", "-p", port, *words], check=True, capture_output=True, timeout=PATIENCE_S)
        answer = ask(run, tmp_path)
    check_sums(answer)
    check_free(answer)
