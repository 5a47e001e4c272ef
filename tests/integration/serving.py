# SPDX-License-Identifier: Apache-2.0
"""`heaptide serve` as a process of its own, a program whose recording grows when it is told to, and those who ask.

Nothing here sleeps: news are waited for on the event stream.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from heaptide._errors import InputError
from heaptide.build import load as read_capture
from heaptide.render.page.document import unpack

PATIENCE_S = 120.0
PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
__attribute__((noinline)) char *grow(void) {
  return malloc(1000); /* the site */
}
__attribute__((noinline)) void passing(void) {
  char *volatile block = malloc(500);
  free(block);
}
char *volatile kept;
int main(void) {
  char line[100];
  while (fgets(line, sizeof line, stdin)) {
    for (int i = atoi(line); i > 0; i--) kept = grow();
    passing();
    puts("done");
    fflush(stdout);
  }
  return 0;
}
"""
SITE_LINE = next(number for number, line in enumerate(PROGRAM.splitlines(), 1) if "the site" in line)


def heaptide(*words: object, cwd: Path) -> bytes:
    return subprocess.run([sys.executable, "-m", "heaptide", *map(str, words)], capture_output=True, cwd=cwd).stdout


def in_use(capture: Path) -> int:
    """Bytes at the last snapshot; 0 while there is none."""
    try:
        snapshots = read_capture(capture).snapshots
    except InputError:  # it is being begun
        return 0
    return snapshots[-1].in_use_bytes if snapshots else 0


class Growing:
    """The program under the recorder; it allocates when it is told to."""

    def __init__(self, program: Path, capture: Path) -> None:
        self.capture = capture
        words = ["run", "--exact", "--every", "50ms", "-o", str(capture), "--", str(program)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "heaptide", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def grow(self, blocks: int) -> None:
        """So many blocks of 1,000 bytes; they are allocated when this returns."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{blocks}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def until_recorded(self, total: int) -> None:
        """Returns when a snapshot holds that many bytes. The program does a little meanwhile, which costs no sleep."""
        while not (self.capture.exists() and in_use(self.capture) >= total):
            self.grow(0)

    def end(self) -> None:
        self.process.communicate(timeout=PATIENCE_S)


class Server:
    """A server and what it printed."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url
        parts = urlsplit(url)
        assert parts.hostname is not None and parts.port is not None
        self.host, self.port, self.token = parts.hostname, parts.port, parts.query.removeprefix("token=")

    def ask(
        self, target: str, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> tuple[http.client.HTTPResponse, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)) as connection:
            connection.request(method, target, headers=dict(headers or {}))
            answer = connection.getresponse()
            return answer, answer.read()

    def raw(self, request: bytes) -> bytes:
        """The answer to a request byte for byte, to its end."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as connection:
            connection.sendall(request)
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
            return b"".join(parts)

    def enter(self) -> Session:
        answer, _ = self.ask(f"/?token={self.token}")
        assert answer.status == 303, answer.status
        cookie = answer.getheader("Set-Cookie")
        assert cookie is not None
        return Session(self, cookie.partition(";")[0])

    def end(self, number: int = signal.SIGINT) -> str:
        """What it said on stderr. It ends in order."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, said
        assert "Traceback" not in said, said
        return said


class Session:
    """Who holds the cookie."""

    def __init__(self, server: Server, cookie: str) -> None:
        self.server, self.headers = server, {"Cookie": cookie}

    def get(self, target: str) -> bytes:
        answer, body = self.server.ask(target, self.headers)
        assert answer.status == 200, (target, answer.status, body[:500])
        return body

    def status(self, target: str) -> int:
        return self.server.ask(target, self.headers)[0].status

    def json(self, target: str) -> Any:
        return json.loads(self.get(target))

    def document(self, identity: str = "1") -> dict[str, Any]:
        """The header of a capture's document."""
        return unpack(self.get(f"/api/page/{identity}"))[0]

    @contextmanager
    def events(self) -> Iterator[Iterator[list[dict[str, Any]]]]:
        """Lists of captures as they are told."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=PATIENCE_S)) as connection:
            connection.request("GET", "/api/events", headers=self.headers)
            answer = connection.getresponse()
            assert answer.status == 200 and answer.getheader("Content-Type", "").startswith("text/event-stream")
            yield (json.loads(line.removeprefix(b"data: ")) for line in answer if line.startswith(b"data: "))

    def ready(self) -> list[dict[str, Any]]:
        """The captures, all of them read."""
        with self.events() as news:
            return next(entries for entries in news if all(entry["state"] != "loading" for entry in entries))


@contextmanager
def serving(
    *words: object, cwd: Path, verb: str = "serve", environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    command = [sys.executable, "-m", "heaptide", verb, *map(str, words)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    )
    assert process.stdout is not None
    guard = threading.Timer(PATIENCE_S, process.kill)
    guard.start()
    url = process.stdout.readline().strip()
    guard.cancel()
    assert url.startswith("http://"), process.communicate()
    try:
        yield Server(process, url)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
