# SPDX-License-Identifier: Apache-2.0
"""The door: judges every request by `access`, gives every answer its headers, and lets no exception out."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heaptide.render.harmless import harmless
from heaptide.web.access import LONGEST_TARGET, Access, Asked, Verdict

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
NOTHING_ALLOWED = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The policy of every answer that brings none of its own: all but the page."""

Log = Callable[[str], None]
_log = logging.getLogger("heaptide.web")


class Gate:
    """ASGI around an application. ``log`` gets a line for each request: method, path, status; never a query."""

    def __init__(self, app: ASGIApp, access: Access, log: Log | None = None) -> None:
        self._app, self._access, self._log = app, access, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(message)
                self._tell(scope, message["status"])
            await send(message)

        answer = _refusal_or_entry(self._access.judge(_asked(scope)))
        try:
            await (answer or self._app)(scope, receive, with_headers)
        except Exception:
            _log.exception("no answer to %s", _line(scope))
            if not started:
                text = "an error of heaptide's own: see the terminal\n"
                await PlainTextResponse(text, 500)(scope, receive, with_headers)

    def _tell(self, scope: Scope, status: int) -> None:
        if self._log is not None:
            client = scope.get("client")
            self._log(f"{client[0] if client else '-'} {_line(scope)} {status}")


def _line(scope: Scope) -> str:
    """A request for the log. The query is left out, since a token stands there."""
    return harmless(f"{scope['method']} {scope['path']}"[:LONGEST_TARGET])


def _asked(scope: Scope) -> Asked:
    headers: dict[str, list[str]] = defaultdict(list)
    for name, value in scope["headers"]:
        headers[name.decode("latin-1").lower()].append(value.decode("latin-1"))
    query: bytes = scope["query_string"]
    length = len(scope["raw_path"]) + len(query)
    tokens = parse_qs(query.decode("latin-1")).get("token") if length <= LONGEST_TARGET else None
    return Asked(scope["method"], scope["path"], length, tokens[0] if tokens else None, headers)


def _refusal_or_entry(verdict: Verdict) -> Response | None:
    if verdict.what == "pass":
        return None
    if verdict.what == "refuse":
        headers = {"Connection": "close"} | ({"Allow": "GET, HEAD"} if verdict.status == 405 else {})
        return PlainTextResponse(f"{verdict.text}\n", verdict.status, headers)
    return RedirectResponse("/", 303, {"Set-Cookie": verdict.cookie} if verdict.cookie else {})


def _add_headers(message: Message) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers[name] = value
    headers.setdefault("Content-Security-Policy", NOTHING_ALLOWED)
