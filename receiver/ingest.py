"""The intake pipeline on one page: limits, verify, identify, record, answer.

Everything that must be true before a vendor hears 2xx happens here, in this order, and nothing else does. Handlers do
not exist on this side. Whatever goes wrong with us is a 503, never a 500 and never a 4xx. How a delivery comes in and
how its answer leaves stands in `door.py`.
"""

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

from receiver.log import Hush
from receiver.metrics import Metrics
from receiver.problems import Problem, problem_head
from receiver.schemes import Headers, Refused, Request
from receiver.sources import Source
from receiver.store import Store, Unavailable
from receiver.store.activity import KEPT_BYTES, Refusal
from receiver.store.ids import text
from receiver.store.intake import Arrival, Recorded
from receiver.store.writer import Waiter

log = logging.getLogger("postern.intake")

WEBHOOKS: Final = "/webhooks/"
SECRET_HEADERS: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization"})
BAD_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
JSON: Final = b"content-type: application/json\r\n"
PLAIN: Final = b"content-type: text/plain\r\nx-content-type-options: nosniff\r\n"


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may take."""

    idle_s: float = 5.0  # between an answer and the next request
    headers_s: float = 10.0
    body_s: float = 10.0
    store_s: float = 1.9  # to commit it: vendors give up soon after
    headers: int = 100
    headers_bytes: int = 65536
    reading_bytes: int = 128 << 20  # of bodies that are not whole yet


class Answer(NamedTuple):
    status: int
    head: bytes
    """Header lines that are this answer's own."""
    body: bytes


class Delivery:
    """One inbound request, as far as it has come."""

    __slots__ = (
        *("body", "head", "method", "name", "query", "raw_path", "scheme", "whole"),
        *("arrival", "headers", "key", "source"),
    )
    headers: Headers
    source: Source
    arrival: Arrival
    key: str
    """Which one verified it, for people."""

    def __init__(
        self, name: str, method: bytes, scheme: str, raw_path: bytes, query: bytes, raw: Sequence[tuple[bytes, bytes]]
    ) -> None:
        self.name = name
        self.method = method
        self.scheme = scheme
        self.raw_path = raw_path
        self.query = query
        self.headers = Headers(raw)
        self.head = b""  # as it is kept
        self.body: bytes | bytearray = b""
        self.whole = False


class Intake:
    """What `POST /webhooks/{source}` leads to: `admit`, then `take` what is whole; `refuse` whatever was raised."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        store: Store,
        metrics: Metrics,
        public_url: str | None,
        limits: Limits,
    ) -> None:
        self.limits = limits
        self._sources = sources
        self._store = store
        self._metrics = metrics
        self._public_url = public_url
        self._patience = Patience(limits.store_s)
        self._hush = Hush()

    def admit(self, delivery: Delivery) -> None:
        """Whatever can be refused without its body is refused before it. Errors: Problem."""
        headers = delivery.headers
        lines = header_lines(headers.raw)
        if len(headers.raw) > self.limits.headers or len(lines) > self.limits.headers_bytes:
            at_most = f"at most {self.limits.headers} headers and {self.limits.headers_bytes} bytes of them"
            raise Problem(431, "headers_too_large", at_most)
        secret = not SECRET_HEADERS.isdisjoint(headers.first)
        delivery.head = header_lines(without_secrets(headers.raw)) if secret else lines
        size = check_request(delivery)
        source = self._sources.get(delivery.name)
        if source is None:
            raise Problem(404, "unknown_source", "no source of this name is configured")
        if delivery.method != b"POST":
            raise Problem(405, "method_not_allowed", "deliveries are sent with POST")
        if size > source.max_body_bytes:
            raise too_large(source)
        delivery.source = source

    def take(self, delivery: Delivery, waiter: Waiter) -> Answer | None:
        """Verify, identify, record. None: `waiter` hears of it once it is on the disk. Errors: Problem, Unavailable."""
        source, body = delivery.source, bytes(delivery.body)
        url = self._url(delivery) if "public_url" in source.scheme.used else ""
        request = Request("POST", url, delivery.headers, body)
        now_us = time.time_ns() // 1000
        try:
            verified = source.scheme.verify(request, source.keys, now_us / 1e6)
        except Refused as refused:
            detail = "the signature of this request was not accepted"
            raise Problem(401, refused.code, detail, note=refused.detail, claimed_at=refused.claimed_at) from None
        echo = source.scheme.echo(request)
        if echo is not None:
            return Answer(200, PLAIN, echo)
        events = source.scheme.identify(request)
        delivery.key = verified.key.shown
        delivery.arrival = Arrival(
            source.name, delivery.head, body, sha256(body).digest(), now_us,
            round(source.dedupe_window_s * 1e6), events,
        )  # fmt: skip
        self._store.record_for(waiter, delivery.arrival)
        self._patience.watch(waiter)
        return None

    def stored(self, delivery: Delivery, recorded: list[Recorded]) -> Answer:
        """The answer to what is on the disk."""
        arrival = delivery.arrival
        self._note(arrival, recorded, delivery.key)
        batch = bool(arrival.events) and arrival.events[0].item is not None
        return Answer(200, JSON, _answer(recorded, batch=batch))

    def refuse(self, delivery: Delivery, error: BaseException) -> Answer:
        """The answer to what went wrong, which operators are told of."""
        problem = self._problem(error, delivery)
        known = delivery.name in self._sources
        self._metrics.refused(delivery.name if known else None, problem.code)
        if known:
            self._tell(problem, delivery)
        return Answer(problem.status, problem_head(problem.status), problem.body)

    def _url(self, delivery: Delivery) -> str:
        """The address the vendor signed: the configured one, with the request's own query."""
        query = delivery.query.decode("latin-1")
        path = WEBHOOKS + delivery.name
        base = delivery.source.public_url or (self._public_url and self._public_url.rstrip("/") + path)
        if not base:
            host = delivery.headers.first[b"host"].decode("latin-1")
            base = f"{delivery.scheme}://{host}{path}"
        return f"{base}?{query}" if query else base

    def _note(self, arrival: Arrival, recorded: list[Recorded], key: str) -> None:
        activity, source, now_us = self._store.activity, arrival.source, arrival.received_us
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
        head, body = delivery.head, bytes(delivery.body[:KEPT_BYTES])
        self._store.activity.refused(
            Refusal(
                delivery.name, time.time_ns() // 1000, problem.code, problem.note, claimed_us,
                len(delivery.body), head, body,
            )
        )  # fmt: skip
        self._store.noted()

    def _problem(self, error: BaseException, delivery: Delivery) -> Problem:
        """What went wrong, as an answer."""
        match error:
            case Problem():
                return error
            case Unavailable():
                return Problem(503, "store_unavailable", note=str(error))
            case TimeoutError() if delivery.whole:
                return Problem(503, "store_slow", note=f"the store took longer than {self.limits.store_s:g} s")
            case TimeoutError():
                return Problem(408, "too_slow", f"the request took longer than {self.limits.body_s:g} s")
            case asyncio.CancelledError():
                return Problem(503, "stopping")
        log.error("intake failed", exc_info=error, extra={"source": delivery.name})
        return Problem(503, "internal")


class Patience:
    """An end to waits that are all equally long. One timer serves them all: one each would cost more than the wait."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: deque[tuple[float, Waiter]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, waiter: Waiter) -> None:
        """If it is not done in time, it hears of a TimeoutError."""
        waiting = self._waiting
        while waiting and waiting[0][1].done():
            waiting.popleft()
        waiting.append((time.monotonic() + self._seconds, waiter))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)

    def _expire(self) -> None:
        now = time.monotonic()
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= now):
            waiter = self._waiting.popleft()[1]
            if not waiter.done():
                waiter.set_exception(TimeoutError())
        self._timer = None
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(self._waiting[0][0] - now, self._expire)


ONLY = {
    b"content-encoding": (b"identity", (415, "encoded_body", "the signature covers raw bytes: send them plain")),
    b"transfer-encoding": (b"chunked", (400, "bad_transfer_encoding", "only chunked is understood")),
    b"upgrade": (None, (400, "upgrade_refused", "this address takes deliveries only")),
}
"""Headers of which one value is fine, and how any other is refused."""


def check_request(delivery: Delivery) -> int:
    """Refuse what a proxy or a vendor would never send but a smuggler would; the announced length, or 0.

    httptools already refuses Content-Length beside Transfer-Encoding, folded lines and bare line feeds. It accepts a
    missing or doubled Host, `gzip, chunked`, a broken percent code, and drops the body of an upgrade.
    """
    headers = delivery.headers
    if not ONLY.keys().isdisjoint(headers.first):
        _check_only(headers)
    if b"host" not in headers.first or (headers.doubled and len(headers.all("host")) > 1):
        raise Problem(400, "bad_host", "exactly one Host header is needed")
    if b"%" in delivery.raw_path and BAD_PERCENT.search(delivery.raw_path):
        raise Problem(400, "bad_path", "a percent sign in the path is not followed by two hex digits")
    return int(headers.first.get(b"content-length", 0))  # the parser let digits only pass, and only one of it


def _check_only(headers: Headers) -> None:
    for name, (only, problem) in ONLY.items():
        if any(one == name and value.lower() != only for one, value in headers.raw):
            raise Problem(*problem)


def too_large(source: Source) -> Problem:
    return Problem(413, "too_large", f"the body is larger than {source.max_body_bytes} bytes")


def header_lines(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """`name: value` lines, in the order in which they came."""
    return b"\n".join(map(b": ".join, headers))


def without_secrets(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Headers as they may be kept: credentials that are no signatures are not."""
    return [(name, b"[not kept]" if name in SECRET_HEADERS else value) for name, value in headers]


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
