"""One HTTP connection: uvicorn's protocol, made strict, with a door for deliveries.

uvicorn has no deadline for headers, for bodies and for who does not read answers, no bound for what comes without
getting a request on, and answers malformed requests in plain text. A request whose path is `/webhooks/{source}` becomes
an `Exchange` (`door.py`); any other goes to the ASGI application in uvicorn's own way. What a delivery must look like
beyond what the parser says is checked in `ingest.py`.
"""

import asyncio
import logging
from asyncio import TimerHandle
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from receiver.delivery import WEBHOOKS
from receiver.door import LINGER_S, Door, Exchange
from receiver.problems import Problem, problem_body, problem_head
from receiver.schemes import Headers
from receiver.wellformed import Limits, check_request

log = logging.getLogger("postern.intake")

TOLD: Final = 100  # connections of too many, at once, that are told so; files for them are spared in `server.py`
VERSIONS: Final = frozenset({"1.1", "1.0"})  # the parser also takes 0.9 and 2.0 for versions of what it reads


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
        self._behind_proxy = False
        self._limits = limits
        self._on_refused = on_refused
        self._timer: TimerHandle | None = None
        self.headers = []
        self._in_headers = True
        self._barren_bytes = 0  # since the request last got on: headers that do not end, trailers, empty lines
        self._ended = False
        self._last_words = b""
        self._idle_since: float | None = None
        self._idle_timer: TimerHandle | None = None
        self._unread_timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._behind_proxy = bool(self.client and self._is_proxy(self.client[0]))
        surplus = len(self.connections) - self._limits.connections
        if surplus > TOLD:
            transport.abort()
        elif surplus > 0:
            self._end(503, "overloaded", "too many connections at once")
        else:
            self._watch(self._limits.headers_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        for timer in (self._idle_timer, self._unread_timer):
            if timer is not None:
                timer.cancel()
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
        except httptools.HttpParserCallbackError as error:
            self._failed(error.__context__)
        except httptools.HttpParserError:
            self._end(400, "malformed_http", "Invalid HTTP request received.")
        if self._barren_bytes > self._limits.headers_bytes:
            self._failed(self._limits.too_many())
        elif not self._in_headers:
            if type(self.cycle) is Exchange:
                self.cycle.go_on()
        elif len(self.headers) > self._limits.headers:  # many short ones take much more memory than bytes
            self._failed(self._limits.too_many())
        elif self._barren_bytes:
            self._watch(self._limits.headers_s)

    # ── what the parser finds ──

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))  # the parser takes it off at the front only

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._barren_bytes = 0
        self._unwatch()
        version = self.parser.get_http_version()
        self._check_target(version)
        raw_path, _, query = self.url.partition(b"?")
        path = raw_path.decode("ascii")
        path = unquote(path) if "%" in path else path
        if self._door and path.startswith(WEBHOOKS) and "/" not in (name := path[len(WEBHOOKS) :]):
            self._take_in(self._door, name, raw_path, query, version)
        else:
            self._pass_on(raw_path, version)
        self.headers = []  # trailers would join the headers while the body is awaited: nobody shall see them

    def _check_target(self, version: str) -> None:
        """Refuse what only a proxy is asked, or what leaves open where the request ends. Errors: Problem."""
        url = self.url
        if not url.startswith(b"/") or b"#" in url:
            raise Problem(400, "bad_path", "the target of a request here is a path and a query")
        if len(url) > self._limits.headers_bytes:
            raise self._limits.too_many()
        if version not in VERSIONS:
            raise Problem(400, "malformed_http", "HTTP/1.1 is spoken here, and 1.0")
        if self.parser.should_upgrade():  # the parser drops the body, or takes it for the next request
            raise Problem(400, "upgrade_refused", "nothing is served here that a connection could turn into")

    def _take_in(self, door: Door, name: str, raw_path: bytes, query: bytes, version: str) -> None:
        before = self.cycle
        keep_alive = version != "1.0" and self.parser.should_keep_alive()
        self.cycle = Exchange(door, self, name, self._scheme(), raw_path, query, keep_alive=keep_alive)
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _pass_on(self, raw_path: bytes, version: str) -> None:
        """Let uvicorn make an ASGI request of it: what it does when a message begins, it does now."""
        url, headers = self.url, self.headers
        self._limits.checked_lines(headers)
        checked = Headers(headers)
        if version != "1.0" or b"host" in checked.first:  # a load balancer's probe may be older than the header
            check_request(checked, raw_path)
        super().on_message_begin()
        self.on_url(url)
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()
        self._watch(self._limits.body_s)

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
            self._unwatch()
            super().on_message_complete()
            if self.cycle.response_complete:
                self._rest()

    def _scheme(self) -> str:
        """What the sender's address began with; behind a trusted proxy it is what that says, which comes last."""
        if self._behind_proxy:
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
            self._let_go()
            return
        if self.pipeline:
            self.loop.call_soon(self._begin_next)  # later: thousands may wait, each answered within the call
            return
        if self._ended:
            self._hang_up()
            return
        self._read_on()
        self._rest()

    def _rest(self) -> None:
        """Answered and read to the end: from now on it is idle."""
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self._limits.idle_s, self._idle)

    def _begin_next(self) -> None:
        if not self.pipeline:  # what waited is refused meanwhile
            self._hang_up()
            return
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
            self._close()

    def _close(self) -> None:
        self.transport.close()
        self._let_go()

    def _let_go(self) -> None:
        """A transport that is closing waits until all is read, if need be for ever."""
        if self.transport.get_write_buffer_size():
            self.loop.call_later(self._limits.unread_s, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.flow.pause_reading()  # who does not read answers asks no more questions
        self._unread_timer = self.loop.call_later(self._limits.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
        self._read_on()

    def _read_on(self) -> None:
        flow = self.flow
        if flow.read_paused and not self.pipeline and not flow.write_paused:
            flow.resume_reading()

    # ── refused before it is a request ──

    def _watch(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(seconds, self._too_slow, seconds)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self, seconds: float) -> None:
        self._timer = None
        self._end(408, "too_slow", f"the request took longer than {seconds:g} s")

    def _failed(self, error: BaseException | None) -> None:
        """One of the parser's callbacks raised: what it refuses, or what is a fault of ours."""
        if not isinstance(error, Problem):
            log.error("a connection failed", exc_info=error)
            error = Problem(503, "internal")
        self._end(error.status, error.code, error.detail)

    def _end(self, status: int, code: str, detail: str) -> None:
        """Refuse what came, and whatever else comes. Requests before it still get their answers."""
        if self._ended or self.transport.is_closing():
            return
        self._ended = True
        self._unwatch()
        self._on_refused(code)
        body = problem_body(status, code, detail)
        head = problem_head(status) + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self._last_words = STATUS_LINE[status] + head + body
        if self._forget_unfinished():
            self._hang_up()

    def _forget_unfinished(self) -> bool:
        """No more comes of a request that is not whole. Whether none is left that has to be answered first."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return True
        if cycle.response_started or not cycle.more_body:
            return False
        if self.pipeline:
            self.pipeline.popleft()
            return False
        if isinstance(cycle, Exchange):
            cycle.lost()
        else:
            cycle.disconnected = True
            cycle.message_event.set()
        return True

    def _hang_up(self) -> None:
        self.transport.write(self._last_words)
        with suppress(OSError):  # whoever connected may be gone already
            self.transport.write_eof()
        self.loop.call_later(LINGER_S, self._close)
