# SPDX-License-Identifier: Apache-2.0
"""`heaptide serve` as a process of its own, and a program whose recording goes on meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.browser.commands import clean_environment, heaptide

PATIENCE_S = 120.0


@contextmanager
def served(*words: object, cwd: Path) -> Iterator[str]:
    """The address that it prints; at the end it is interrupted and must end well."""
    command = [sys.executable, "-m", "heaptide", "serve", *map(str, words)]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=clean_environment()
    )
    assert server.stdout is not None and server.stderr is not None
    guard = threading.Timer(PATIENCE_S, server.kill)  # a server that says nothing must not stop the tests
    guard.start()
    address = server.stdout.readline().strip()
    guard.cancel()
    try:
        assert address.startswith("http://"), address
        yield address
    finally:
        server.send_signal(signal.SIGINT)
        _, complaints = server.communicate(timeout=PATIENCE_S)
    assert server.returncode == 0, complaints
    assert "Traceback" not in complaints, complaints


@contextmanager
def recording(program: Path, capture: Path, seconds: int) -> Iterator[subprocess.Popen[str]]:
    """A program that is being recorded. It is ended when nobody needs it any more."""
    words = [sys.executable, "-m", "heaptide", "run", "-o", str(capture), "--", str(program), str(seconds)]
    running = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=clean_environment())
    try:
        deadline = time.monotonic() + PATIENCE_S
        while heaptide("top", capture).returncode != 0:  # until the first snapshot is in it
            assert running.poll() is None and time.monotonic() < deadline, "no capture"
        yield running
    finally:
        running.terminate()
        running.communicate(timeout=PATIENCE_S)
