# SPDX-License-Identifier: Apache-2.0
"""Who may ask a server: the token, the cookie, and what guards the browser that holds it."""

from __future__ import annotations

import re
import socket
from dataclasses import replace

import pytest

from heaptide.web.access import LONGEST_TARGET, Access, Asked, access_for, in_address, is_address

HOST = "127.0.0.1:4711"


def asked(path: str = "/", token: str | None = None, method: str = "GET", **headers: str) -> Asked:
    """A request; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): [value] for name, value in {"host": HOST, **headers}.items()}
    return Asked(method, path, len(path), token, named)


@pytest.fixture
def access() -> Access:
    return access_for("127.0.0.1", "127.0.0.1")


def enter(access: Access) -> str:
    """Exchanges the token; the cookie as a browser sends it."""
    verdict = access.judge(asked(token=access.token))
    assert verdict.what == "enter" and verdict.cookie is not None
    return verdict.cookie.partition(";")[0]


def test_the_token_is_exchanged_once(access: Access) -> None:
    first = access.judge(asked(token=access.token))
    assert first.what == "enter" and first.cookie is not None
    name_value, *attributes = first.cookie.split("; ")
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Strict"]
    assert access.token not in first.cookie
    again = access.judge(asked(token=access.token))
    assert (again.what, again.status, again.cookie) == ("refuse", 403, None)
    known = access.judge(asked(token=access.token, cookie=name_value))
    assert (known.what, known.cookie) == ("enter", None)


def test_secrets_have_256_bits_and_differ(access: Access) -> None:
    cookie = enter(access)
    other = Access(["localhost"])
    assert len({access.token, cookie.partition("=")[2], other.token}) == 3
    for secret in (access.token, cookie.partition("=")[2]):
        assert len(secret) >= 43 and re.fullmatch(r"[A-Za-z0-9_-]+", secret)


@pytest.mark.parametrize("token", ["", "x", "\xff" * 43])
def test_a_guessed_token_is_refused_and_spends_nothing(access: Access, token: str) -> None:
    assert access.judge(asked(token=token)).status == 403
    assert access.judge(asked(token=access.token[:-1])).status == 403
    assert access.judge(asked(token=access.token, method="HEAD")).status == 403, "who only looks ahead gets no cookie"
    enter(access)


def test_everything_needs_the_cookie(access: Access) -> None:
    cookie = enter(access)
    name, _, value = cookie.partition("=")
    for path in ("/", "/api/captures", "/nothing/here"):
        assert access.judge(asked(path)).status == 403
        assert access.judge(asked(path, token=access.token)).status == 403, "the token opens nothing but the door"
        assert access.judge(asked(path, cookie=cookie)).what == "pass"
        assert access.judge(asked(path, cookie=f"theme=dark; {cookie}; other=1")).what == "pass"
        for wrong in (f"{name}=", f"{name}={value[:-1]}", f"{name}={value}x", f"other={value}", value, f"{name}=\xff"):
            assert access.judge(asked(path, cookie=wrong)).status == 403, wrong


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"])
def test_only_get_and_head(access: Access, method: str) -> None:
    assert access.judge(asked("/api/captures", method=method, cookie=enter(access))).status == 405


def test_long_addresses(access: Access) -> None:
    cookie = enter(access)
    request = asked("/api/captures", cookie=cookie)
    assert access.judge(replace(request, length=LONGEST_TARGET)).what == "pass"
    assert access.judge(replace(request, length=LONGEST_TARGET + 1)).status == 414


def test_a_question_has_no_body(access: Access) -> None:
    cookie = enter(access)
    assert access.judge(asked("/x", cookie=cookie, content_length="0")).what == "pass"
    assert access.judge(asked("/x", cookie=cookie, content_length="1")).status == 413
    assert access.judge(asked("/x", cookie=cookie, transfer_encoding="chunked")).status == 413


@pytest.mark.parametrize("host", [HOST, "localhost:4711", "LOCALHOST:80", "127.0.0.1", "localhost:9000"])
def test_our_own_names(access: Access, host: str) -> None:
    """Any port: a tunnel may use another."""
    assert access.judge(asked("/api/captures", host=host, cookie=enter(access))).what == "pass"


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "evil.example:4711", "localhost.evil.example", "127.0.0.1.evil.example:4711"),
        *("127.0.0.2", "192.168.1.1", "[::1]:4711", "0.0.0.0:4711", "localhost:", "localhost:123456", "localhost.:80"),
        *(
            "localhost@evil.example",
            "evil.example/127.0.0.1",
            "127.0.0.1:4711, evil.example",
            "127.0.0.1 ",
            "2130706433",
        ),
    ],
)
def test_foreign_names(access: Access, host: str) -> None:
    cookie = enter(access)
    assert access.judge(asked("/api/captures", host=host, cookie=cookie)).status == 421
    fresh = access_for("127.0.0.1", "127.0.0.1")
    assert fresh.judge(asked(token=fresh.token, host=host)).status == 421, "not even with the token"


def test_a_request_without_host_or_with_two(access: Access) -> None:
    cookie = enter(access)
    request = asked("/api/captures", cookie=cookie)
    without = {name: value for name, value in request.headers.items() if name != "host"}
    assert access.judge(replace(request, headers=without)).status == 421
    assert access.judge(replace(request, headers={**without, "host": [HOST, "evil.example"]})).status == 421


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),
        ({"origin": f"http://{HOST}"}, True),
        ({"origin": f"HTTP://{HOST}"}, True),
        ({"origin": f"https://{HOST}"}, False),
        ({"origin": "http://127.0.0.1:9999"}, False),
        ({"origin": "http://localhost:4711"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "anything"}, False),
    ],
)
def test_where_a_request_comes_from(access: Access, headers: dict[str, str], passes: bool) -> None:
    verdict = access.judge(asked("/api/captures", cookie=enter(access), **headers))
    assert verdict.what == ("pass" if passes else "refuse")
    if not passes:
        fresh = access_for("127.0.0.1", "127.0.0.1")
        assert fresh.judge(asked(token=fresh.token, **headers)).status == 403


def test_listening_at_every_address() -> None:
    """Numbers cannot be made to point elsewhere; of the names only the machine's own is known."""
    access = access_for("0.0.0.0", "0.0.0.0")
    cookie = enter(access)
    for host in ("192.168.1.7:80", "[fe80::1]:80", "localhost:1", f"{socket.gethostname()}:80"):
        assert access.judge(asked("/x", host=host, cookie=cookie)).what == "pass", host
    assert access.judge(asked("/x", host="evil.example:80", cookie=cookie)).status == 421


def test_addresses() -> None:
    assert is_address("10.0.0.1") and is_address("[::1]") and not is_address("ten") and not is_address("")
    assert in_address("::1") == "[::1]" and in_address("localhost") == "localhost"
    access = access_for("::1", "::1")
    assert access.judge(asked("/x", host="[::1]:80", cookie=enter(access))).what == "pass"
