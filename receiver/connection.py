"""One HTTP connection: uvicorn's protocol, made strict, with a door for deliveries.

uvicorn has no deadline for headers, no bound for what comes without getting a request on, and answers malformed
requests in plain text. A request whose path is `/webhooks/{source}` becomes an `Exchange` (`door.py`); any other goes
to the ASGI application in uvicorn's own way. What an HTTP request must look like beyond what the parser says is checked
in `ingest.py`.
"""

import asyncio
from asyncio import TimerHandle
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from receiver.door import LINGER_S, Door, Exchange
from receiver.ingest import WEBHOOKS, Limits
from receiver.problems import problem_body, problem_head


class Connection(HttpToolsProtocol):
    """A timer runs only while a request's headers are not whole; mostly they come in one piece."""

    cycle: Any  # uvicorn's, or an Exchange; None before the first request
    pipeline: deque[Any]

    def __init__(
        self,
        *args: Any,
        door: Door | None,
        is_proxy: Callable[[str], bool],
        limits: Limits,
        on_refused: Callable[[str], None],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._door = door
        self._is_proxy = is_proxy
        self._limits = limits
        self._on_refused = on_refused
        self._timer: TimerHandle | None = None
        self._in_headers = True
        self._barren_bytes = 0  # since the request last got on: headers that do not end, trailers, empty lines
        self._ended = False
        self._idle_since: float | None = None
        self._idle_timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if isinstance(self.cycle, Exchange):
            self.cycle.lost()
            self.cycle = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._idle_since = None
        self._barren_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # nothing is served here that a connection could turn into: intake refuses it
        except httptools.HttpParserError:
            self._end(400, "malformed_http", "Invalid HTTP request received.")
        if self._barren_bytes > self._limits.headers_bytes:
            self._end(431, "headers_too_large", f"at most {self._limits.headers_bytes} bytes of headers")
        elif not self._in_headers:
            if type(self.cycle) is Exchange:
                self.cycle.go_on()
        elif self._barren_bytes:
            self._watch()

    # ── what the parser finds ──

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._barren_bytes = 0
        self._unwatch()
        url = httptools.parse_url(self.url)
        raw_path: bytes = url.path or b""
        path = raw_path.decode("ascii")
        path = unquote(path) if "%" in path else path
        if self._door and path.startswith(WEBHOOKS) and "/" not in (name := path[len(WEBHOOKS) :]):
            self._take_in(self._door, name, raw_path, url.query or b"")
        else:
            self._pass_on()
        self.headers = []  # trailers would join the headers while the body is awaited: nobody shall see them

    def _take_in(self, door: Door, name: str, raw_path: bytes, query: bytes) -> None:
        before = self.cycle
        self.cycle = Exchange(door, self, name, self._scheme(), raw_path, query)
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _pass_on(self) -> None:
        """Let uvicorn make an ASGI request of it: what it does when a message begins, it does now."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.on_url(url)
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._barren_bytes = 0
        if type(self.cycle) is Exchange:
            self.cycle.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_headers = True
        self._barren_bytes = 0
        if type(self.cycle) is Exchange:
            self.cycle.end()
        else:
            super().on_message_complete()

    def _scheme(self) -> str:
        """What the sender's address began with; behind a trusted proxy it is what that says, which comes last."""
        if self.client and self._is_proxy(self.client[0]):
            said = dict(self.headers).get(b"x-forwarded-proto", b"").strip()
            if said in (b"http", b"https"):
                return said.decode()
        return self.scheme or "http"

    # ── between requests ──

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if type(self.cycle) is Exchange and self.cycle.response_complete:
            self.cycle = None  # and with it the body, which an idle connection would keep
        if self.transport.is_closing():
            return
        if self.pipeline:
            self.loop.call_soon(self._begin_next)  # later: thousands may wait, each answered within the call
            return
        self._read_on()
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self._limits.idle_s, self._idle)

    def _begin_next(self) -> None:
        cycle, app = self.pipeline.pop()
        self._start_asgi_task(cycle, app)
        if isinstance(cycle, Exchange):
            cycle.go_on()
            self._read_on()  # its body may still be to come; an ASGI request asks for its own

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Its turn has come. What follows an answer that closes the connection never gets one."""
        if self.transport.is_closing():
            return
        if isinstance(cycle, Exchange):
            cycle.begin()
        else:
            super()._start_asgi_task(cycle, app)

    def _idle(self) -> None:
        """One timer for many requests: it looks whether the last answer is long enough ago, and else sleeps on."""
        self._idle_timer = None
        if self._idle_since is None:
            return
        left_s = self._idle_since + self._limits.idle_s - self.loop.time()
        if left_s > 0:
            self._idle_timer = self.loop.call_later(left_s, self._idle)
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.flow.pause_reading()  # who does not read answers asks no more questions

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read_on()

    def _read_on(self) -> None:
        if not self.pipeline and not self.flow.write_paused:
            self.flow.resume_reading()

    # ── refused before it is a request ──

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
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if self.pipeline or cycle.response_started or not cycle.more_body:
                cycle.keep_alive = False  # its answer is the last one
                return
            if isinstance(cycle, Exchange):
                cycle.lost()
            else:
                cycle.disconnected = True
                cycle.message_event.set()
        body = problem_body(status, code, detail)
        head = problem_head(status) + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)
