"""Who is alive: receivers with their address, workers with the handlers they offer. Rows, not locks."""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from receiver import __version__
from receiver.store.ids import new_id
from receiver.store.runs import ALIVE_US, MISSING_AFTER_US
from receiver.store.transaction import Transaction

KEPT_US = 2 * MISSING_AFTER_US  # long enough to know who offered a handler ten minutes ago


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
    tx.insert("offer", ("process_id", "handler", "source", "pattern", "version", "file", "line"), rows)
    return number


def seen(tx: Transaction, process_id: int) -> bool:
    """Sign of life; False if the process was forgotten meanwhile."""
    return bool(tx.run("UPDATE process SET seen_at = :now WHERE id = :id", now=tx.now_us, id=process_id))


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


def live_patterns(tx: Transaction) -> list[tuple[str, str, str]]:
    """(handler, source, pattern) of every live worker, for routing: also to handlers that this process lacks."""
    rows = tx.all(
        "SELECT DISTINCT handler, source, pattern FROM offer JOIN process ON process.id = offer.process_id"
        " WHERE process.stopped_at IS NULL AND process.seen_at >= :alive ORDER BY handler, source, pattern",
        alive=tx.now_us - ALIVE_US,
    )
    return [(row[0], row[1], row[2]) for row in rows]


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
    tx.run("UPDATE process SET seen_at = seen_at WHERE id = (SELECT MAX(id) FROM process)")
