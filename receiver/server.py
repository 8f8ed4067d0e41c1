"""uvicorn, made strict: header deadlines, problem+json for malformed HTTP, and an exit code of 0 after a clean stop.

uvicorn has no deadline for headers and answers malformed requests in plain text; it also raises the signal that stopped
it again. What an HTTP request must look like beyond that is checked in `ingest.py`.
"""

import asyncio
import functools
import os
import signal
import socket
from asyncio import TimerHandle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from receiver.errors import UserError
from receiver.ingest import LINGER_S, WHOLE, Limits
from receiver.problems import problem_body

GRACE_S = 3
BACKLOG = 2048


class StrictProtocol(HttpToolsProtocol):
    """One connection. A timer runs only while a request's headers are not whole; mostly they come in one piece."""

    def __init__(self, *args: Any, limits: Limits, on_refused: Callable[[str], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._on_refused = on_refused
        self._timer: TimerHandle | None = None
        self._in_headers = True
        self._barren_bytes = 0  # since the request last got on: headers that do not end, trailers, empty lines
        self._ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(OneWrite(transport, self.loop))  # type: ignore[arg-type]
        self._watch()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._barren_bytes += len(data)
        super().data_received(data)
        if self._barren_bytes > self._limits.headers_bytes:
            self._end(431, "headers_too_large", f"at most {self._limits.headers_bytes} bytes of headers")
        elif self._barren_bytes and self._in_headers:
            self._watch()

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._barren_bytes = 0
        self._unwatch()
        super().on_headers_complete()
        self.headers = []  # trailers would join the headers while the body is awaited: nobody shall see them

    def on_body(self, body: bytes) -> None:
        self._barren_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_headers = True
        self._barren_bytes = 0
        self.scope[WHOLE] = True  # type: ignore[literal-required]
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._end(400, "malformed_http", msg)

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self._limits.headers_s, self._too_slow)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        self._end(408, "too_slow", f"the headers took longer than {self._limits.headers_s:g} s")

    def _end(self, status: int, code: str, detail: str) -> None:
        """Refuse what came, and whatever else comes. Requests before it still get their answers."""
        if self._ended or self.transport.is_closing():
            return
        self._ended = True
        self._unwatch()
        self._on_refused(code)
        cycle: Any = self.cycle  # None before the first request
        if cycle is not None and not cycle.response_complete:
            if self.pipeline or cycle.response_started or not cycle.more_body:
                cycle.keep_alive = False  # its answer is the last one
                return
            cycle.disconnected = True
            cycle.message_event.set()
        body = problem_body(status, code, detail)
        head = b"content-type: application/problem+json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)


class OneWrite:
    """A transport on which an answer's head and body leave together.

    uvicorn writes them one after the other; each write is a system call that wakes the other side.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading
        self.get_extra_info = transport.get_extra_info

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def _flush(self) -> None:
        if self._held:
            self._transport.write(b"".join(self._held))
            self._held.clear()

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def close(self) -> None:
        self._flush()
        self._transport.close()


class Server(uvicorn.Server):
    """Stops cleanly at the first SIGTERM or SIGINT and exits 0; at the second it ends at once."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)

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
    # Naming TCP matters: asyncio turns Nagle off only on sockets that say so, and answers would wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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


def _nothing(*_: object) -> None:
    """For callers who need no word of it."""


def server(
    app: ASGIApp,
    trusted_proxies: Sequence[str],
    limits: Limits | None = None,
    *,
    on_refused: Callable[[str], None] = _nothing,
    on_stop: Callable[[], None] = _nothing,
) -> Server:
    """`on_refused` hears the code of what was refused before it was a request, `on_stop` that draining begins."""
    protocol = functools.partial(StrictProtocol, limits=limits or Limits(), on_refused=on_refused)
    options: dict[str, Any] = {
        "proxy_headers": bool(trusted_proxies),
        "forwarded_allow_ips": list(trusted_proxies),
    }
    config = uvicorn.Config(
        app, http=protocol,  # type: ignore[arg-type]  # only ever called
        ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
        backlog=BACKLOG, timeout_graceful_shutdown=GRACE_S, **options,
    )  # fmt: skip
    return Server(config, on_stop)


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
