# SPDX-License-Identifier: Apache-2.0
"""One server, put together: what is shown, who may ask, where it listens."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from heaptide.analysis.report import report
from heaptide.model import Series
from heaptide.render.page.html import served, template
from heaptide.render.page.make import document
from heaptide.web.access import access_for, in_address
from heaptide.web.answers import Answers
from heaptide.web.bell import Bell
from heaptide.web.gate import Gate, Log
from heaptide.web.opener import ANALYSIS, Opener, Tell
from heaptide.web.reader import Reader
from heaptide.web.server import Server, bind, config_of
from heaptide.web.shelf import Shelf


@dataclass(frozen=True, slots=True)
class Where:
    """Where to listen: ``host`` a name or a number, ``port`` 0 for one that is free."""

    host: str = "127.0.0.1"
    port: int = 0


def serve(
    paths: Sequence[str],
    opener: Opener,
    where: Where,
    *,
    tool: str,
    announce: Callable[[str], None],
    log: Log | None = None,
) -> None:
    """Serves captures until it is told to end by SIGINT or SIGTERM.

    Args:
        paths: the files, in the order in which the page lists them.
        opener: reads them.
        where: where to listen.
        tool: name and version, for the documents.
        announce: called with the address to open, when it can be opened.
        log: called with a line for each request.

    Raises:
        UsageError: it cannot listen there.
        NothingToShow: the page was not built (a work tree without `make page`).
    """
    page, policy = served(template())
    with bind(where.host, where.port) as listener:
        bound, port = listener.getsockname()[:2]
        access = access_for(where.host, bound)
        bell = Bell()
        shelf = Shelf(paths, bell.ring)
        reader = Reader(shelf, opener, lambda series, tell: _draw(series, tell, opener, tool))

        def listening(loop: asyncio.AbstractEventLoop) -> None:
            bell.attach(loop)
            reader.start()
            announce(f"http://{_reachable(where.host, bound)}:{port}/?token={access.token}")

        app = Gate(Answers(shelf, bell, opener, page, policy).app(), access, log)
        _run(Server(config_of(app), listening, bell.close), listener)
        reader.stop()


def _run(server: Server, listener: socket.socket) -> None:
    with asyncio.Runner() as runner:
        runner.run(server.serve(sockets=[listener]))


def _reachable(host: str, bound: str) -> str:
    """The host to write into the address: where all are listened at, the machine's name."""
    return socket.gethostname() if bound in ("0.0.0.0", "::") else in_address(host)


def _draw(series: Series, tell: Tell, opener: Opener, tool: str) -> bytes:
    series.at(series.snapshots[-1])  # names all stacks, which the opener tells about; what follows finds them named
    first, last = ANALYSIS
    found = report(series, progress=lambda what, part: tell(first + part * (last - first), what))
    tell(last, "drawing up the page")
    return document(found, opener.lines, tool=tool).data
