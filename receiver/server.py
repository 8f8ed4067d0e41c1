"""uvicorn, made strict: header deadlines, problem+json for malformed HTTP, and an exit code of 0 after a clean stop.

uvicorn has no deadline for headers and answers malformed requests in plain text; it also raises the signal that stopped
it again. What an HTTP request must look like beyond that is checked in `ingest.py`.
"""

import asyncio
import os
import signal
import socket
from asyncio import TimerHandle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from receiver.errors import UserError
from receiver.problems import problem_body

HEADERS_S = 10.0
HEADERS_BYTES = 65536
GRACE_S = 5
BACKLOG = 2048


class StrictProtocol(HttpToolsProtocol):
    """One connection. A timer runs only while a request's headers are not whole; mostly they come in one piece."""

    _timer: TimerHandle | None = None
    _in_headers = False
    _header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_headers and not self.transport.is_closing():
            self._header_bytes += len(data)
            if self._header_bytes > HEADERS_BYTES:
                self._end(431, "headers_too_large")
            else:
                self._watch()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        self._header_bytes = 0

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._unwatch()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._end(400, "malformed_http", msg)

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEADERS_S, self._too_slow)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self._end(408, "too_slow", f"the headers took longer than {HEADERS_S:.0f} s")

    def _end(self, status: int, code: str, detail: str = "") -> None:
        body = problem_body(status, code, detail)
        head = b"content-type: application/problem+json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()


class Server(uvicorn.Server):
    """Stops cleanly at the first SIGTERM or SIGINT and exits 0; at the second it ends at once."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        previous = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.should_exit:
            os._exit(128 + number)
        self.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Errors: UserError where the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UserError(
            f"cannot listen on {host}:{port}: {error.strerror}",
            "[server] host and port",
            f"Stop what uses it, or choose another: postern serve --port {port + 1 if port else 8001}",
        ) from error
    return listener


def server(app: ASGIApp, trusted_proxies: Sequence[str]) -> Server:
    options: dict[str, Any] = {
        "proxy_headers": bool(trusted_proxies),
        "forwarded_allow_ips": list(trusted_proxies),
    }
    config = uvicorn.Config(
        app, http=StrictProtocol, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
        backlog=BACKLOG, timeout_graceful_shutdown=GRACE_S, **options,
    )  # fmt: skip
    return Server(config)


async def run(
    server: Server, listener: socket.socket, admin: Server | None, admin_listener: socket.socket | None
) -> None:
    """Serve until a signal comes; the admin port, if there is one, stops with the main one."""
    if admin is None or admin_listener is None:
        await server.serve(sockets=[listener])
        return
    side = asyncio.create_task(admin._serve([admin_listener]))  # without signal handlers of its own
    await server.serve(sockets=[listener])
    admin.should_exit = True
    await side
