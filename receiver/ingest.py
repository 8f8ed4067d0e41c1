"""The intake pipeline on one page: limits, verify, identify, record, answer.

Everything that must be true before a vendor hears 2xx happens here, in this order, and nothing else does. Handlers do
not exist on this side. Whatever goes wrong with us is a 503, never a 500 and never a 4xx.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from hashlib import sha256

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from receiver.log import Hush
from receiver.metrics import Metrics
from receiver.problems import Problem
from receiver.schemes import Headers, Refused, Request
from receiver.sources import Source
from receiver.store import Store, Unavailable
from receiver.store.activity import KEPT_BYTES, Refusal
from receiver.store.ids import text
from receiver.store.intake import Arrival, NewEvent, Recorded

log = logging.getLogger("postern.intake")

BODY_S = 10.0  # to send a whole request
STORE_S = 1.9  # to commit it: vendors give up soon after
HEADERS_LIMIT = 100
HEADERS_BYTES = 65536
IN_FLIGHT_BYTES = 128 << 20  # bodies in memory, of all requests
SECRET_HEADERS = frozenset({b"authorization", b"cookie", b"proxy-authorization"})
JSON = [(b"content-type", b"application/json")]
PLAIN = [(b"content-type", b"text/plain"), (b"x-content-type-options", b"nosniff")]


class Intake:
    """The ASGI endpoint of `POST /webhooks/{source}`."""

    def __init__(self, sources: Mapping[str, Source], store: Store, metrics: Metrics, public_url: str | None) -> None:
        self._sources = sources
        self._store = store
        self._metrics = metrics
        self._public_url = public_url
        self._hush = Hush()
        self._in_flight_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name: str = scope["path_params"]["source"]
        source = self._sources.get(name)
        body = b""
        try:
            if source is None:
                raise Problem(404, "unknown_source", "no source of this name is configured")
            if scope["method"] != "POST":
                raise Problem(405, "method_not_allowed", "deliveries are sent with POST")
            async with asyncio.timeout(BODY_S) as deadline:
                size = check_headers(scope["headers"], source.max_body_bytes)
                body = await self._read(receive, size, source.max_body_bytes)
                deadline.reschedule(asyncio.get_running_loop().time() + STORE_S)
                headers, answer = await self._take(source, scope, body)
        except Disconnected:
            return
        except Problem as problem:
            await self._refuse(problem, name, source, scope, body, receive, send)
        except TimeoutError:
            late = _late() if body else Problem(408, "too_slow", f"the request took longer than {BODY_S:.0f} s")
            await self._refuse(late, name, source, scope, body, receive, send)
        except Unavailable as error:
            await self._refuse(
                Problem(503, "store_unavailable", note=str(error)), name, source, scope, body, receive, send
            )
        except Exception:
            log.exception("intake failed", extra={"source": name})
            await self._refuse(Problem(503, "internal"), name, source, scope, body, receive, send)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": [*headers, _length(answer)]})
            await send({"type": "http.response.body", "body": answer})

    async def _take(self, source: Source, scope: Scope, body: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Verify, identify, record. The answer; when this returns, what it names is on the disk."""
        headers = Headers(scope["headers"])
        request = Request(scope["method"], self._url(source, scope), headers, body)
        now_us = time.time_ns() // 1000
        try:
            verified = source.scheme.verify(request, source.keys, now_us / 1e6)
        except Refused as refused:
            detail = "the signature of this request was not accepted"
            raise Problem(401, refused.code, detail, note=refused.detail, claimed_at=refused.claimed_at) from None
        echo = source.scheme.echo(request)
        if echo is not None:
            return PLAIN, echo
        events = [NewEvent(i.external_id, i.type, i.vendor_id, i.item) for i in source.scheme.identify(request)]
        arrival = Arrival(
            source.name, header_lines(scope["headers"]), body, sha256(body).digest(), now_us,
            round(source.dedupe_window_s * 1e6), events,
        )  # fmt: skip
        self._in_flight_bytes += len(body)
        try:
            recorded = await self._store.record(arrival)
        finally:
            self._in_flight_bytes -= len(body)
        self._note(source.name, recorded, now_us, verified.key.shown)
        return JSON, _answer(recorded, batch=bool(events) and events[0].item is not None)

    async def _read(self, receive: Receive, size: int, cap: int) -> bytes:
        """The whole body, counted while it streams."""
        if self._in_flight_bytes + size > IN_FLIGHT_BYTES:
            raise Problem(503, "overloaded", "too much is being received at once")
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            if len(message.get("body", b"")) > cap:
                raise too_large(cap)
            whole: bytes = message.get("body", b"")
            return whole
        return await self._read_on(message, receive, cap)

    async def _read_on(self, message: Mapping[str, object], receive: Receive, cap: int) -> bytes:
        chunks = bytearray()
        held = 0
        try:
            while True:
                if message["type"] == "http.disconnect":
                    raise Disconnected
                chunk = message.get("body", b"")
                assert isinstance(chunk, bytes | bytearray)
                chunks += chunk
                held += len(chunk)
                self._in_flight_bytes += len(chunk)
                if held > cap:
                    raise too_large(cap)
                if self._in_flight_bytes > IN_FLIGHT_BYTES:
                    raise Problem(503, "overloaded", "too much is being received at once")
                if not message.get("more_body", False):
                    return bytes(chunks)
                message = await receive()
        finally:
            self._in_flight_bytes -= held

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
                self._metrics.duplicate(source)
            else:
                activity.accepted(source, now_us, key)
                self._metrics.accepted(source)
        self._store.noted()
        if log.isEnabledFor(logging.DEBUG):
            for event in recorded:
                log.debug(
                    "received",
                    extra={"source": source, "event": text("ev", event.id), "duplicate": event.duplicate},
                )

    async def _refuse(
        self,
        problem: Problem,
        name: str,
        source: Source | None,
        scope: Scope,
        body: bytes,
        receive: Receive,
        send: Send,
    ) -> None:
        self._metrics.refused(name if source else None, problem.code)
        if source is not None and problem.status not in (405, 503):
            self._keep(problem, name, scope, body)
        response: Response = problem.response()
        await response(scope, receive, send)
        if source is not None and (count := self._hush.speak((name, problem.code))):
            log.warning(
                "refused a delivery: %s", problem.note or problem.code,
                extra={"source": name, "code": problem.code, "status": problem.status, "count": count,
                       "next": next_step(problem, name)},
            )  # fmt: skip

    def _keep(self, problem: Problem, name: str, scope: Scope, body: bytes) -> None:
        claimed_us = None if problem.claimed_at is None else round(problem.claimed_at * 1e6)
        self._store.activity.refused(
            Refusal(
                name,
                time.time_ns() // 1000,
                problem.code,
                problem.note,
                claimed_us,
                len(body),
                header_lines(scope["headers"][:HEADERS_LIMIT])[:HEADERS_BYTES],
                body[:KEPT_BYTES],
            )
        )
        self._store.noted()


class Disconnected(Exception):
    """The sender went away before its request was whole: there is nobody to answer."""


def check_headers(headers: list[tuple[bytes, bytes]], cap: int) -> int:
    """Refuse what a proxy or a vendor would never send but a smuggler would; the announced length, or 0.

    httptools already refuses Content-Length beside Transfer-Encoding, folded lines and bare line feeds. It accepts a
    missing or doubled Host, `gzip, chunked`, and drops the body of an upgrade: those are refused here.
    """
    if len(headers) > HEADERS_LIMIT or sum(len(name) + len(value) for name, value in headers) > HEADERS_BYTES:
        raise Problem(431, "headers_too_large", f"at most {HEADERS_LIMIT} headers and {HEADERS_BYTES} bytes of them")
    hosts = size = 0
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            size = int(value)  # the parser let digits only pass
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise Problem(
                415,
                "encoded_body",
                "send the body without a Content-Encoding: the signature covers raw bytes",
            )
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            raise Problem(400, "bad_transfer_encoding", "only chunked is understood")
        elif name == b"upgrade":
            raise Problem(400, "upgrade_refused", "this address takes deliveries only")
    if hosts != 1:
        raise Problem(400, "bad_host", "exactly one Host header is needed")
    if size > cap:
        raise too_large(cap)
    return size


def too_large(cap: int) -> Problem:
    return Problem(413, "too_large", f"the body is larger than {cap} bytes")


def _late() -> Problem:
    return Problem(503, "store_slow", note=f"the store took longer than {STORE_S} s")


def header_lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    """`name: value` lines, as they came, without credentials that are not signatures."""
    return b"\n".join([name + b": " + (b"[not kept]" if name in SECRET_HEADERS else value) for name, value in headers])


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
