# SPDX-License-Identifier: Apache-2.0
"""Binds an address and serves until it is told to end, by Ctrl-C, by SIGTERM or by `Server.leave`.

uvicorn does the protocol. What is added: bounds in time and number for connections, signals that end it cleanly, event
streams that end with it, and that it says where it listens only when it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from heaptide._errors import UsageError
from heaptide.web.access import in_address

MOST_CONNECTIONS = 64
LONGEST_HEAD = 16384
"""Bytes of a request line with its headers that are waited for; what comes in one read may be longer (256 KiB)."""
HEAD_TIME_S = 5.0
"""Seconds in which a connection has to send a request, from its first byte or from its beginning."""
IDLE_S = 30


class BoundedProtocol(H11Protocol):
    """Closes connections that begin a request and do not end it; uvicorn waits for ever."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._waits_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._waits_for_head()
        else:
            self._has_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_head()
        super().connection_lost(exc)

    def _waits_for_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_TIME_S, self.transport.close)

    def _has_head(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """One server. ``listening`` is called when it can be reached, ``leaving`` when it was told to end."""

    def __init__(
        self,
        config: uvicorn.Config,
        listening: Callable[[asyncio.AbstractEventLoop], None],
        leaving: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._listening, self._leaving = listening, leaving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, and says so when done."""
        await super().startup(sockets)
        self._listening(asyncio.get_running_loop())

    def leave(self) -> None:
        """Ends it, in the event loop."""
        self.should_exit = True
        self._leaving()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals end it in order; uvicorn would raise them once more afterwards."""
        loop, signals = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self.leave)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


def config_of(app: ASGIApp) -> uvicorn.Config:
    """How uvicorn is to run ``app``: with bounds, and silent, for its log would show what is asked."""
    return uvicorn.Config(
        cast(Callable[..., Any], app),  # it says the same in other types
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        h11_max_incomplete_event_size=LONGEST_HEAD,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=0,  # event streams were ended by then; a conversion is not waited for
    )


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; ``port`` 0 takes one that is free. UsageError when that cannot be had."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        where = f"{in_address(host)}:{port}"
        hint = "leave --port away to take a free one" if port else "leave --host away to listen on this machine alone"
        raise UsageError(f"cannot listen at {where}: {error.strerror or error}", hint=hint) from None
