"""How arrivals enter the store: events with their runs and bodies, many deliveries in one transaction.

An event is unique by (source, external id); the index holds 16 bytes of a digest of both. The first one stays. What
came again is found by one SELECT, and only if fewer rows went in than were offered.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from receiver.schemes import Identity
from receiver.store import routing
from receiver.store.ids import new_id
from receiver.store.runs import RUN, Line, remember
from receiver.store.transaction import Row, Transaction

EVENT = (
    "id bigint, delivery_id bigint, item integer, source text, type text, external_id text, digest bytea, sha256 bytea,"
    " received_at bigint"
)
DELIVERY = "id bigint, headers bytea, body bytea"


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


@dataclass(slots=True)
class _Candidate:
    """An event that is stored if it is new."""

    arrival: Arrival
    event: Identity
    digest: bytes
    id: int
    delivery_id: int
    recorded: Recorded | None = None

    def row(self) -> Row:
        arrival, event = self.arrival, self.event
        return (
            self.id, self.delivery_id, event.item, arrival.source, event.type, event.external_id,
            self.digest, arrival.sha256, arrival.received_us,
        )  # fmt: skip


def add(tx: Transaction, arrivals: list[Arrival]) -> list[list[Recorded]]:
    """Insert what is new. One list for each arrival, in its events' order."""
    groups = [_candidates(arrival) for arrival in arrivals]
    candidates = [candidate for group in groups for candidate in group]
    waiting = list(candidates)
    while waiting:
        waiting = _insert(tx, waiting)
    fresh = [candidate for candidate in candidates if not _recorded(candidate).duplicate]
    deliveries = {c.delivery_id: (c.delivery_id, c.arrival.headers, c.arrival.body) for c in fresh}
    tx.insert("delivery", DELIVERY, list(deliveries.values()))
    runs = list(_runs(tx, fresh))
    tx.insert("run", RUN, runs)
    tx.brought_work |= bool(runs)
    return [[_recorded(candidate) for candidate in group] for group in groups]


def _runs(tx: Transaction, fresh: list[_Candidate]) -> Iterator[Row]:
    """A run for each handler that live workers have for the event; one that is not routed yet, where none lives."""
    route = routing.current(tx) if fresh else None
    for candidate in fresh:
        names = (None,) if route is None else route(candidate.arrival.source, candidate.event.type)
        for number, name in enumerate(names):
            yield new_id() if number else candidate.id, candidate.id, name, "waiting", tx.now_us


def _candidates(arrival: Arrival) -> list[_Candidate]:
    delivery_id = first_id = new_id()
    candidates: list[_Candidate] = []
    for event in arrival.events:
        number = first_id if not candidates else new_id()
        candidates.append(_Candidate(arrival, event, digest(arrival.source, event.external_id), number, delivery_id))
    return candidates


def _recorded(candidate: _Candidate) -> Recorded:
    assert candidate.recorded is not None
    return candidate.recorded


def _insert(tx: Transaction, candidates: list[_Candidate]) -> list[_Candidate]:
    """Insert the events; return those that must be tried again because they ended an older event's window."""
    candidates.sort(key=lambda candidate: candidate.digest)  # in one order, or two receivers could deadlock
    if tx.insert_new("event", EVENT, [candidate.row() for candidate in candidates], "digest") == len(candidates):
        for candidate in candidates:
            candidate.recorded = Recorded(candidate.id, duplicate=False)
        return []
    firsts = _firsts(tx, [candidate.digest for candidate in candidates])
    again = []
    for candidate in candidates:
        arrival, event = candidate.arrival, candidate.event
        first_id, sha256, received_us = firsts[candidate.digest]
        if first_id == candidate.id:
            candidate.recorded = Recorded(first_id, duplicate=False)
        elif not event.vendor_id and received_us < arrival.received_us - arrival.window_us:
            tx.run("UPDATE event SET digest = NULL WHERE id = :id", id=first_id)
            again.append(candidate)
        else:
            differs = event.item is None and sha256 != arrival.sha256
            candidate.recorded = Recorded(first_id, duplicate=True, differs=differs)
            if differs:
                _remember(tx, first_id, arrival)
    return again


def _firsts(tx: Transaction, digests: list[bytes]) -> dict[bytes, tuple[int, bytes, int]]:
    found = tx.given(
        "SELECT event.digest, id, sha256, received_at FROM given JOIN event ON event.digest = given.digest",
        "digest bytea",
        [(digest,) for digest in digests],
    )
    return {digest: (first_id, sha256, received_us) for digest, first_id, sha256, received_us in found}


def _remember(tx: Transaction, first_id: int, arrival: Arrival) -> None:
    text = (
        f"a delivery of the same id had other bytes: sha256 {arrival.sha256.hex()}, {len(arrival.body)} bytes;"
        " the first ones are kept"
    )
    remember(tx, Line(first_id, None, "differing", None, text))
