# SPDX-License-Identifier: Apache-2.0
"""Damaged, forged and foreign books, the recorder under ASan and UBSan: each ends its own recording alone."""

from __future__ import annotations

import array
import fcntl
import os
import random
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from heaptide.capture import read
from tests.builders.fake_agent import Server, build, load

SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
SEEDS = 150
SEALS = 1 | 2 | 4  # SEAL SHRINK GROW
F_ADD_SEALS = 1033
HELLO = struct.Struct("<QIiQ")
HELLO_MAGIC, VERSION = 0x4F4C4C4548544841, 1
HEADER_WORDS = 36  # of 4 bytes: those that describe the layout, and a little more


@pytest.fixture(scope="module")
def fake(native_build: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(native_build, tmp_path_factory.mktemp("fake"))


@pytest.fixture(scope="module")
def checked_recorder(native_build: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorder under the sanitizers."""
    folder = tmp_path_factory.mktemp("asan")
    try:
        path: Path = native_build.build(native_build.RECORDER, folder, extra=SANITIZE)
    except native_build.BuildError:
        pytest.skip("the compiler has no ASan or UBSan")
    return path


@pytest.fixture
def serve(checked_recorder: Path, tmp_path: Path) -> Callable[[], Server]:
    options = f"log_path={tmp_path}/sanitizer:abort_on_error=0:exitcode=77:detect_leaks=1"

    def start() -> Server:
        env = {"ASAN_OPTIONS": options, "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={tmp_path}/sanitizer"}
        return Server(checked_recorder, tmp_path, "--every=10ms", "--output={name}.{pid}.tide", env=env)

    return start


def _assert_clean(folder: Path) -> None:
    said = [path.read_text() for path in folder.glob("sanitizer*")]
    assert not said, said[0][:3000]


def test_books_damaged_while_they_are_read(serve: Callable[[], Server], fake: Path, tmp_path: Path) -> None:
    with serve() as server:
        for first in range(0, SEEDS, 3):
            programs = [
                server.start(fake, f"damage={seed + 1}", "ms=15", ("mode=sampled", "mode=exact")[seed % 2])
                for seed in range(first, min(first + 3, SEEDS))
            ]
            for program in programs:
                program.wait(30)
        healthy = server.start(fake, "ms=100")
        assert healthy.wait() == 7
        summaries = server.finish(patience_s=60)
    _assert_clean(tmp_path)
    assert len(summaries) >= SEEDS * 3 // 4, "most are at least begun"
    assert {summary["cause"] for summary in summaries if "cause" in summary} >= {"books", "exited"}
    for capture in tmp_path.glob("*.tide"):
        assert not read(capture.read_bytes()).damage, "what is written is sound in itself"
    load(tmp_path / f"fake_agent.{healthy.pid}.tide")


# ---- Forged registrations -------------------------------------------------------------------------------------------


def _memfd(data: bytes, seals: int = SEALS) -> int:
    fd = os.memfd_create("forged", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.write(fd, data)
    fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


def _send(address: str, hello: bytes, fds: list[int]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect("\0" + address[1:])
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        connection.sendmsg([hello], rights)
    for fd in fds:
        os.close(fd)


def _hello(size: int, pid: int | None = None, magic: int = HELLO_MAGIC, version: int = VERSION) -> bytes:
    return HELLO.pack(magic, version, pid or os.getpid(), size)


def test_what_is_no_registration_is_refused(serve: Callable[[], Server], tmp_path: Path) -> None:
    junk = bytes(range(256)) * 64
    with serve() as server:
        registrations: list[tuple[bytes, list[int]]] = [
            (b"x", []),
            (b"y" * 5000, []),
            (_hello(len(junk)), []),
            (_hello(len(junk), pid=1), [_memfd(junk)]),
            (_hello(len(junk), magic=1), [_memfd(junk)]),
            (_hello(len(junk), version=2), [_memfd(junk)]),
            (_hello(len(junk) + 1), [_memfd(junk)]),
            (_hello(len(junk)), [_memfd(junk, seals=0)]),
            (_hello(len(junk)), [_memfd(junk)]),
            (_hello(0), [os.open("/dev/zero", os.O_RDWR)]),
            (_hello(len(junk)), [_memfd(junk) for _ in range(7)]),
        ]
        for hello, fds in registrations:
            _send(server.address, hello, fds)
        silent = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(20)]
        for connection in silent:
            connection.connect("\0" + server.address[1:])
        time.sleep(0.2)
        open_fds = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        for connection in silent:
            connection.close()
        time.sleep(0.2)
        assert len(os.listdir(f"/proc/{server.process.pid}/fd")) <= open_fds - 20, "descriptors are given back"
        (refused,) = server.finish()
    _assert_clean(tmp_path)
    assert refused == {"refused": len(registrations) + len(silent)}


def _header_of(fake: Path, folder: Path, server: Server) -> bytes:
    """Books as the fake agent lays them out, before anything happens: taken from a living one's memory."""
    program = server.start(fake, "ms=1", "end=stay", "threads=1")
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for line in Path(f"/proc/{program.pid}/maps").read_text().splitlines():
                if "memfd:fake-books" in line:
                    start, end = (int(word, 16) for word in line.split()[0].split("-"))
                    with open(f"/proc/{program.pid}/mem", "rb") as memory:
                        memory.seek(start)
                        return memory.read(end - start)
            time.sleep(0.01)
        raise AssertionError("no books")
    finally:
        program.kill()
        program.wait()


def test_every_word_of_the_header_forged(serve: Callable[[], Server], fake: Path, tmp_path: Path) -> None:
    """Each layout word takes extreme values in sealed books of this very process; the recorder lives and answers."""
    choose = random.Random(2)
    with serve() as server:
        books = bytearray(_header_of(fake, tmp_path, server))
        struct.pack_into("<i", books, books.index(b"fake\0") - 32, os.getpid())
        sent = 0
        for word in range(HEADER_WORDS):
            for value in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, choose.getrandbits(32), 1 << choose.randrange(32)):
                forged = bytearray(books[: 64 << 10])
                struct.pack_into("<I", forged, 4 * word, value)
                fd = os.memfd_create("forged", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
                os.write(fd, forged)
                os.ftruncate(fd, len(books))
                fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
                _send(server.address, _hello(len(books)), [fd])
                sent += 1
        program = server.start(fake, "ms=100")
        assert program.wait() == 7
        time.sleep(1)
        assert server.process.poll() is None, "the recorder lives"
        load(tmp_path / f"fake_agent.{program.pid}.tide")
    _assert_clean(tmp_path)
    assert sent == HEADER_WORDS * 6


def test_leaks_nothing_over_many_images(serve: Callable[[], Server], fake: Path, tmp_path: Path) -> None:
    with serve() as server:
        server.start(fake, "ms=10").wait()
        time.sleep(0.3)
        before = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        for _ in range(15):
            subprocess.run([fake, "ms=5"], env={"HEAPTIDE_SOCKET": server.address}, cwd=tmp_path)
        time.sleep(0.3)
        assert len(os.listdir(f"/proc/{server.process.pid}/fd")) == before
        assert len(server.finish()) == 16
    _assert_clean(tmp_path)
