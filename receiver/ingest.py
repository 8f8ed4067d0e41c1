"""The intake pipeline on one page: limits, verify, identify, record, answer.

Everything that must be true before a vendor hears 2xx happens here, in this order, and nothing else does. Handlers do
not exist on this side. Whatever goes wrong with us is a 503, never a 500 and never a 4xx. How a delivery comes in and
how its answer leaves stands in `door.py`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from receiver.callbacks import Callbacks
from receiver.delivery import WEBHOOKS, Answer, Delivery
from receiver.headers import SECRET_HEADERS, header_lines, without
from receiver.key_provider import KeyProvider
from receiver.log import Hush
from receiver.metrics import Metrics
from receiver.nonces import Nonces
from receiver.patience import Patience
from receiver.problems import Problem
from receiver.refusals import Refusals, next_step, refusal, type_line
from receiver.schemes import Headers, Refused, Reply, Request
from receiver.sources import Source
from receiver.store import Store
from receiver.store.ids import text
from receiver.store.intake import Arrival, Recorded
from receiver.wellformed import Limits, check_method, check_request, too_large

log = logging.getLogger("postern.intake")

AT_ONCE: Final = 512  # deliveries; and where another process commits them, while the next ones are verified:
AT_ONCE_ELSEWHERE: Final = 16
JSON: Final = b"content-type: application/json\r\n"


class Intake:
    """What `POST /webhooks/{source}` leads to: `take` what is whole; `refuse` whatever was raised.

    Deliveries that come together are taken together: each step for all of them before the next step. So its code and
    its data stay in the processor's caches, which takes a third off the time of the whole.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        store: Store,
        metrics: Metrics,
        public_url: str | None,
        limits: Limits,
        key_provider: KeyProvider | None = None,
    ) -> None:
        self.limits = limits
        self.sources = sources
        self._store = store
        self._metrics = metrics
        self._public_url = public_url
        self._patience = Patience(limits.store_s)
        self._hush = Hush()
        self._refusals = Refusals(store, metrics, limits)
        self._callbacks = Callbacks()
        self._nonces = Nonces()
        self._key_provider = key_provider or KeyProvider()
        self._at_once = AT_ONCE if store.works_here else AT_ONCE_ELSEWHERE
        self._taken: list[Delivery] = []
        self._stored: list[Delivery] = []

    def change(self, sources: Mapping[str, Source], public_url: str | None) -> None:
        """From the next delivery on. Those that were admitted end as they began."""
        self.sources, self._public_url = sources, public_url

    def take(self, delivery: Delivery) -> None:
        """A delivery that is whole: it hears what becomes of it, an answer, a result of the store or an exception."""
        if not self._taken:
            asyncio.get_running_loop().call_soon(self._take_all)
        self._taken.append(delivery)

    def _take_all(self) -> None:
        taken, self._taken = self._taken[: self._at_once], self._taken[self._at_once :]
        if self._taken:
            asyncio.get_running_loop().call_soon(self._take_all)
        self._patience.watch(_step_by_step(taken, (self.admit, self._verify, self._identify, self._record)))

    def admit(self, delivery: Delivery) -> bool:
        """Whatever can be refused without its body is refused before it. Errors: Problem."""
        if not delivery.admitted:
            self._admit(delivery)
        if len(delivery.body) > delivery.source.max_body_bytes:
            raise too_large(delivery.source)
        return True

    def _admit(self, delivery: Delivery) -> None:
        headers = delivery.headers
        lines = self.limits.checked_lines(headers.raw)
        source = self.sources.get(delivery.name)
        secrets = SECRET_HEADERS if source is None else source.secret_headers
        delivery.head = lines if secrets.isdisjoint(headers.first) else header_lines(without(secrets, headers.raw))
        size = check_request(headers, delivery.raw_path)
        if source is None:
            raise Problem(404, "unknown_source", "no source of this name is configured")
        if delivery.method != b"POST":
            check_method(delivery.method, source)
        if size > source.max_body_bytes:
            raise too_large(source)
        delivery.source = source
        delivery.admitted = True

    def _verify(self, delivery: Delivery) -> bool:
        """False: it is answered, or waits for a key. Errors: Problem."""
        source, body = delivery.source, bytes(delivery.body)
        url = self._url(delivery) if "public_url" in source.scheme.used else ""
        scheme, method = source.scheme, delivery.method.decode("latin-1")
        request = delivery.request = Request(method, url, delivery.headers, body, delivery.query, scheme.parse)
        now = time.time()
        keys = source.live_keys(now) if source.has_ends else source.keys
        try:
            if scheme.greets and (reply := scheme.greet(request, keys, verified=False)) is not None:
                return self._greeted(delivery, reply)
            if method != "POST":
                raise Refused("handshake_malformed", f"it is no handshake that this source knows for {method}")
            if source.vendor is not None and (wanted := source.vendor.wants(request, keys)) is not None:
                served = self._key_provider.get(wanted, source.vendor, delivery.go_on)
                if served is None:
                    return False
                keys = (*keys, served)
            verified = scheme.verify(request, keys, now)
            if verified.nonce is not None:
                delivery.nonce = self._nonces.use(source.name, verified.nonce, body)
            if scheme.greets and (reply := scheme.greet(request, (verified.key,), verified=True)) is not None:
                return self._greeted(delivery, reply)
        except Refused as refused:
            raise refusal(refused) from None
        delivery.key = verified.key.shown
        return True

    def _identify(self, delivery: Delivery) -> bool:
        delivery.arrival = arrival_of(delivery.source, delivery.request, delivery.head, time.time_ns() // 1000)
        return True

    def _record(self, delivery: Delivery) -> bool:
        """It hears of it once it is on the disk. Errors: Unavailable."""
        self._store.record_for(delivery, delivery.arrival)
        return True

    def stored(self, delivery: Delivery) -> None:
        """A delivery that is on the disk, as `recorded` says: it is counted and answered."""
        if not self._stored:
            asyncio.get_running_loop().call_soon(self._answer_all)
        self._stored.append(delivery)

    def _answer_all(self) -> None:
        stored, self._stored = self._stored, []
        _step_by_step(stored, (self._note, self._answer))
        self._store.noted()

    def _answer(self, delivery: Delivery) -> bool:
        if (told := delivery.source.answer) is not None:
            delivery.answer(Answer(told.status, type_line(told.type, told.body), told.body))
        else:
            events = delivery.arrival.events
            batch = bool(events) and events[0].item is not None
            delivery.answer(Answer(200, JSON, _outcomes(delivery.recorded, batch=batch)))
        return True

    def refuse(self, delivery: Delivery, error: BaseException) -> Answer:
        """The answer to what went wrong, which operators are told of."""
        if delivery.nonce is not None:
            self._nonces.release(delivery.nonce)
        source = self.sources.get(delivery.name)
        try:
            return self._refusals.answer(error, delivery, source)
        except Exception as fault:  # of ours, or of a user's scheme: those of the same turn must not pay for it
            return self._refusals.answer(fault, delivery, source)

    def _greeted(self, delivery: Delivery, reply: Reply) -> bool:
        """A handshake is answered and stores no event."""
        name = delivery.name
        self._metrics.handshake(name)
        problem = None
        if reply.offers_secret:  # into the store, and not into the log
            problem = Problem(reply.status, "secret_offered", note="in it stands what the vendor will sign with")
            self._refusals.keep(problem, delivery, delivery.source)
        if count := self._hush.speak((name, delivery.method)):
            log.info(
                "answered a handshake%s", f": {problem.note}" if problem else "",
                extra={"source": name, "method": delivery.method.decode("latin-1"), "count": count,
                       "next": next_step(problem, name) if problem else None},
            )  # fmt: skip
        if reply.call is not None:
            self._callbacks.fetch(name, reply.call)
        head = b"".join([b"%b: %b\r\n" % line for line in reply.headers])
        delivery.answer(Answer(reply.status, head, reply.body))
        return False

    def _url(self, delivery: Delivery) -> str:
        """The address the vendor signed: the configured one, with the request's own query."""
        return called_url(
            delivery.name, delivery.query.decode("latin-1"), delivery.source.public_url, self._public_url,
            delivery.scheme, delivery.headers,
        )  # fmt: skip

    def _note(self, delivery: Delivery) -> bool:
        activity, arrival, key = self._store.activity, delivery.arrival, delivery.key
        source, now_us = arrival.source, arrival.received_us
        for event in delivery.recorded:
            if event.duplicate:
                activity.duplicate(source, event.id, now_us, key, differs=event.differs)
                self._metrics.received(source, "duplicate")
            else:
                activity.accepted(source, now_us, key)
                self._metrics.received(source, "accepted")
        if log.isEnabledFor(logging.DEBUG):
            for event in delivery.recorded:
                log.debug(
                    "received",
                    extra={"source": source, "event": text("ev", event.id), "duplicate": event.duplicate},
                )
        return True


def _step_by_step(deliveries: list[Delivery], steps: Sequence[Callable[[Delivery], bool]]) -> list[Delivery]:
    """Those that took all the steps. What a step raises, the delivery hears."""
    for step in steps:
        going_on = []
        for delivery in deliveries:
            try:
                if not delivery.done() and step(delivery):
                    going_on.append(delivery)
            except Exception as error:
                delivery.set_exception(error)
        deliveries = going_on
    return deliveries


def called_url(name: str, query: str, own: str | None, installation: str | None, scheme: str, headers: Headers) -> str:
    """The address the vendor signed: the source's own or the installation's, else the one that was called."""
    path = WEBHOOKS + name
    base = own or (installation and installation.rstrip("/") + path)
    if not base:
        base = f"{scheme}://{headers.first.get(b'host', b'').decode('latin-1')}{path}"
    return f"{base}?{query}" if query else base


def arrival_of(source: Source, request: Request, head: bytes, now_us: int) -> Arrival:
    """What is stored of a request that was verified; `head` are its headers as they are kept."""
    body, events = request.body, source.scheme.identify(request)
    return Arrival(source.name, head, body, sha256(body).digest(), now_us, source.dedupe_window_us, events)


def _outcomes(recorded: list[Recorded], *, batch: bool) -> bytes:
    if not batch and len(recorded) == 1:
        return _shown(recorded[0])
    return b'{"events": [%s]}' % b", ".join(map(_shown, recorded))


def _shown(event: Recorded) -> bytes:
    status = b"duplicate" if event.duplicate else b"accepted"
    return b'{"id": "%s", "status": "%s"}' % (text("ev", event.id).encode(), status)
