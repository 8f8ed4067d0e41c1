"""How arrivals enter the store: events with their first runs and bodies, many deliveries in one transaction.

An event is unique by (source, external id); the index holds 16 bytes of a digest of both. The first one stays. What
came again is found by one SELECT, and only if fewer rows went in than were offered.
"""

from dataclasses import dataclass, field
from hashlib import blake2b

from receiver.store.ids import new_id
from receiver.store.transaction import Row, Transaction

EVENT = ("id", "delivery_id", "item", "source", "type", "external_id", "digest", "sha256", "received_at")
DELIVERY = ("id", "headers", "body")
RUN = ("id", "event_id", "state", "due_at")


def digest(source: str, external_id: str) -> bytes:
    return blake2b(f"{source}\0{external_id}".encode(), digest_size=16).digest()


@dataclass(slots=True)
class NewEvent:
    external_id: str
    type: str
    vendor_id: bool
    """False: the id was made of the bytes, and holds only within the source's window."""
    item: int | None = None


@dataclass(slots=True)
class Arrival:
    """One verified delivery, ready to be stored."""

    source: str
    headers: bytes
    body: bytes
    sha256: bytes
    received_us: int
    window_us: int
    events: list[NewEvent]


@dataclass(slots=True)
class Recorded:
    """What became of one event of an arrival: `id` is the first one's where it was a duplicate."""

    id: int
    duplicate: bool
    differs: bool = False


@dataclass(slots=True)
class _Offer:
    arrival: Arrival
    event: NewEvent
    digest: bytes
    id: int = field(default_factory=new_id)
    recorded: Recorded | None = None

    def row(self, delivery_id: int) -> Row:
        arrival, event = self.arrival, self.event
        return (
            self.id, delivery_id, event.item, arrival.source, event.type, event.external_id,
            self.digest, arrival.sha256, arrival.received_us,
        )  # fmt: skip


def add(tx: Transaction, arrivals: list[Arrival]) -> list[list[Recorded]]:
    """Insert what is new. One list for each arrival, in its events' order."""
    offers = [[_Offer(a, e, digest(a.source, e.external_id)) for e in a.events] for a in arrivals]
    delivery_ids = {id(group[0].arrival): group[0].id for group in offers if group}
    waiting = [offer for group in offers for offer in group]
    while waiting:
        waiting = _insert(tx, waiting, delivery_ids)
    fresh = [offer for group in offers for offer in group if not _of(offer).duplicate]
    deliveries = {delivery_ids[id(o.arrival)]: o.arrival for o in fresh}
    tx.insert("delivery", DELIVERY, [(number, a.headers, a.body) for number, a in deliveries.items()])
    tx.insert("run", RUN, [(o.id, o.id, "waiting", o.arrival.received_us) for o in fresh])
    return [[_of(offer) for offer in group] for group in offers]


def _of(offer: _Offer) -> Recorded:
    assert offer.recorded is not None
    return offer.recorded


def _insert(tx: Transaction, offers: list[_Offer], delivery_ids: dict[int, int]) -> list[_Offer]:
    """Insert the events; return those that must be tried again because they ended an older event's window."""
    rows = [offer.row(delivery_ids[id(offer.arrival)]) for offer in offers]
    if tx.insert_new("event", EVENT, rows, "digest") == len(rows):
        for offer in offers:
            offer.recorded = Recorded(offer.id, duplicate=False)
        return []
    firsts = _firsts(tx, [offer.digest for offer in offers])
    again = []
    for offer in offers:
        first_id, sha256, received_us = firsts[offer.digest]
        if first_id == offer.id:
            offer.recorded = Recorded(offer.id, duplicate=False)
        elif not offer.event.vendor_id and received_us < offer.arrival.received_us - offer.arrival.window_us:
            tx.run("UPDATE event SET digest = NULL WHERE id = :id", id=first_id)
            again.append(offer)
        else:
            _duplicate(tx, offer, first_id, differs=offer.event.item is None and sha256 != offer.arrival.sha256)
    return again


def _firsts(tx: Transaction, digests: list[bytes]) -> dict[bytes, tuple[int, bytes, int]]:
    condition, values = tx.where_in("digest", digests)
    found = tx.all(f"SELECT digest, id, sha256, received_at FROM event WHERE {condition}", **values)
    return {row[0]: (row[1], row[2], row[3]) for row in found}


def _duplicate(tx: Transaction, offer: _Offer, first_id: int, *, differs: bool) -> None:
    offer.recorded = Recorded(first_id, duplicate=True, differs=differs)
    if differs:
        tx.run(
            "INSERT INTO history (id, event_id, happened_at, kind, text)"
            " VALUES (:id, :event_id, :at, 'differing', :text)",
            id=new_id(), event_id=first_id, at=offer.arrival.received_us,
            text=f"a delivery of the same id had other bytes: sha256 {offer.arrival.sha256.hex()}, "
            f"{len(offer.arrival.body)} bytes; the first ones are kept",
        )  # fmt: skip
