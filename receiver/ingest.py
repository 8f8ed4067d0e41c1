"""The intake pipeline on one page: limits, verify, identify, record, answer.

Everything that must be true before a vendor hears 2xx happens here, in this order, and nothing else does. Handlers do
not exist on this side. Whatever goes wrong with us is a 503, never a 500 and never a 4xx.
"""

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

from starlette.types import Receive, Scope, Send

from receiver.log import Hush
from receiver.metrics import Metrics
from receiver.problems import Problem
from receiver.schemes import Headers, Refused, Request
from receiver.sources import Source
from receiver.store import Store, Unavailable
from receiver.store.activity import KEPT_BYTES, Refusal
from receiver.store.ids import text
from receiver.store.intake import Arrival, Recorded

log = logging.getLogger("postern.intake")

T = TypeVar("T")

SECRET_HEADERS = frozenset({b"authorization", b"cookie", b"proxy-authorization"})
JSON = [(b"content-type", b"application/json")]
BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
PLAIN = [(b"content-type", b"text/plain"), (b"x-content-type-options", b"nosniff")]
WHOLE = "postern.whole"  # in the scope: the body is here already, and reading it will not wait
LINGER_S = 1.0  # for what a refused sender is still sending: closed at once, it would see a reset and no answer


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may take."""

    headers_s: float = 10.0
    body_s: float = 10.0
    store_s: float = 1.9  # to commit it: vendors give up soon after
    headers: int = 100
    headers_bytes: int = 65536
    reading_bytes: int = 128 << 20  # of bodies that are not whole yet


@dataclass(slots=True)
class Delivery:
    """One inbound request, as far as it has come."""

    name: str
    scope: Scope
    receive: Receive
    headers: bytes = b""
    body: bytes | bytearray = b""
    whole: bool = False


class Intake:
    """The ASGI endpoint of `POST /webhooks/{source}`."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        store: Store,
        metrics: Metrics,
        public_url: str | None,
        limits: Limits,
    ) -> None:
        self._sources = sources
        self._store = store
        self._metrics = metrics
        self._public_url = public_url
        self._limits = limits
        self._patience = Patience(limits.store_s)
        self._hush = Hush()
        self._reading_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        delivery = Delivery(scope["path_params"]["source"], scope, receive)
        try:
            headers, answer = await self._take(delivery)
        except Disconnected:
            return
        except (Exception, asyncio.CancelledError) as error:  # cancelled: the server's grace is over
            await self._refuse(self._problem(error, delivery), delivery, send)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": [*headers, _length(answer)]})
            await send({"type": "http.response.body", "body": answer})

    async def _take(self, delivery: Delivery) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """The answer; when this returns, what it names is on the disk."""
        raw = delivery.scope["headers"]
        headers = Headers(raw)
        lines = header_lines(raw)
        if len(raw) > self._limits.headers or len(lines) > self._limits.headers_bytes:
            at_most = f"at most {self._limits.headers} headers and {self._limits.headers_bytes} bytes of them"
            raise Problem(431, "headers_too_large", at_most)
        delivery.headers = lines if SECRET_HEADERS.isdisjoint(headers.values) else header_lines(without_secrets(raw))
        size = check_request(delivery.scope, headers, self._limits)
        source = self._sources.get(delivery.name)
        if source is None:
            raise Problem(404, "unknown_source", "no source of this name is configured")
        if delivery.scope["method"] != "POST":
            raise Problem(405, "method_not_allowed", "deliveries are sent with POST")
        if delivery.scope.get(WHOLE):
            delivery.body = await self._read(delivery, size, source.max_body_bytes)
        else:
            async with asyncio.timeout(self._limits.body_s):
                delivery.body = await self._read(delivery, size, source.max_body_bytes)
        delivery.whole = True
        return await self._record(source, delivery, headers)

    async def _record(
        self, source: Source, delivery: Delivery, headers: Headers
    ) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Verify, identify, record."""
        body = bytes(delivery.body)
        url = self._url(source, delivery.scope) if "public_url" in source.scheme.used else ""
        request = Request("POST", url, headers, body)
        now_us = time.time_ns() // 1000
        try:
            verified = source.scheme.verify(request, source.keys, now_us / 1e6)
        except Refused as refused:
            detail = "the signature of this request was not accepted"
            raise Problem(401, refused.code, detail, note=refused.detail, claimed_at=refused.claimed_at) from None
        echo = source.scheme.echo(request)
        if echo is not None:
            return PLAIN, echo
        events = source.scheme.identify(request)
        arrival = Arrival(
            source.name, delivery.headers, body, sha256(body).digest(), now_us,
            round(source.dedupe_window_s * 1e6), events,
        )  # fmt: skip
        recorded = await self._patience.wait(self._store.record(arrival))
        self._note(source.name, recorded, now_us, verified.key.shown)
        return JSON, _answer(recorded, batch=bool(events) and events[0].item is not None)

    async def _read(self, delivery: Delivery, size: int, cap: int) -> bytes:
        """The whole body. What has come while more is awaited counts against what all requests may hold."""
        if size > cap:
            raise too_large(cap)
        delivery.body = parts = bytearray()
        try:
            while True:
                message = await delivery.receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                chunk: bytes = message.get("body", b"")
                if len(parts) + len(chunk) > cap:
                    raise too_large(cap)
                more = message.get("more_body", False)
                if not more and not parts:
                    return chunk
                parts += chunk
                self._reading_bytes += len(chunk)
                if not more:
                    return bytes(parts)
                if self._reading_bytes > self._limits.reading_bytes:
                    raise Problem(503, "overloaded", "too much is being received at once")
        finally:
            self._reading_bytes -= len(parts)

    def _url(self, source: Source, scope: Scope) -> str:
        """The address the vendor signed: the configured one, with the request's own query."""
        query = scope["query_string"].decode("latin-1")
        base = source.public_url or (self._public_url and self._public_url.rstrip("/") + scope["path"])
        if not base:
            host = next((v.decode("latin-1") for n, v in scope["headers"] if n == b"host"), "")
            base = f"{scope['scheme']}://{host}{scope['path']}"
        return f"{base}?{query}" if query else base

    def _note(self, source: str, recorded: list[Recorded], now_us: int, key: str) -> None:
        activity = self._store.activity
        for event in recorded:
            if event.duplicate:
                activity.duplicate(source, event.id, now_us, key, differs=event.differs)
                self._metrics.received(source, "duplicate")
            else:
                activity.accepted(source, now_us, key)
                self._metrics.received(source, "accepted")
        self._store.noted()
        if log.isEnabledFor(logging.DEBUG):
            for event in recorded:
                log.debug(
                    "received",
                    extra={"source": source, "event": text("ev", event.id), "duplicate": event.duplicate},
                )

    async def _refuse(self, problem: Problem, delivery: Delivery, send: Send) -> None:
        known = delivery.name in self._sources
        self._metrics.refused(delivery.name if known else None, problem.code)
        if known:
            self._tell(problem, delivery)
        response = problem.response()
        unread = not delivery.whole and _announces_body(delivery.scope)
        if unread:
            response.headers["connection"] = "close"
        await send({"type": "http.response.start", "status": problem.status, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": response.body, "more_body": unread})
        if unread:
            await _linger(delivery.receive)
            await send({"type": "http.response.body"})

    def _tell(self, problem: Problem, delivery: Delivery) -> None:
        """Let operators know of it: the newest rejections are kept, and now and then there is a line in the log."""
        if problem.status not in (405, 503):
            self._keep(problem, delivery)
        if count := self._hush.speak((delivery.name, problem.code)):
            log.warning(
                "refused a delivery: %s", problem.note or problem.code,
                extra={"source": delivery.name, "code": problem.code, "status": problem.status, "count": count,
                       "next": next_step(problem, delivery.name)},
            )  # fmt: skip

    def _keep(self, problem: Problem, delivery: Delivery) -> None:
        claimed_us = None if problem.claimed_at is None else round(problem.claimed_at * 1e6)
        headers, body = delivery.headers, bytes(delivery.body[:KEPT_BYTES])
        self._store.activity.refused(
            Refusal(
                delivery.name, time.time_ns() // 1000, problem.code, problem.note, claimed_us,
                len(delivery.body), headers, body,
            )
        )  # fmt: skip
        self._store.noted()

    def _problem(self, error: BaseException, delivery: Delivery) -> Problem:
        """What went wrong, as an answer."""
        limits = self._limits
        match error:
            case Problem():
                return error
            case Unavailable():
                return Problem(503, "store_unavailable", note=str(error))
            case TimeoutError() if delivery.whole:
                return Problem(503, "store_slow", note=f"the store took longer than {limits.store_s:g} s")
            case TimeoutError():
                return Problem(408, "too_slow", f"the request took longer than {limits.body_s:g} s")
            case asyncio.CancelledError():
                return Problem(503, "stopping")
        log.error("intake failed", exc_info=error, extra={"source": delivery.name})
        return Problem(503, "internal")


class Patience:
    """An end to waits that are all equally long. One timer serves them all: one each would cost more than the wait."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, future: asyncio.Future[T]) -> asyncio.Future[T]:
        """The same future; if it is not done in time, it raises TimeoutError."""
        while self._waiting and self._waiting[0][1].done():
            self._waiting.popleft()
        loop = future.get_loop()
        self._waiting.append((loop.time() + self._seconds, future))
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._expire, loop)
        return future

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= loop.time()):
            future = self._waiting.popleft()[1]
            if not future.done():
                future.set_exception(TimeoutError())
        self._timer = loop.call_at(self._waiting[0][0], self._expire, loop) if self._waiting else None


class Disconnected(Exception):
    """The sender went away before its request was whole: there is nobody to answer."""


ONLY = {
    b"content-encoding": (b"identity", (415, "encoded_body", "the signature covers raw bytes: send them plain")),
    b"transfer-encoding": (b"chunked", (400, "bad_transfer_encoding", "only chunked is understood")),
    b"upgrade": (None, (400, "upgrade_refused", "this address takes deliveries only")),
}
"""Headers of which one value is fine, and how any other is refused."""


def check_request(scope: Scope, headers: Headers, limits: Limits) -> int:
    """Refuse what a proxy or a vendor would never send but a smuggler would; the announced length, or 0.

    httptools already refuses Content-Length beside Transfer-Encoding, folded lines and bare line feeds. It accepts a
    missing or doubled Host, `gzip, chunked`, a broken percent code, and drops the body of an upgrade.
    """
    values = headers.values
    if not ONLY.keys().isdisjoint(values):
        _check_only(values)
    if len(values.get(b"host", ())) != 1:
        raise Problem(400, "bad_host", "exactly one Host header is needed")
    if b"%" in scope["raw_path"] and BAD_PERCENT.search(scope["raw_path"]):
        raise Problem(400, "bad_path", "a percent sign in the path is not followed by two hex digits")
    size = values.get(b"content-length")
    return int(size[0]) if size else 0  # the parser let digits only pass, and only one of it


def _check_only(values: Mapping[bytes, list[bytes]]) -> None:
    for name, (only, problem) in ONLY.items():
        if any(value.lower() != only for value in values.get(name, ())):
            raise Problem(*problem)


def _announces_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


async def _linger(receive: Receive) -> None:
    with suppress(TimeoutError, asyncio.CancelledError):
        async with asyncio.timeout(LINGER_S):
            while (await receive()).get("more_body", False):
                pass


def too_large(cap: int) -> Problem:
    return Problem(413, "too_large", f"the body is larger than {cap} bytes")


def header_lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    """`name: value` lines, in the order in which they came."""
    return b"\n".join([name + b": " + value for name, value in headers])


def without_secrets(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Headers as they may be kept: credentials that are no signatures are not."""
    return [(name, b"[not kept]" if name in SECRET_HEADERS else value) for name, value in headers]


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % len(body)


def _answer(recorded: list[Recorded], *, batch: bool) -> bytes:
    events = [
        b'{"id": "%s", "status": "%s"}'
        % (text("ev", event.id).encode(), b"duplicate" if event.duplicate else b"accepted")
        for event in recorded
    ]
    return b'{"events": [%s]}' % b", ".join(events) if batch or len(events) != 1 else events[0]


def next_step(problem: Problem, source: str) -> str:
    """What an operator types next, for the log line of a refusal."""
    if problem.status == 503:
        return "postern doctor"
    return f"postern rejections list --source {source} --limit 5"
