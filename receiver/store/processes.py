"""Who is alive: receivers with their address, workers with the handlers they offer. Rows, not locks."""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from receiver import __version__
from receiver.store.ids import new_id
from receiver.store.runs import ALIVE_US, MISSING_AFTER_US
from receiver.store.transaction import Transaction

KEPT_US = 2 * MISSING_AFTER_US  # long enough to know who offered a handler ten minutes ago
STOPPED_US = 60_000_000  # a worker that was stopped is expected back for so long

Pattern = tuple[str, str, str]
"""(handler, source, pattern); `*` in source or pattern matches any characters."""


OFFER = "process_id bigint, handler text, source text, pattern text, version text, file text, line integer"


@dataclass(frozen=True, slots=True)
class HandlerOffer:
    handler: str
    source: str
    pattern: str
    version: str
    file: str
    line: int


def register(
    tx: Transaction,
    role: str,
    *,
    url: str | None = None,
    trouble: str | None = None,
    offers: Sequence[HandlerOffer] = (),
) -> int:
    """Write a process down; its id is what `seen` and `stopped` take."""
    tx.run(
        "DELETE FROM offer WHERE process_id IN (SELECT id FROM process WHERE seen_at < :past)",
        past=tx.now_us - KEPT_US,
    )
    tx.run("DELETE FROM process WHERE seen_at < :past", past=tx.now_us - KEPT_US)
    number = new_id()
    tx.run(
        "INSERT INTO process (id, role, host, pid, url, version, started_at, seen_at, trouble)"
        " VALUES (:id, :role, :host, :pid, :url, :version, :now, :now, :trouble)",
        id=number, role=role, host=socket.gethostname(), pid=os.getpid(), url=url, version=__version__,
        now=tx.now_us, trouble=trouble,
    )  # fmt: skip
    rows = sorted({(number, o.handler, o.source, o.pattern, o.version, o.file, o.line) for o in offers})
    tx.insert("offer", OFFER, rows)
    return number


def seen(tx: Transaction, process_id: int) -> bool:
    """Sign of life; False if the process was forgotten meanwhile."""
    return bool(tx.run("UPDATE process SET seen_at = :now WHERE id = :id", now=tx.now_us, id=process_id))


def troubled(tx: Transaction, process_id: int, trouble: str | None) -> None:
    tx.run("UPDATE process SET trouble = :trouble WHERE id = :id", trouble=trouble, id=process_id)


@dataclass(slots=True)
class Enrolment:
    """A process's row for as long as it lives: written down anew where it stood still so long that it was forgotten."""

    register: Callable[[Transaction], int]
    process_id: int | None = None

    def renew(self, tx: Transaction) -> int:
        """Sign of life, the first one too; the row's id."""
        if self.process_id is None or not seen(tx, self.process_id):
            self.process_id = self.register(tx)
        return self.process_id


def stopped(tx: Transaction, process_id: int) -> None:
    tx.run("UPDATE process SET seen_at = :now, stopped_at = :now WHERE id = :id", now=tx.now_us, id=process_id)


def live_patterns(tx: Transaction) -> frozenset[Pattern] | None:
    """Of every worker, for routing: also to handlers that this process lacks. None where no worker is alive now.

    Those of a worker that fell silent count for ten minutes, of one that was stopped for a minute: it may come back,
    and its events must not miss it. Not if another has been started in its place, with handlers of the same file.
    """
    workers = [
        _Worker(*row)
        for row in tx.all(
            "SELECT id, host, started_at, seen_at, stopped_at FROM process"
            " WHERE role = 'worker' AND trouble IS NULL AND seen_at > :past",
            past=tx.now_us - MISSING_AFTER_US,
        )
    ]
    alive = [worker for worker in workers if worker.stopped_at is None and worker.seen_at >= tx.now_us - ALIVE_US]
    if not alive:
        return None
    away = [
        worker
        for worker in workers
        if worker not in alive and (worker.stopped_at is None or worker.stopped_at > tx.now_us - STOPPED_US)
    ]
    offers = _offers(tx, [worker.id for worker in workers])
    patterns = {pattern for worker in alive for _, pattern in offers[worker.id]}
    for worker in away:
        replaced = {file for other in workers if _follows(other, worker) for file, _ in offers[other.id]}
        patterns |= {pattern for file, pattern in offers[worker.id] if file not in replaced}
    return frozenset(patterns)


def _follows(other: "_Worker", worker: "_Worker") -> bool:
    return other.id != worker.id and other.host == worker.host and other.started_at >= worker.seen_at


class _Worker(NamedTuple):
    id: int
    host: str
    started_at: int
    seen_at: int
    stopped_at: int | None


_remembered: dict[int, list[tuple[str, Pattern]]] = {}
"""By process, with the file: what a process offers never changes, and this is asked at every commit of arrivals."""


def _offers(tx: Transaction, process_ids: Sequence[int]) -> dict[int, list[tuple[str, Pattern]]]:
    offers = {process_id: known for process_id in process_ids if (known := _remembered.get(process_id)) is not None}
    unknown = [process_id for process_id in process_ids if process_id not in offers]
    if unknown:
        offers |= _read_offers(tx, unknown)
        _remembered.clear()  # those that are gone
        _remembered.update(offers)
    return offers


def _read_offers(tx: Transaction, process_ids: Sequence[int]) -> dict[int, list[tuple[str, Pattern]]]:
    offers: dict[int, list[tuple[str, Pattern]]] = {process_id: [] for process_id in process_ids}
    found = tx.given(
        "SELECT process_id, file, handler, source, pattern FROM given JOIN offer ON offer.process_id = given.id",
        "id bigint",
        [(process_id,) for process_id in process_ids],
    )
    for process_id, file, handler, source, pattern in found:
        offers[process_id].append((file, (handler, source, pattern)))
    return offers


def is_gone(host: str, pid: int) -> bool:
    """Whether a process of this machine ended without a word: after `kill -9` its row looks alive for a while."""
    if host != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's, and alive
        pass
    return False


def prove_writable(tx: Transaction) -> None:
    """Write something that changes nothing for anyone: a full or read-only disk shows only at a write."""
    # A row of nobody's: another process's may be locked by a transaction that takes its time.
    tx.run("INSERT INTO source (name) VALUES ('') ON CONFLICT (name) DO NOTHING")
    tx.run("DELETE FROM source WHERE name = ''")
