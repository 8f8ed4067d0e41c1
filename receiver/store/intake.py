"""How arrivals enter the store: events with their runs and bodies, many deliveries in one transaction.

An event is unique by (source, external id); the index holds 16 bytes of a digest of both. The first one stays. What
came again is found by one SELECT, and only if fewer rows went in than were offered.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from operator import attrgetter

from receiver.schemes import Identity
from receiver.store import routing
from receiver.store.ids import new_id
from receiver.store.runs import RUN, Line, remember
from receiver.store.transaction import Row, Transaction

EVENT = (
    "id bigint, delivery_id bigint, item integer, source text, type text, external_id text, digest bytea, sha256 bytea,"
    " received_at bigint, item_sha256 bytea"
)
DELIVERY = "id bigint, headers bytea, body bytea"
BY_DIGEST = attrgetter("digest")


def digest(source: str, external_id: str) -> bytes:
    return blake2b(f"{source}\0{external_id}".encode(), digest_size=16).digest()


@dataclass(slots=True)
class Arrival:
    """One verified delivery, ready to be stored."""

    source: str
    headers: bytes
    body: bytes
    sha256: bytes
    received_us: int
    window_us: int
    events: Sequence[Identity]


@dataclass(slots=True)
class Recorded:
    """What became of one event of an arrival: `id` is the first one's where it was a duplicate."""

    id: int
    duplicate: bool
    differs: bool = False


class _Candidate(Recorded):
    """An event that is stored if it is new, and taken for new until it is known better."""

    __slots__ = ("arrival", "delivery_id", "digest", "event")

    def __init__(self, arrival: Arrival, event: Identity, number: int, delivery_id: int) -> None:
        self.id = number
        self.duplicate = self.differs = False
        self.arrival = arrival
        self.event = event
        self.digest = digest(arrival.source, event.external_id)
        self.delivery_id = delivery_id

    def known(self, first_id: int, *, differs: bool) -> None:
        self.id = first_id
        self.duplicate = True
        self.differs = differs

    def row(self, *, named: bool = True) -> Row:
        """Not named: a newer event has its digest."""
        arrival, event = self.arrival, self.event
        return (
            self.id, self.delivery_id, event.item, arrival.source, event.type, event.external_id,
            self.digest if named else None, arrival.sha256, arrival.received_us, event.item_sha256,
        )  # fmt: skip

    @property
    def sha256(self) -> bytes | None:
        """What is compared where it comes again: a batch may bring the same item beside other ones."""
        return self.arrival.sha256 if self.event.item is None else self.event.item_sha256


def add(tx: Transaction, arrivals: list[Arrival]) -> Sequence[Sequence[Recorded]]:
    """Insert what is new. One list for each arrival, in its events' order."""
    groups = [_candidates(arrival) for arrival in arrivals]
    candidates = [candidate for group in groups for candidate in group]
    copies = [pair for group in groups if len(group) > 1 for pair in _copies(group)]
    waiting = [candidate for candidate in candidates if not candidate.duplicate]
    while waiting:
        waiting = _insert(tx, waiting)
    for first, copy in copies:
        copy.known(first.id, differs=first.differs)
    fresh = [candidate for candidate in candidates if not candidate.duplicate]
    deliveries = {c.delivery_id: (c.delivery_id, c.arrival.headers, c.arrival.body) for c in fresh}
    tx.insert("delivery", DELIVERY, list(deliveries.values()))
    runs = list(_runs(tx, fresh))
    tx.insert("run", RUN, runs)
    tx.brought_work |= bool(runs)
    return groups


def _runs(tx: Transaction, fresh: list[_Candidate]) -> Iterator[Row]:
    """A run for each handler that live workers have for the event; one that is not routed yet, where none lives."""
    route = routing.current(tx) if fresh else None
    for candidate in fresh:
        names = (None,) if route is None else route(candidate.arrival.source, candidate.event.type)
        for number, name in enumerate(names):
            yield new_id() if number else candidate.id, candidate.id, name, "waiting", tx.now_us


def _candidates(arrival: Arrival) -> list[_Candidate]:
    delivery_id = first_id = new_id()
    return [
        _Candidate(arrival, event, new_id() if number else first_id, delivery_id)
        for number, event in enumerate(arrival.events)
    ]


def _copies(group: list[_Candidate]) -> Iterator[tuple[_Candidate, _Candidate]]:
    """Items that say the same as an earlier one of their batch, behind that one: they need not go to the database."""
    firsts: dict[tuple[bytes, bytes | None], _Candidate] = {}
    for candidate in group:
        first = firsts.setdefault((candidate.digest, candidate.sha256), candidate)
        if first is not candidate:
            candidate.duplicate = True
            yield first, candidate


def _insert(tx: Transaction, candidates: list[_Candidate]) -> list[_Candidate]:
    """Insert the events; return those that must be tried again because they ended an older event's window."""
    candidates.sort(key=BY_DIGEST)  # in one order, or two receivers could deadlock
    if tx.insert_new("event", EVENT, [candidate.row() for candidate in candidates], "digest") == len(candidates):
        return []
    firsts = _firsts(tx, [candidate.digest for candidate in candidates])
    again, differing = [], []
    for candidate in candidates:
        arrival, event = candidate.arrival, candidate.event
        first_id, sha256, received_us = firsts[candidate.digest]
        if first_id == candidate.id:
            continue
        if not event.vendor_id and received_us < arrival.received_us - arrival.window_us:
            tx.run("UPDATE event SET digest = NULL WHERE id = :id", id=first_id)
            again.append(candidate)
        elif not event.vendor_id and received_us > arrival.received_us + arrival.window_us:  # promoted so late
            tx.insert("event", EVENT, [candidate.row(named=False)])
        else:
            differs = None not in (sha256, candidate.sha256) and sha256 != candidate.sha256
            candidate.known(first_id, differs=differs)
            if differs:
                differing.append(_line(first_id, candidate))
    remember(tx, *differing)
    return again


def _firsts(tx: Transaction, digests: list[bytes]) -> dict[bytes, tuple[int, bytes | None, int]]:
    found = tx.given(
        "SELECT event.digest, id, CASE WHEN item IS NULL THEN sha256 ELSE item_sha256 END, received_at"
        " FROM given JOIN event ON event.digest = given.digest",
        "digest bytea",
        [(digest,) for digest in digests],
    )
    return {digest: (first_id, sha256, received_us) for digest, first_id, sha256, received_us in found}


def _line(first_id: int, candidate: _Candidate) -> Line:
    arrival, item = candidate.arrival, candidate.event.item
    which = f"{len(arrival.body)} bytes" if item is None else f"item {item} of a batch of {len(arrival.body)} bytes"
    text = (
        f"a delivery of the same id had other bytes: sha256 {(candidate.sha256 or b'').hex()}, {which};"
        " the first ones are kept"
    )
    return Line(first_id, None, "differing", None, text)
