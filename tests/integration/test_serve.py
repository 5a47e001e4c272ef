# SPDX-License-Identifier: Apache-2.0
"""`heaptide serve` refuses: over sockets, by http.client where a request is sound, byte for byte where it is not.
And how it begins and ends. What a browser makes of it is in tests/browser.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import unquote

import pytest

from heaptide.cli.guard import status_of
from heaptide.cli.main import cli
from heaptide.web.server import HEAD_TIME_S, MOST_CONNECTIONS
from tests.integration.serving import PATIENCE_S, Session, serving

# --- who may ask ------------------------------------------------------------------------------------------------------


def test_the_token_is_exchanged_once_for_a_cookie(finished: Path) -> None:
    with serving(finished, "--access-log", cwd=finished.parent) as server:
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


def test_more_connections_than_are_served(finished: Path) -> None:
    """Those who connect and say nothing keep others out only as long as they are let."""
    with serving(finished, cwd=finished.parent) as server:
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
def test_it_ends_with_streams_open(finished: Path, number: int) -> None:
    with serving(finished, cwd=finished.parent) as server:
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


def test_where_it_listens(finished: Path) -> None:
    with serving(finished, cwd=finished.parent) as server:
        assert server.host == "127.0.0.1"
        for address in addresses_of_this_machine():
            with pytest.raises(OSError):
                socket.create_connection((address, server.port), timeout=PATIENCE_S)
        taken = subprocess.run(
            [sys.executable, "-m", "heaptide", "serve", "--port", str(server.port), str(finished)],
            capture_output=True,
            text=True,
        )
        assert taken.returncode == 2 and "cannot listen" in taken.stderr and "--port" in taken.stderr
        assert "warning" not in server.end()
    with serving(finished, "--host", "0.0.0.0", cwd=finished.parent) as server:
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


def test_names_that_nobody_would_choose(finished: Path, tmp_path: Path) -> None:
    """Bytes that are no UTF-8, a terminal's commands, HTML; and the same name in two folders."""
    name = os.fsdecode(b"x\xff\x1b[31m<script>\n.tide")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(finished.read_bytes())
    with serving(f"a/{name}", f"b/{name}", finished, "--access-log", cwd=tmp_path) as server:
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
