"""What operators see of each source, gathered in memory and written about once a second.

A flood of refused requests must cost no more than its 401s, and a storm of duplicates no more than its look-ups: so
counters and rejections are no writes of their own. After `kill -9` the last second of them may be missing.
"""

import threading
from collections import Counter, deque
from dataclasses import dataclass, field

from receiver.store.ids import new_id
from receiver.store.transaction import Transaction

REJECTION = ("id", "source", "received_at", "code", "detail", "claimed_at", "size_bytes", "headers", "body")
KEPT = 1000  # newest rejections of a source
KEPT_BYTES = 65536  # of the body of each
FLUSH_BYTES = 4 << 20  # rejections written at one flush: a flood must not take the disk from intake
WAITING_BYTES = 32 << 20  # rejections in memory, of all sources; beyond it the oldest go
DUPLICATES_KEPT = 10_000  # events whose duplicate count waits in memory


@dataclass(slots=True)
class Refusal:
    """A refused delivery as it is kept. `body` is cut to 64 KiB; `size_bytes` is what came."""

    source: str
    received_us: int
    code: str
    detail: str
    claimed_us: int | None
    size_bytes: int
    headers: bytes
    body: bytes


@dataclass(slots=True)
class _Counts:
    accepted: int = 0
    duplicates: int = 0
    differing: int = 0
    refused: int = 0
    refused_since_accepted: int = 0
    last_accepted_us: int | None = None
    last_refused_us: int | None = None
    last_refused_code: str | None = None
    key: str | None = None
    key_us: int | None = None


@dataclass(slots=True)
class _Gathered:
    counts: dict[str, _Counts] = field(default_factory=dict)
    duplicates: Counter[int] = field(default_factory=Counter)
    refusals: list[Refusal] = field(default_factory=list)


class Activity:
    """Thread-safe: the event loop notes, the writer's flush takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, _Counts] = {}
        self._duplicates: Counter[int] = Counter()
        self._refusals: dict[str, deque[Refusal]] = {}
        self._refusal_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._counts)

    def accepted(self, source: str, at_us: int, key: str) -> None:
        with self._lock:
            counts = self._of(source)
            counts.accepted += 1
            counts.refused_since_accepted = 0
            counts.last_accepted_us = counts.key_us = at_us
            counts.key = key

    def duplicate(self, source: str, event_id: int, at_us: int, key: str, *, differs: bool) -> None:
        with self._lock:
            counts = self._of(source)
            counts.duplicates += 1
            counts.differing += differs
            counts.key, counts.key_us = key, at_us
            if len(self._duplicates) < DUPLICATES_KEPT or event_id in self._duplicates:
                self._duplicates[event_id] += 1

    def refused(self, refusal: Refusal) -> None:
        with self._lock:
            counts = self._of(refusal.source)
            counts.refused += 1
            counts.refused_since_accepted += 1
            counts.last_refused_us, counts.last_refused_code = refusal.received_us, refusal.code
            waiting = self._refusals.setdefault(refusal.source, deque())
            waiting.append(refusal)
            self._refusal_bytes += len(refusal.body)
            while len(waiting) > KEPT or (self._refusal_bytes > WAITING_BYTES and len(waiting) > 1):
                self._refusal_bytes -= len(waiting.popleft().body)

    def _of(self, source: str) -> _Counts:
        counts = self._counts.get(source)
        if counts is None:
            counts = self._counts[source] = _Counts()
        return counts

    def take(self) -> _Gathered:
        """Everything noted since the last time, and as many rejections as one flush may write, newest first to stay."""
        with self._lock:
            gathered = _Gathered(self._counts, self._duplicates)
            self._counts, self._duplicates = {}, Counter()
            room = FLUSH_BYTES
            for source, waiting in list(self._refusals.items()):
                while waiting and room > 0:
                    refusal = waiting.popleft()
                    room -= len(refusal.body) + len(refusal.headers)
                    self._refusal_bytes -= len(refusal.body)
                    gathered.refusals.append(refusal)
                if waiting:
                    self._of(source)  # so that the next flush comes for the rest
                else:
                    del self._refusals[source]
            return gathered

    def put_back(self, gathered: _Gathered) -> None:
        """The store could not be written: keep the counts for the next flush. That second's rejections are lost."""
        with self._lock:
            self._duplicates.update(gathered.duplicates)
            for source, old in gathered.counts.items():
                new = self._counts.setdefault(source, old)
                if new is not old:
                    _add(new, old)


def _add(new: _Counts, old: _Counts) -> None:
    if new.last_accepted_us is None:
        new.refused_since_accepted += old.refused_since_accepted
    for name in ("accepted", "duplicates", "differing", "refused"):
        setattr(new, name, getattr(new, name) + getattr(old, name))
    for name in ("last_accepted_us", "last_refused_us", "last_refused_code", "key", "key_us"):
        if getattr(new, name) is None:
            setattr(new, name, getattr(old, name))


def write(tx: Transaction, gathered: _Gathered) -> None:
    for source in sorted(gathered.counts):
        _write_counts(tx, source, gathered.counts[source])
    tx.many(
        "UPDATE event SET duplicates = duplicates + :count WHERE id = :id",
        [{"id": event_id, "count": count} for event_id, count in sorted(gathered.duplicates.items())],
    )
    _write_rejections(tx, gathered.refusals)


def _write_counts(tx: Transaction, source: str, counts: _Counts) -> None:
    tx.run("INSERT INTO source (name) VALUES (:name) ON CONFLICT (name) DO NOTHING", name=source)
    tx.run(
        "UPDATE source SET accepted = accepted + :accepted, duplicates = duplicates + :duplicates,"
        " differing = differing + :differing, refused = refused + :refused,"
        " refused_since_accepted = CASE WHEN :accepted > 0 THEN 0 ELSE refused_since_accepted END + :since,"
        " last_accepted_at = COALESCE(:accepted_at, last_accepted_at),"
        " last_refused_at = COALESCE(:refused_at, last_refused_at),"
        " last_refused_code = COALESCE(:refused_code, last_refused_code), key = COALESCE(:key, key),"
        " key_at = COALESCE(:key_at, key_at) WHERE name = :name",
        name=source, accepted=counts.accepted, duplicates=counts.duplicates, differing=counts.differing,
        refused=counts.refused, since=counts.refused_since_accepted, accepted_at=counts.last_accepted_us,
        refused_at=counts.last_refused_us, refused_code=counts.last_refused_code, key=counts.key, key_at=counts.key_us,
    )  # fmt: skip


def _write_rejections(tx: Transaction, refusals: list[Refusal]) -> None:
    rows = [
        (new_id(), r.source, r.received_us, r.code, r.detail, r.claimed_us, r.size_bytes, r.headers, r.body)
        for r in refusals
    ]
    tx.insert("rejection", REJECTION, rows)
    for source in sorted({r.source for r in refusals}):
        tx.run(
            "DELETE FROM rejection WHERE source = :source AND id <="
            " (SELECT id FROM rejection WHERE source = :source ORDER BY id DESC LIMIT 1 OFFSET :kept)",
            source=source, kept=KEPT,
        )  # fmt: skip
