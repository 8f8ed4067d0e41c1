"""How arrivals enter the store: events with their first runs and bodies, many deliveries in one transaction.

An event is unique by (source, external id); the index holds 16 bytes of a digest of both. The first one stays. What
came again is found by one SELECT, and only if fewer rows went in than were offered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from receiver.schemes import Identity
from receiver.store.ids import new_id
from receiver.store.transaction import Row, Transaction

EVENT = ("id", "delivery_id", "item", "source", "type", "external_id", "digest", "sha256", "received_at")
DELIVERY = ("id", "headers", "body")
RUN = ("id", "event_id", "state", "due_at")
FOUND_AT_ONCE = 512  # a statement takes only so many parameters, and a batch may hold any number of events


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
    candidates = waiting = [candidate for group in groups for candidate in group]
    while waiting:
        waiting = _insert(tx, waiting)
    fresh = [candidate for candidate in candidates if not _recorded(candidate).duplicate]
    deliveries = {c.delivery_id: (c.delivery_id, c.arrival.headers, c.arrival.body) for c in fresh}
    tx.insert("delivery", DELIVERY, list(deliveries.values()))
    tx.insert("run", RUN, [(c.id, c.id, "waiting", c.arrival.received_us) for c in fresh])
    return [[_recorded(candidate) for candidate in group] for group in groups]


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
    firsts = {}
    for start in range(0, len(digests), FOUND_AT_ONCE):
        condition, values = tx.where_in("digest", digests[start : start + FOUND_AT_ONCE])
        found = tx.all(f"SELECT digest, id, sha256, received_at FROM event WHERE {condition}", **values)
        firsts.update({row[0]: (row[1], row[2], row[3]) for row in found})
    return firsts


def _remember(tx: Transaction, first_id: int, arrival: Arrival) -> None:
    tx.run(
        "INSERT INTO history (id, event_id, happened_at, kind, text)"
        " VALUES (:id, :event_id, :at, 'differing', :text)",
        id=new_id(), event_id=first_id, at=arrival.received_us,
        text=f"a delivery of the same id had other bytes: sha256 {arrival.sha256.hex()}, "
        f"{len(arrival.body)} bytes; the first ones are kept",
    )  # fmt: skip
