# SPDX-License-Identifier: Apache-2.0
"""Who may ask. One value for a server; no I/O.

The printed address carries a token. Its first use is answered with a cookie that holds another secret; then the token
is spent, so that it is worth nothing in a browser's history, a log or a screenshot. Everything else needs the cookie.

What else is checked guards the browser that holds the cookie against other pages in it: Host (a foreign name that was
made to resolve to this machine: DNS rebinding), Origin and Sec-Fetch-Site (a request that another page sends here).
The port in Host is not compared, because a tunnel (ssh -L) may use another; an attacker's name is wrong whatever its
port. The same holds for cookies: browsers keep them by host, not by port, so the cookie's name is random.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hmac import compare_digest
from typing import Literal

TOKEN_BYTES = 32
LONGEST_TARGET = 4096
"""Bytes of a path with its query."""

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
_SAME_SITE = ("same-origin", "none")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as it matters here. Header names are in lower case; one that was sent twice has two values."""

    method: str
    path: str
    length: int
    """Bytes of the path as sent, with its query."""
    token: str | None
    """The query's."""
    headers: Mapping[str, Sequence[str]]

    def header(self, name: str) -> str | None:
        """The value of a header; values that were sent apart are joined. None where it was not sent."""
        values = self.headers.get(name)
        return None if not values else ", ".join(values)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do: let it pass, send it to `/` (with a cookie, when set), or refuse it."""

    what: Literal["pass", "enter", "refuse"]
    status: int = 200
    text: str = ""
    cookie: str | None = None


PASS = Verdict("pass")


def _no(status: int, text: str) -> Verdict:
    return Verdict("refuse", status, text)


class Access:
    """The secrets of one server and the names that it answers to. ``names``: see `names_of`."""

    def __init__(self, names: Iterable[str], *, any_address: bool = False) -> None:
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self._session = secrets.token_urlsafe(TOKEN_BYTES)
        self._cookie = f"heaptide-{secrets.token_hex(4)}"
        self._names = frozenset(name.lower() for name in names)
        self._any_address = any_address
        self._spent = False
        self._lock = threading.Lock()

    def judge(self, asked: Asked) -> Verdict:
        """Of every request, before anything else looks at it."""
        if asked.method not in ("GET", "HEAD"):
            return _no(405, "only GET and HEAD are answered")
        if asked.header("content-length") not in (None, "0") or asked.header("transfer-encoding") is not None:
            return _no(413, "a question has no body")
        if asked.length > LONGEST_TARGET:
            return _no(414, "the address is too long")
        if not self._names_us(asked.header("host")):
            return _no(421, "this server does not answer to that Host")
        if not _from_ourselves(asked):
            return _no(403, "refused: the request comes from another page. Open the address by hand")
        holds = self._holds_cookie(asked.header("cookie"))
        if asked.path == "/" and asked.token is not None:
            return self._enter(asked, holds)
        return PASS if holds else _no(403, "refused: open the address that heaptide printed, in this browser")

    def _enter(self, asked: Asked, holds: bool) -> Verdict:
        """The token's exchange. Who has the cookie already is only led away from the address that shows the token."""
        if holds:
            return Verdict("enter", 303)
        if asked.method != "GET" or not compare_digest((asked.token or "").encode(), self.token.encode()):
            return _no(403, "refused: this is not the address that heaptide printed")
        with self._lock:
            if self._spent:
                return _no(403, "refused: this address was opened before. It works once; start heaptide again")
            self._spent = True
        return Verdict("enter", 303, cookie=f"{self._cookie}={self._session}; HttpOnly; SameSite=Strict; Path=/")

    def _holds_cookie(self, header: str | None) -> bool:
        pairs = (pair.strip().partition("=") for pair in re.split("[;,]", header or ""))
        sent = [value for name, _, value in pairs if name == self._cookie]
        return any(compare_digest(value.encode(), self._session.encode()) for value in sent)

    def _names_us(self, host: str | None) -> bool:
        found = _HOST.fullmatch(host or "")
        if found is None:
            return False
        name = found["name"].lower()
        return name in self._names or (self._any_address and is_address(name))


def _from_ourselves(asked: Asked) -> bool:
    """Whether a browser that tells where a request comes from names our own page, or the user's own hand."""
    origin, site = asked.header("origin"), asked.header("sec-fetch-site")
    if origin is not None and origin.lower() != f"http://{asked.header('host')}".lower():
        return False
    return site is None or site.lower() in _SAME_SITE


def is_address(name: str) -> bool:
    """Whether a Host is a number, which no resolver can be made to lie about. IPv6 stands in brackets."""
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def access_for(host: str, bound: str) -> Access:
    """Access to a server that was asked to listen at ``host`` and listens at the address ``bound``.

    It answers to both and to localhost; where it listens at every address of the machine, to any number and the
    machine's name.
    """
    everywhere = ipaddress.ip_address(bound).is_unspecified
    names = {"localhost", "127.0.0.1", in_address(host), in_address(bound)}
    return Access(names | ({socket.gethostname()} if everywhere else set()), any_address=everywhere)


def in_address(host: str) -> str:
    """A host as it stands in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
