# SPDX-License-Identifier: Apache-2.0
"""The API of docs/design/0012. Every request that arrives here has passed the gate."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Literal, ParamSpec, TypeVar, get_args
from urllib.parse import quote

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from heaptide._errors import HeaptideError
from heaptide.model import VALUES
from heaptide.render.page.texts import clean
from heaptide.web.bell import Bell
from heaptide.web.difference import BY, Side, difference
from heaptide.web.opener import Opener, Wanted
from heaptide.web.shelf import Capture, Shelf, Shown
from heaptide.web.source import files_of, source

BEAT_S = 15.0
"""Seconds between two signs of life on an event stream."""
AT_MOST_EACH_S = 0.1
"""Seconds between two messages on it: news that come faster are told together."""
MOST_STREAMS = 32

Kind = Literal["heap", "mmap"]
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Answers:
    """What there is to ask. ``page`` and ``policy``: the page's HTML and its Content-Security-Policy."""

    def __init__(self, shelf: Shelf, bell: Bell, opener: Opener, page: bytes, policy: str) -> None:
        self._shelf, self._bell, self._opener = shelf, bell, opener
        self._page, self._policy = page, policy
        self._streams = 0

    def app(self) -> Starlette:
        """As an ASGI application."""
        return Starlette(
            routes=[
                Route("/", self.page),
                Route("/api/captures", self.captures),
                Route("/api/events", self.events),
                Route("/api/page/{id}", self.document),
                Route("/api/formats", self.formats),
                Route("/api/sources/{id}", self.sources),
                Route("/api/source/{id}", self.source),
                Route("/api/difference/{id}", self.difference),
                Route("/api/download/{id}", self.download),
            ],
            exception_handlers={HeaptideError: _told, HTTPException: _refused},
        )

    async def page(self, request: Request) -> Response:
        """The page, without a document."""
        return Response(self._page, headers={"Content-Security-Policy": self._policy}, media_type="text/html")

    async def captures(self, request: Request) -> Response:
        """The list of captures."""
        return _json(self._shelf.entries())

    async def formats(self, request: Request) -> Response:
        """What a moment can be downloaded as."""
        return _json([{"name": one.name, "label": one.label} for one in self._opener.formats])

    async def document(self, request: Request) -> Response:
        """The document that was made last."""
        return Response(self._shown(self._capture(request)).document, media_type="application/octet-stream")

    async def events(self, request: Request) -> Response:
        """The list of captures, now and whenever it changed."""
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        if self._streams >= MOST_STREAMS:
            raise HTTPException(503, "too many event streams are open")
        return StreamingResponse(self._news(), media_type="text/event-stream")

    async def _news(self) -> AsyncIterator[str]:
        self._streams += 1
        try:
            yield "retry: 1000\n"
            while not self._bell.closed:
                heard = self._bell.count
                yield f"event: captures\ndata: {json.dumps(self._shelf.entries())}\n\n"
                while not await self._bell.heard(heard, BEAT_S):
                    yield ": nothing new\n\n"
                await anyio.sleep(AT_MOST_EACH_S)
        finally:
            self._streams -= 1

    async def sources(self, request: Request) -> Response:
        """The source files that the capture's frames name, and the numbers by which to ask for them."""
        capture = self._capture(request)
        shown, wanted = self._shown(capture), _wanted(request)
        return _json(await _aside(files_of, capture, shown.series, wanted))

    async def source(self, request: Request) -> Response:
        """A source file's lines with what each of them holds."""
        capture = self._capture(request)
        shown, wanted, number = self._shown(capture), _wanted(request), _number(request, "file")
        file = capture.file(number) if number is not None else None
        if file is None:
            raise HTTPException(404, "no such file: ask for the list of sources first")
        return _json(await _aside(source, capture, shown.series, wanted, file, self._opener.lines))

    async def difference(self, request: Request) -> Response:
        """What one capture holds at a moment on top of another at another."""
        new, old = self._capture(request), self._named(request.query_params.get("old", ""))
        by = request.query_params.get("by", "function")
        if by not in BY:
            raise HTTPException(400, "nothing is told apart by that")
        wanted, old_at = _wanted(request), _number(request, "old_at")
        pair = (
            Side(new, self._shown(new).series, wanted),
            Side(old, self._shown(old).series, replace(wanted, at=old_at)),
        )
        return _json(await _aside(difference, *pair, BY[by]))

    async def download(self, request: Request) -> Response:
        """A moment as a file."""
        capture = self._capture(request)
        shown, wanted = self._shown(capture), _wanted(request)
        form = request.query_params.get("to", "")
        if form not in {one.name for one in self._opener.formats}:
            raise HTTPException(400, "no such format")

        def convert() -> Response:
            with capture.busy:
                file = self._opener.convert(shown.series, form, wanted)
            name, note = quote(clean(file.name), safe=""), quote(clean(file.note))
            headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}", "Heaptide-Note": note}
            return Response(file.data, headers=headers, media_type="application/octet-stream")

        return await _aside(convert)

    def _capture(self, request: Request) -> Capture:
        return self._named(request.path_params["id"])

    def _named(self, identity: str) -> Capture:
        try:
            return self._shelf[identity]
        except KeyError:
            raise HTTPException(404, "no such capture") from None

    def _shown(self, capture: Capture) -> Shown:
        if capture.shown is None:
            raise HTTPException(503, capture.entry.message, {"Retry-After": "1"})
        return capture.shown


async def _aside(
    function: Callable[_Arguments, _Result], *arguments: _Arguments.args, **more: _Arguments.kwargs
) -> _Result:
    """Runs a slow function in a thread, which nobody waits for when the server ends."""
    return await anyio.to_thread.run_sync(lambda: function(*arguments, **more), abandon_on_cancel=True)


def _wanted(request: Request) -> Wanted:
    """The moment that a request names. HTTPException 400 when it makes no sense."""
    kind, value = request.query_params.get("kind", "heap"), request.query_params.get("value", "inuse_space")
    if kind not in get_args(Kind) or value not in VALUES:
        raise HTTPException(400, "no such kind or value")
    return Wanted(_number(request, "at"), _number(request, "base"), kind == "mmap", value)


def _number(request: Request, name: str) -> int | None:
    """A number of a query, None where it is absent. HTTPException 400 when it is no number."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise HTTPException(400, f"{name} is no number")
    return int(text)


def _json(value: object) -> Response:
    # Not Starlette's: names may hold bytes that are no UTF-8, which only escapes can carry.
    return Response(json.dumps(value), media_type="application/json")


async def _told(request: Request, error: Exception) -> Response:
    """What a person did wrong, or what a file does not hold."""
    assert isinstance(error, HeaptideError)
    text = error.message if error.hint is None else f"{error.message}; {error.hint}"
    return PlainTextResponse(f"{clean(text)}\n", 400)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers: Mapping[str, str] | None = error.headers
    return PlainTextResponse(f"{error.detail}\n", error.status_code, headers)
