"""What operators see of each source, gathered in memory and written about once a second.

A flood of refused requests must cost no more than its 401s, and a storm of duplicates no more than its look-ups: so
counters and rejections are no writes of their own. After `kill -9` the last second of them may be missing.
"""

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from receiver.store.ids import new_id
from receiver.store.transaction import Transaction

REJECTION = (
    "id bigint, source text, received_at bigint, code text, detail text, claimed_at bigint, size_bytes bigint,"
    " headers bytea, body bytea, method text, scheme text, target text"
)
KEPT = 1000  # newest rejections of a source
KEPT_BYTES = 65536  # of the body of each
SOURCE_BYTES = 16 << 20  # of a source's rejections in the store; beyond it the oldest go
STORE_BYTES = 256 << 20  # and of all sources' together
FLUSH_BYTES = 4 << 20  # rejections written at one flush: a flood must not take the disk from intake
WAITING_BYTES = 64 << 20  # rejections in memory; beyond it the oldest go. Sources have equal shares in both
DUPLICATES_KEPT = 10_000  # events whose duplicate count waits in memory


@dataclass(slots=True)
class Refusal:
    """A refused delivery as it is kept, with what was signed. `body` is cut to 64 KiB; `size_bytes` is what came."""

    source: str
    received_us: int
    code: str
    detail: str
    claimed_us: int | None
    size_bytes: int
    headers: bytes
    body: bytes
    method: str = "POST"
    scheme: str = ""
    target: str = ""
    """Path and query, as they came."""

    @property
    def kept_bytes(self) -> int:
        return len(self.headers) + len(self.body) + len(self.target)


@dataclass(slots=True)
class _Waiting:
    """One source's refusals that are to be written, oldest first."""

    refusals: deque[Refusal] = field(default_factory=deque)
    bytes: int = 0

    def add(self, refusal: Refusal, room: int) -> None:
        self.refusals.append(refusal)
        self.bytes += refusal.kept_bytes
        while len(self.refusals) > KEPT or (self.bytes > room and len(self.refusals) > 1):
            self._pop()

    def take(self, room: int) -> list[Refusal]:
        taken = []
        while self.refusals and room > 0:
            taken.append(self._pop())
            room -= taken[-1].kept_bytes
        return taken

    def put_back(self, taken: list[Refusal]) -> None:
        self.refusals.extendleft(reversed(taken))
        self.bytes += sum(refusal.kept_bytes for refusal in taken)

    def _pop(self) -> Refusal:
        oldest = self.refusals.popleft()
        self.bytes -= oldest.kept_bytes
        return oldest


@dataclass(slots=True)
class _Used:
    """What one key has verified."""

    verified: int = 0
    last_us: int = 0


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
    keys: dict[str, _Used] = field(default_factory=dict)

    def verified(self, key: str, at_us: int) -> None:
        used = self.keys.get(key)
        if used is None:
            used = self.keys[key] = _Used()
        used.verified += 1
        used.last_us = at_us


@dataclass(slots=True)
class Gathered:
    """What one flush writes."""

    counts: dict[str, _Counts] = field(default_factory=dict)
    duplicates: Counter[int] = field(default_factory=Counter)
    refusals: dict[str, list[Refusal]] = field(default_factory=dict)


class Activity:
    """Thread-safe: the event loop notes, the writer's flush takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, _Counts] = {}
        self._duplicates: Counter[int] = Counter()
        self._waiting: dict[str, _Waiting] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def accepted(self, source: str, at_us: int, key: str) -> None:
        with self._lock:
            counts = self._of(source)
            counts.accepted += 1
            counts.refused_since_accepted = 0
            counts.last_accepted_us = at_us
            counts.verified(key, at_us)

    def duplicate(self, source: str, event_id: int, at_us: int, key: str, *, differs: bool) -> None:
        with self._lock:
            counts = self._of(source)
            counts.duplicates += 1
            counts.differing += differs
            counts.verified(key, at_us)
            if len(self._duplicates) < DUPLICATES_KEPT or event_id in self._duplicates:
                self._duplicates[event_id] += 1

    def refused(self, refusal: Refusal) -> None:
        with self._lock:
            counts = self._of(refusal.source)
            counts.refused += 1
            counts.refused_since_accepted += 1
            counts.last_refused_us, counts.last_refused_code = refusal.received_us, refusal.code
            waiting = self._waiting.setdefault(refusal.source, _Waiting())
            waiting.add(refusal, WAITING_BYTES // len(self._waiting))

    def _of(self, source: str) -> _Counts:
        counts = self._counts.get(source)
        if counts is None:
            counts = self._counts[source] = _Counts()
        return counts

    def take(self) -> Gathered:
        """Everything noted since the last time, and as many rejections as one flush may write."""
        with self._lock:
            gathered = Gathered(self._counts, self._duplicates)
            self._counts, self._duplicates = {}, Counter()
            for source, waiting in list(self._waiting.items()):
                gathered.refusals[source] = waiting.take(FLUSH_BYTES // len(self._waiting))
                if waiting.refusals:
                    self._of(source)  # so that the next flush comes for the rest
            self._waiting = {source: waiting for source, waiting in self._waiting.items() if waiting.refusals}
            return gathered

    def put_back(self, gathered: Gathered) -> None:
        """The store could not be written: keep it all for the next flush."""
        with self._lock:
            self._duplicates.update(gathered.duplicates)
            for source, old in gathered.counts.items():
                new = self._counts.setdefault(source, old)
                if new is not old:
                    _add(new, old)
            for source, refusals in gathered.refusals.items():
                self._waiting.setdefault(source, _Waiting()).put_back(refusals)


def _add(new: _Counts, old: _Counts) -> None:
    if new.last_accepted_us is None:
        new.refused_since_accepted += old.refused_since_accepted
    for name in ("accepted", "duplicates", "differing", "refused"):
        setattr(new, name, getattr(new, name) + getattr(old, name))
    for name in ("last_accepted_us", "last_refused_us", "last_refused_code"):
        if getattr(new, name) is None:
            setattr(new, name, getattr(old, name))
    for key, before in old.keys.items():
        used = new.keys.setdefault(key, before)
        if used is not before:
            used.verified += before.verified


def write(tx: Transaction, gathered: Gathered) -> None:
    """What was promoted was accepted long ago: no last time goes back."""
    for source in sorted(gathered.counts):
        _write_counts(tx, source, gathered.counts[source])
    tx.given(
        "UPDATE event SET duplicates = duplicates + given.more FROM given WHERE event.id = given.id",
        "id bigint, more integer",
        sorted(gathered.duplicates.items()),
    )
    for source, refusals in sorted(gathered.refusals.items()):
        _write_rejections(tx, source, refusals)
    if any(gathered.refusals.values()):
        _drop_oldest(tx)


def _write_counts(tx: Transaction, source: str, counts: _Counts) -> None:
    newest = max(counts.keys.items(), key=_last_us, default=None)
    tx.run("INSERT INTO source (name) VALUES (:name) ON CONFLICT (name) DO NOTHING", name=source)
    tx.run(
        "UPDATE source SET accepted = accepted + :accepted, duplicates = duplicates + :duplicates,"
        " differing = differing + :differing, refused = refused + :refused,"
        " refused_since_accepted = :since"
        " + CASE WHEN :accepted_at >= COALESCE(last_refused_at, 0) THEN 0 ELSE refused_since_accepted END,"
        " last_accepted_at = CASE WHEN last_accepted_at > :accepted_at THEN last_accepted_at"
        " ELSE COALESCE(:accepted_at, last_accepted_at) END,"
        " last_refused_at = COALESCE(:refused_at, last_refused_at),"
        " last_refused_code = COALESCE(:refused_code, last_refused_code),"
        " key = CASE WHEN key_at > :key_at THEN key ELSE COALESCE(:key, key) END,"
        " key_at = CASE WHEN key_at > :key_at THEN key_at ELSE COALESCE(:key_at, key_at) END WHERE name = :name",
        name=source, accepted=counts.accepted, duplicates=counts.duplicates, differing=counts.differing,
        refused=counts.refused, since=counts.refused_since_accepted, accepted_at=counts.last_accepted_us,
        refused_at=counts.last_refused_us, refused_code=counts.last_refused_code,
        key=newest and newest[0], key_at=newest and newest[1].last_us,
    )  # fmt: skip
    _write_usage(tx, source, counts.keys)


def _last_us(used: tuple[str, _Used]) -> int:
    return used[1].last_us


def _write_usage(tx: Transaction, source: str, keys: Mapping[str, _Used]) -> None:
    tx.insert_new("usage", "source text, key text", [(source, key) for key in sorted(keys)], "source, key")
    tx.given(
        "UPDATE usage SET verified = verified + given.more, last_verified_at ="
        " CASE WHEN last_verified_at > given.at_us THEN last_verified_at ELSE given.at_us END FROM given"
        " WHERE usage.source = :source AND usage.key = given.key",
        "key text, more bigint, at_us bigint",
        [(key, used.verified, used.last_us) for key, used in sorted(keys.items())],
        source=source,
    )


def _write_rejections(tx: Transaction, source: str, refusals: list[Refusal]) -> None:
    rows = [
        (new_id(), source, r.received_us, r.code, r.detail, r.claimed_us, r.size_bytes, r.headers, r.body,
         r.method, r.scheme, r.target)
        for r in refusals
    ]  # fmt: skip
    tx.insert("rejection", REJECTION, rows)
    tx.run(
        "DELETE FROM rejection WHERE source = :source AND id <="
        " (SELECT id FROM rejection WHERE source = :source ORDER BY id DESC LIMIT 1 OFFSET :kept)",
        source=source, kept=KEPT,
    )  # fmt: skip
    tx.run(OVER_BYTES.format(where="WHERE source = :source"), source=source, bytes=SOURCE_BYTES)


OVER_BYTES = (
    "DELETE FROM rejection WHERE id IN (SELECT id FROM (SELECT id,"
    " SUM(LENGTH(headers) + LENGTH(body) + LENGTH(target)) OVER (ORDER BY id DESC) AS bytes"
    " FROM rejection {where}) AS newest WHERE newest.bytes > :bytes)"
)


def _drop_oldest(tx: Transaction) -> None:
    """Few sources cannot have too much together: then nothing is summed up."""
    [(sources,)] = tx.all("SELECT COUNT(*) FROM source")
    if sources * SOURCE_BYTES > STORE_BYTES:
        tx.run(OVER_BYTES.format(where=""), bytes=STORE_BYTES)
