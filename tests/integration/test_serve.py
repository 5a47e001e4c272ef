# SPDX-License-Identifier: Apache-2.0
"""`heaptide serve` as a process, on captures of real programs, asked over sockets: by http.client where a request is
sound, byte for byte where it is not. What a browser makes of it is in tests/browser.

Nothing here sleeps: a program grows when it is told to, and news are waited for on the event stream.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from heaptide._errors import InputError
from heaptide.build import load as read_capture
from heaptide.cli.guard import status_of
from heaptide.cli.main import cli
from heaptide.formats.targets import TARGETS
from heaptide.render.page.document import unpack
from heaptide.web.server import HEAD_TIME_S, MOST_CONNECTIONS

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


# --- programs and servers ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, agent: Path, recorder: Path) -> Path:
    folder = tmp_path_factory.mktemp("served")
    (folder / "grower.c").write_text(PROGRAM)
    subprocess.run(["cc", "-O1", "-g", "-o", folder / "grower", folder / "grower.c"], check=True)
    return folder / "grower"


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


@pytest.fixture(scope="module")
def capture(program: Path) -> Path:
    """A finished one."""
    path = program.parent / "finished.tide"
    growing = Growing(program, path)
    for blocks, total in ((100, 100_000), (200, 300_000), (300, 600_000)):
        growing.grow(blocks)
        growing.until_recorded(total)
    growing.end()
    return path


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


@pytest.fixture(scope="module")
def shared_server(capture: Path) -> Iterator[Server]:
    """One for all tests that only ask. Its source root is the program's folder."""
    secret = capture.parent.parent / "secret.c"
    secret.write_text("the secret\n")
    with serving(capture, capture, cwd=capture.parent) as server:
        yield server


@pytest.fixture(scope="module")
def session(shared_server: Server) -> Session:
    session = shared_server.enter()
    assert [entry["state"] for entry in session.ready()] == ["ready", "ready"]
    return session


# --- who may ask ------------------------------------------------------------------------------------------------------


def test_the_token_is_exchanged_once_for_a_cookie(capture: Path) -> None:
    with serving(capture, "--access-log", cwd=capture.parent) as server:
        for wrong in (
            "/",
            "/?token=",
            "/?token=wrong",
            f"/?token={server.token}x",
            f"/api/captures?token={server.token}",
        ):
            assert server.ask(wrong)[0].status == 403, wrong
        answer, _ = server.ask(f"/?token={server.token}")
        assert (answer.status, answer.getheader("Location")) == (303, "/")
        cookie = answer.getheader("Set-Cookie") or ""
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; ")) and server.token not in cookie
        session = Session(server, cookie.partition(";")[0])
        again, body = server.ask(f"/?token={server.token}")
        assert again.status == 403 and not again.getheader("Set-Cookie") and b"opened before" in body
        known, _ = server.ask(f"/?token={server.token}", session.headers)
        assert known.status == 303 and not known.getheader("Set-Cookie")
        assert b'<meta name="heaptide-serve"' in session.get("/")
        said = server.end()
    assert server.token not in said and session.headers["Cookie"] not in said
    assert "127.0.0.1 GET / 303" in said and "127.0.0.1 GET /api/captures 403" in said


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:{port}"}, 421),
        ({"Host": "127.0.0.1.evil.example:{port}"}, 421),
        ({"Host": "192.168.1.1:{port}"}, 421),
        ({"Host": "localhost:{port}"}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Cookie": ""}, 403),
        ({"Cookie": "heaptide=1"}, 403),
    ],
)
def test_host_origin_and_cookie(session: Session, headers: dict[str, str], status: int) -> None:
    sent = {name: value.format(port=session.server.port) for name, value in headers.items()}
    for target in ("/api/captures", "/api/page/1", "/", "/api/events", "/api/download/1?to=pprof"):
        if status == 200 and target == "/api/events":
            continue  # it does not end
        answer, body = session.server.ask(target, {**session.headers, **sent})
        assert answer.status == status, target
        assert status == 200 or b"grower" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_methods(session: Session, method: str) -> None:
    answer, _ = session.server.ask("/api/captures", session.headers, method)
    assert answer.status == 405 and answer.getheader("Allow") == "GET, HEAD"
    assert not [name for name, _ in answer.getheaders() if name.lower().startswith("access-control")]


def test_head(session: Session) -> None:
    answer, body = session.server.ask("/api/captures", session.headers, "HEAD")
    assert (answer.status, body) == (200, b"") and int(answer.getheader("Content-Length") or 0) > 2
    answer, body = session.server.ask("/api/events", session.headers, "HEAD")
    assert (answer.status, body) == (200, b"")


def test_every_answer_has_the_headers(session: Session) -> None:
    for target, headers in (
        ("/", session.headers),
        ("/api/captures", session.headers),
        ("/api/page/1", session.headers),
        ("/nothing", session.headers),
        ("/", {}),
        (f"/?token={session.server.token}", session.headers),
    ):
        answer, _ = session.server.ask(target, headers)
        wanted = {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Server": None,
        }
        assert {name: answer.getheader(name) for name in wanted} == wanted, target
        policy = answer.getheader("Content-Security-Policy") or ""
        assert (
            "default-src 'none'" in policy
            and "frame-ancestors 'none'" in policy
            and "unsafe-eval'" not in (policy.replace("'wasm-unsafe-eval'", ""))
        )


# --- what cannot be reached -------------------------------------------------------------------------------------------

OUTSIDE = (
    *("/../../../../etc/passwd", "/api/../../../etc/passwd", "/api/page/../../../../etc/passwd", "//etc/passwd"),
    *("/..%2f..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "/api/page/..%2f..%2fetc%2fpasswd"),
    *("/api/page/%2e%2e%2fsecret.c", "/api/page/%252e%252e%252fsecret.c", "/api/page/1/../../../secret.c"),
    *("/api/source/1?file=../secret.c", "/api/source/1?file=/etc/passwd", "/api/source/1?file=-1"),
    *(
        "/api/source/1?file=0x0",
        "/api/source/1?file=99999999999999999999999",
        "/api/source/1?file=%00",
        "/api/source/1",
    ),
    *("/api/source/../../secret.c?file=0", "/api/download/1?to=../secret.c", "/api/download/1?to=/etc/passwd"),
    *("/api/difference/1?old=../secret.c", "/secret.c", "/finished.tide", "/./finished.tide", "http://127.0.0.1/../x"),
    *(
        "/api/page/%00",
        "/api/page/1%00",
        "/api/page/\\..\\..\\secret.c",
        "/api/page/",
        "/api/page",
        "file:///etc/passwd",
    ),
)


@pytest.mark.parametrize("target", OUTSIDE)
def test_no_path_leads_out(session: Session, target: str) -> None:
    """As it stands, byte for byte: http.client would tidy it up."""
    request = (
        f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {session.headers['Cookie']}\r\nConnection: close\r\n\r\n"
    )
    answer = session.server.raw(request.encode())
    assert re.match(rb"HTTP/1\.1 (400|404) ", answer), answer[:200]
    assert b"root:" not in answer and b"the secret" not in answer


HOST = b"\r\nHost: 127.0.0.1\r\n"


@pytest.mark.parametrize(
    ("line", "rest", "status"),
    [
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1", HOST, b"414"),
        (b"GET /?" + b"a" * 5000 + b" HTTP/1.1", HOST, b"414"),
        (b"GET / HTTP/1.1", b"\r\n", b"400"),
        (b"GET / HTTP/1.0", b"\r\n", b"421"),
        (b"GET / HTTP/1.1", HOST + b"Host: evil.example\r\n", b"400"),
        (b"GET / HTTP/1.1", HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n", b"400"),
        (b"GET / HTTP/1.1", HOST + b"Upgrade: websocket\r\n", b"403"),
        (b"CONNECT evil.example:80 HTTP/1.1", HOST, b"405"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n", b"400"),
        (b"\0" * 1000, b"\r\n", b"400"),
    ],
)
def test_requests_that_are_none(session: Session, line: bytes, rest: bytes, status: bytes) -> None:
    answer = session.server.raw(line + rest + b"Connection: close\r\n\r\n")
    assert answer.split(b" ", 2)[1:2] == [status], answer[:200]
    assert session.status("/api/captures") == 200


@pytest.mark.parametrize(
    "what", [b"/" + b"a" * 300_000 + b" HTTP/1.1" + HOST, b"/ HTTP/1.1" + HOST + b"X: " + b"a" * 300_000]
)
def test_requests_without_bounds(session: Session, what: bytes) -> None:
    """Refused before their end, or cut off: what was answered is lost when the connection is closed meanwhile."""
    with socket.create_connection(("127.0.0.1", session.server.port), timeout=PATIENCE_S) as connection:
        answer = exchanged(connection, b"GET " + what)
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 414", b""), answer[:200]
    assert session.status("/api/captures") == 200


def exchanged(connection: socket.socket, request: bytes) -> bytes:
    """What is answered. A server that has read enough may close before all was sent."""
    answer = b""
    try:
        connection.sendall(request)
        while part := connection.recv(65536):
            answer += part
    except ConnectionError:
        pass
    return answer


@pytest.mark.parametrize(
    "body", [b"Content-Length: 1000000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nffffff\r\n"]
)
def test_a_body_is_refused_and_not_waited_for(session: Session, body: bytes) -> None:
    head = f"GET /api/captures HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {session.headers['Cookie']}\r\n"
    with socket.create_connection(("127.0.0.1", session.server.port), timeout=PATIENCE_S) as connection:
        answer = exchanged(connection, head.encode() + body + b"x" * 100)
    assert answer.startswith(b"HTTP/1.1 413 ") and answer.count(b"HTTP/1.1") == 1
    assert session.status("/api/captures") == 200


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/api/page/3", 404),
        ("/api/page/x", 404),
        ("/api/source/1?file=999", 404),
        ("/api/sources/1?at=999999", 400),
        ("/api/sources/1?at=", 400),
        ("/api/sources/1?at=1e3", 400),
        ("/api/sources/1?at=-1", 400),
        ("/api/sources/1?at=%D9%A1", 400),
        ("/api/sources/1?base=0", 400),
        ("/api/sources/1?value=rss", 400),
        ("/api/sources/1?kind=all", 400),
        ("/api/difference/1?old=9", 404),
        ("/api/difference/1?old=2&by=thread", 400),
        ("/api/download/1", 400),
        ("/api/download/1?to=exe", 400),
    ],
)
def test_questions_that_make_no_sense(session: Session, target: str, status: int) -> None:
    answer, body = session.server.ask(target, session.headers)
    assert answer.status == status
    assert 1 < len(body) < 300 and b"Traceback" not in body


# --- what is answered -------------------------------------------------------------------------------------------------


def numbers(document: dict[str, Any]) -> list[int]:
    """Of the moments up to the end."""
    moments = document["moments"]
    found: list[int] = moments["number"][: moments["end"] + 1]
    return found


def test_the_document_is_that_of_the_command_line(session: Session, capture: Path) -> None:
    document = session.document()
    top = json.loads(heaptide("top", capture, "--json", cwd=capture.parent))
    moments = document["moments"]
    assert moments["in_use"][moments["end"]] == top["total"] >= 600_000
    assert document["capture"] == str(capture) and not document["live"]
    (entry, _) = session.json("/api/captures")
    assert (entry["name"], entry["title"], entry["version"], entry["message"]) == (str(capture), "grower", 1, "")


def test_source_lines_are_those_of_list(session: Session, capture: Path) -> None:
    last = numbers(session.document())[-1]
    first = numbers(session.document())[1]
    files = session.json("/api/sources/1")
    (number,) = [file["index"] for file in files if file["name"].endswith("grower.c")]
    for query, options in (
        ("", ()),
        (f"&at={first}", ("--at", f"#{first}")),
        (f"&at={last}&base={first}", ("--at", f"#{last}", "--base", f"#{first}")),
        ("&value=alloc_objects", ("--value", "alloc_objects")),
    ):
        source = session.json(f"/api/source/1?file={number}{query}")
        assert source["lines"][SITE_LINE - 1] == "  return malloc(1000); /* the site */"
        printed = json.loads(heaptide("list", "^(grow|passing|main)$", capture, "--json", *options, cwd=capture.parent))
        wanted = {line["line"]: (line["flat"], line["cum"]) for row in printed.get("rows", []) for line in row["lines"]}
        assert {line["line"]: (line["flat"], line["cum"]) for line in source["amounts"]} == wanted, query


def test_source_outside_of_the_roots_is_not_shown(capture: Path, tmp_path: Path) -> None:
    with serving(capture, cwd=tmp_path) as server:
        session = server.enter()
        session.ready()
        (number,) = [file["index"] for file in session.json("/api/sources/1") if file["name"].endswith("grower.c")]
        source = session.json(f"/api/source/1?file={number}")
        assert source["lines"] is None and "--source-path" in source["reason"]
        assert source["amounts"], "what its lines hold is known all the same"
        server.end()


@pytest.mark.parametrize("form", [*TARGETS, "svg", "pdf"])
def test_downloads_are_what_convert_writes(session: Session, capture: Path, tmp_path: Path, form: str) -> None:
    number = numbers(session.document())[-2]
    answer, data = session.server.ask(f"/api/download/1?to={form}&at={number}", session.headers)
    assert answer.status == 200
    name = unquote((answer.getheader("Content-Disposition") or "").partition("UTF-8''")[2])
    assert name.startswith(f"finished.{number}.") and "/" not in name
    if form not in TARGETS:
        assert data.startswith({"svg": b"<?xml", "pdf": b"%PDF"}[form])
        return
    wanted = tmp_path / name
    words = ("convert", capture, "--at", f"#{number}", "--to", form, "-o", wanted)
    heaptide(*words, cwd=capture.parent)
    assert data == wanted.read_bytes()
    assert bool(answer.getheader("Heaptide-Note")) == (form != "pprof")
    assert session.status(f"/api/download/1?to={form}&at={number}&base=1") in (200, 400)


def test_two_captures_and_their_difference(session: Session) -> None:
    known = numbers(session.document())
    target = f"/api/difference/1?old=2&at={known[-1]}&old_at={known[1]}&by=function"
    found = session.json(target)
    in_use = session.document()["moments"]["in_use"]
    assert found["rows"][0]["name"] == "grow" and found["more"] == 0 and found["rows"][0]["sign"] == 1
    assert found["total"].startswith("+") or in_use[-1] == in_use[1]
    same = session.json(f"/api/difference/1?old=2&at={known[-1]}&old_at={known[-1]}")
    assert same["rows"] == []


def test_what_can_be_downloaded(session: Session) -> None:
    assert [one["name"] for one in session.json("/api/formats")] == [*TARGETS, "svg", "pdf"]


# --- a capture that grows ---------------------------------------------------------------------------------------------


def test_a_capture_that_grows_is_told_and_shown(program: Path, tmp_path: Path) -> None:
    path = tmp_path / "growing.tide"
    growing = Growing(program, path)
    growing.grow(100)
    growing.until_recorded(100_000)
    with serving(path, cwd=tmp_path) as server:
        session = server.enter()
        with session.events() as news:
            seen = 0
            for total in (100_000, 1_100_000, 2_100_000):
                while True:
                    (entry,) = next(news)
                    assert entry["version"] >= seen, "versions rise"
                    assert entry["state"] == "loading" or not entry["message"], entry
                    seen = entry["version"]
                    if seen and session.document()["moments"]["in_use"][-1] >= total:
                        break
                assert entry["live"] and entry["state"] == "ready"
                growing.grow(1000)
            growing.end()
            entry = next(entries[0] for entries in news if not entries[0]["live"])
        assert session.document()["moments"]["in_use"][-1] >= 3_100_000 and not session.document()["live"]
        path.unlink()
        with session.events() as news:
            entry = next(entries[0] for entries in news if entries[0]["message"])
        assert "is not there" in entry["message"] and entry["state"] == "ready"
        assert session.document()["title"] == "growing.tide", "what was read stays"
        server.end()


def test_many_at_once(session: Session) -> None:
    """Twenty who ask at a time, for everything there is."""
    files = session.json("/api/sources/1")
    targets = [
        *("/", "/api/captures", "/api/page/1", "/api/page/2", "/api/formats", "/api/sources/2"),
        *("/api/download/1?to=pprof", "/api/download/2?to=collapsed", "/api/difference/1?old=2"),
        *(
            f"/api/source/1?file={file['index']}&at={number}"
            for file in files[:1]
            for number in numbers(session.document())[:9]
        ),
    ]
    alone = {target: session.get(target) for target in targets}
    with ThreadPoolExecutor(20) as pool:
        together = list(pool.map(session.get, targets * 5))
    assert together == [alone[target] for target in targets * 5]


def test_more_connections_than_are_served(capture: Path) -> None:
    """Those who connect and say nothing keep others out only as long as they are let."""
    with serving(capture, cwd=capture.parent) as server:
        session = server.enter()
        began = time.monotonic()
        idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(MOST_CONNECTIONS + 16)]
        answer, _ = server.ask("/api/captures", session.headers)
        assert answer.status == 503 or time.monotonic() - began > HEAD_TIME_S, "or this machine stood still meanwhile"
        for connection in idle:
            connection.settimeout(PATIENCE_S)
            assert connection.recv(1) == b"", "closed by the server"
            connection.close()
        assert session.status("/api/captures") == 200
        server.end()


# --- beginning and end ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_with_streams_open(capture: Path, number: int) -> None:
    with serving(capture, cwd=capture.parent) as server:
        session = server.enter()
        session.ready()
        half = socket.create_connection(("127.0.0.1", server.port))
        half.sendall(b"GET / HTTP/1.1\r\nHost: 127.0")
        with session.events() as first, session.events() as second:
            next(first), next(second)
            said = server.end(number)
            assert list(first) == [] and list(second) == []
        half.close()
    assert said.count("\n") == 1, "the one line about the address"


def addresses_of_this_machine() -> list[str]:
    """Those that others can reach, as far as its name tells."""
    try:
        found = socket.gethostbyname_ex(socket.gethostname())[2]
    except OSError:
        return []
    return [address for address in found if not address.startswith("127.")]


def test_where_it_listens(capture: Path) -> None:
    with serving(capture, cwd=capture.parent) as server:
        assert server.host == "127.0.0.1"
        for address in addresses_of_this_machine():
            with pytest.raises(OSError):
                socket.create_connection((address, server.port), timeout=PATIENCE_S)
        taken = subprocess.run(
            [sys.executable, "-m", "heaptide", "serve", "--port", str(server.port), str(capture)],
            capture_output=True,
            text=True,
        )
        assert taken.returncode == 2 and "cannot listen" in taken.stderr and "--port" in taken.stderr
        assert "warning" not in server.end()
    with serving(capture, "--host", "0.0.0.0", cwd=capture.parent) as server:
        answer, _ = server.ask("/api/captures", {"Host": "evil.example"})
        assert answer.status == 421
        assert server.ask("/api/captures", {"Host": "10.1.2.3:80"})[0].status == 403, "a number, but no cookie"
        assert "other machines" in server.end()


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ((), 2, "no capture was named"),
        (("missing.tide",), 3, "No such file"),
        ((".",), 3, "Is a directory"),
        (("--host", "no.such.host.invalid", __file__), 2, "cannot listen"),
        (("--source-path", "nowhere", __file__), 2, "nowhere"),
    ],
)
def test_mistakes_on_the_command_line(
    words: tuple[str, ...],
    status: int,
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status_of(cli, "heaptide", ["serve", *words]) == status
    printed = capsys.readouterr()
    assert text in printed.err and not printed.out


def test_names_that_nobody_would_choose(capture: Path, tmp_path: Path) -> None:
    """Bytes that are no UTF-8, a terminal's commands, HTML; and the same name in two folders."""
    name = os.fsdecode(b"x\xff\x1b[31m<script>\n.tide")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(capture.read_bytes())
    with serving(f"a/{name}", f"b/{name}", capture, "--access-log", cwd=tmp_path) as server:
        session = server.enter()
        shown = r"x\xff\x1b[31m<script>\x0a.tide"
        assert [entry["name"] for entry in session.ready()] == [f"a/{shown}", f"b/{shown}", "finished.tide"]
        assert session.document("2")["capture"] == f"b/{shown}"
        answer, _ = server.ask("/api/download/1?to=collapsed", session.headers)
        disposition = answer.getheader("Content-Disposition") or ""
        assert unquote(disposition.partition("UTF-8''")[2]).startswith(shown.removesuffix(".tide"))
        server.ask("/%1b[31m%0a%ff%e2%80%ae", session.headers)
        said = server.end()
    assert r"GET /\x1b[31m\x0a\ufffd\u202e 404" in said.replace("\ufffd", r"\ufffd"), said
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said)


def test_a_file_that_is_no_capture(tmp_path: Path) -> None:
    (tmp_path / "x.tide").write_text("no capture\n")
    with serving("x.tide", cwd=tmp_path) as server:
        session = server.enter()
        (entry,) = session.ready()
        assert entry["state"] == "failed" and "expected a heaptide capture" in entry["message"]
        assert session.status("/api/page/1") == 503
        assert "Traceback" not in server.end()


# --- pprof -http ------------------------------------------------------------------------------------------------------


def test_pprof_http_serves_any_profile(capture: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "end.pb.gz"
    heaptide("convert", capture, "-o", foreign, cwd=tmp_path)
    total = json.loads(heaptide("top", capture, "--json", cwd=tmp_path))["total"]
    for words, moments, in_use in (
        (("-http=:", "-no_browser", foreign), 1, total),
        (("-http=localhost:0", "-no_browser", "-focus=^grow$", foreign), 1, 600_000),
        (("-http=:", "-no_browser", "-base", foreign, foreign), 1, 0),
        (("-http=:", "-no_browser", capture), 4, total),
    ):
        with serving(*words, cwd=tmp_path, verb="pprof") as server:
            session = server.enter()
            (entry,) = session.ready()
            assert entry["state"] == "ready", entry
            document = session.document()
            found = document["moments"]
            assert len(found["number"]) >= moments and found["in_use"][found["end"]] == in_use
            told = [text for text in document["warnings"] if "asks for" in text]
            assert bool(told) == any(str(word).startswith(("-focus", "-base")) for word in words)
            server.end()


def test_the_browser_is_opened_where_there_is_a_desktop(capture: Path, tmp_path: Path) -> None:
    opener, opened = tmp_path / "xdg-open", tmp_path / "opened"
    os.mkfifo(opened)
    opener.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    opener.chmod(opener.stat().st_mode | stat.S_IXUSR)
    desktop = {"DISPLAY": ":7", "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    for verb, words in (("serve", ("--open", capture)), ("pprof", ("-http=:", capture))):
        with serving(*words, cwd=tmp_path, verb=verb, environment=desktop) as server:
            assert opened.read_text().strip() == server.url
            server.end()
    no_desktop = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    with serving("-http=:", capture, cwd=tmp_path, verb="pprof", environment=no_desktop) as server:
        assert "desktop" not in server.end()


def test_pprof_http_is_for_heaps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cpu.folded").write_text("main;work 17\n")
    assert status_of(cli, "heaptide", ["pprof", "-http=:", str(tmp_path / "cpu.folded")]) == 4
    assert "values of a heap" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["8080", "localhost", "a:b:c", ":99999", "http://localhost:80"])
def test_addresses_that_are_none(capture: Path, capsys: pytest.CaptureFixture[str], address: str) -> None:
    assert status_of(cli, "heaptide", ["pprof", f"-http={address}", str(capture)]) == 2
    assert "is no address" in capsys.readouterr().err
