"""The life of a run in SQL: routed, claimed under a lease, renewed, finished, taken back.

Every change of a run that somebody works on says `WHERE token = …`: who lost the lease changes nothing. All times are
microseconds on the store's clock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from receiver.store.ids import new_id
from receiver.store.transaction import Row, Transaction, one

ROUTE_AT_ONCE = 256
SWEEP_AT_ONCE = 500
MISSING_AFTER_US = 600_000_000  # a due run whose handler nobody offered for so long is parked
ALIVE_US = 15_000_000  # a process that was not seen for so long is dead

Route = Callable[[str, str], Sequence[str]]
"""The names of the handlers that take (source, type)."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run to work on, with all its handler needs. Whoever holds `token` may change it."""

    id: int
    token: int
    handler: str
    attempt: int
    failures: int
    lapses: int
    generation: int
    event_id: int
    source: str
    type: str
    external_id: str
    item: int | None
    received_us: int
    headers: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    runs: list[Claimed]
    more: bool
    """There may be more to route or to claim: look again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an attempt ended. `state` is waiting, succeeded, dropped or parked; a wait is counted from the commit."""

    state: str
    code: str | None = None
    reason: str | None = None
    wait_s: float = 0.0
    failure: bool = False

    @property
    def kind(self) -> str:
        """The word for it in an event's history."""
        if self.state != "waiting":
            return self.state
        return "failed" if self.failure else "waiting"


def claim(tx: Transaction, handlers: Sequence[str], route: Route, slots: int, lease_s: float) -> Claim:
    """Route what is not routed, then take up to `slots` due runs of these handlers."""
    more = route_new(tx, route).more
    due = _due(tx, handlers, slots) if handlers and slots else []
    token = new_id()
    tx.many(
        "UPDATE run SET state = 'running', token = :token, lease_until = :until, started_at = :now, finished_at = NULL,"
        " attempts = attempts + 1 WHERE id = :id",
        [{"id": run, "token": token, "until": tx.now_us + round(lease_s * 1e6), "now": tx.now_us} for run in due],
    )
    return Claim(claimed(tx, due, token), more=more or bool(slots and len(due) == slots))


class Routed(NamedTuple):
    taken: int
    """Events that a handler takes."""
    more: bool
    """There may be more to route."""


def route_new(tx: Transaction, route: Route) -> Routed:
    """Give events that nobody has routed yet to their handlers."""
    rows = tx.all(
        "SELECT run.id, event.id, event.source, event.type FROM run JOIN event ON event.id = run.event_id"
        f" WHERE run.handler IS NULL ORDER BY run.id LIMIT {ROUTE_AT_ONCE} {tx.skip_locked}"
    )
    unhandled, first, further = [], [], []
    for run_id, event_id, source, type_ in rows:
        names = route(source, type_)
        if not names:
            unhandled.append({"id": run_id})
            continue
        first.append({"id": run_id, "handler": names[0]})
        further += [{"id": new_id(), "event_id": event_id, "handler": name, "now": tx.now_us} for name in names[1:]]
    tx.many("DELETE FROM run WHERE id = :id", unhandled)
    tx.many("UPDATE run SET handler = :handler WHERE id = :id", first)
    tx.many(
        "INSERT INTO run (id, event_id, handler, state, due_at) VALUES (:id, :event_id, :handler, 'waiting', :now)"
        " ON CONFLICT (event_id, handler) DO NOTHING",
        further,
    )
    return Routed(len(first), more=len(rows) == ROUTE_AT_ONCE)


def _due(tx: Transaction, handlers: Sequence[str], slots: int) -> list[int]:
    condition, values = tx.where_in("handler", handlers)
    rows = tx.all(
        f"SELECT id FROM run WHERE state = 'waiting' AND {condition} AND handler IS NOT NULL AND due_at <= :now"
        f" ORDER BY due_at LIMIT :slots {tx.skip_locked}",
        now=tx.now_us, slots=slots, **values,
    )  # fmt: skip
    return [row[0] for row in rows]


def has_due(tx: Transaction, handlers: Sequence[str]) -> bool:
    """Whether a claim would find something."""
    if one(tx, "SELECT 1 FROM run WHERE handler IS NULL LIMIT 1"):
        return True
    return bool(handlers and _due(tx, handlers, 1))


CLAIMED = (
    "SELECT run.id, run.token, run.handler, run.attempts, run.failures, run.lapses, run.generation, event.id,"
    " event.source, event.type, event.external_id, event.item, event.received_at, delivery.headers, delivery.body"
    " FROM run JOIN event ON event.id = run.event_id JOIN delivery ON delivery.id = event.delivery_id"
)


def claimed(tx: Transaction, run_ids: Sequence[int], token: int) -> list[Claimed]:
    """The claimed runs with their events' bytes; those that this token no longer holds are left out."""
    rows: list[Row] = []
    for run_id in run_ids:
        rows += tx.all(f"{CLAIMED} WHERE run.id = :id AND run.token = :token", id=run_id, token=token)
    return [Claimed(*row) for row in rows]


def is_live(tx: Transaction, run_id: int, token: int) -> bool:
    return one(tx, "SELECT 1 FROM run WHERE id = :id AND token = :token", id=run_id, token=token) is not None


def renew(tx: Transaction, held: Sequence[tuple[int, int]], lease_s: float) -> None:
    """Prolong the leases of (run id, token), those that are still ours."""
    until = tx.now_us + round(lease_s * 1e6)
    tx.many(
        "UPDATE run SET lease_until = :until WHERE id = :id AND token = :token",
        [{"id": run, "token": token, "until": until} for run, token in held],
    )


def finish(tx: Transaction, run: Claimed, verdict: Verdict) -> bool:
    """End an attempt; False if the lease was lost, and nothing changed."""
    changed = tx.run(
        "UPDATE run SET state = :state, token = NULL, lease_until = NULL, lapses = 0, failures = failures + :failure,"
        " code = CASE WHEN :state = 'waiting' AND :failure = 0 THEN code ELSE :code END,"  # a wait is no failure
        " reason = :reason, due_at = :due, finished_at = :now WHERE id = :id AND token = :token",
        id=run.id, token=run.token, state=verdict.state, failure=int(verdict.failure), code=verdict.code,
        reason=verdict.reason, due=tx.now_us + round(verdict.wait_s * 1e6) if verdict.state == "waiting" else None,
        now=tx.now_us,
    )  # fmt: skip
    if changed and verdict.state != "succeeded":
        remember(tx, run.event_id, run.id, verdict.kind, verdict.code, verdict.reason, run.attempt)
    return bool(changed)


def sweep(tx: Transaction) -> int:
    """Take back expired leases. Nobody is blamed yet: the run is due again, with one lapse more."""
    expired = tx.all(
        "SELECT id, event_id, attempts FROM run WHERE state = 'running' AND lease_until < :now"
        f" ORDER BY lease_until LIMIT {SWEEP_AT_ONCE} {tx.skip_locked}",
        now=tx.now_us,
    )
    for run_id, event_id, attempt in expired:
        tx.run(
            "UPDATE run SET state = 'waiting', due_at = :now, token = NULL, lease_until = NULL, lapses = lapses + 1"
            " WHERE id = :id",
            id=run_id, now=tx.now_us,
        )  # fmt: skip
        remember(
            tx,
            event_id,
            run_id,
            "lapsed",
            None,
            "its process died or stood still: the lease ran out",
            attempt,
        )
    return len(expired)


def park_missing(tx: Transaction) -> int:
    """Park due runs whose handler no worker has offered for ten minutes, while one lives that could have."""
    past = tx.now_us - MISSING_AFTER_US
    missing = tx.all(
        "SELECT id, event_id, handler FROM run WHERE state = 'waiting' AND handler IS NOT NULL AND due_at <= :past"
        " AND EXISTS (SELECT 1 FROM process WHERE role = 'worker' AND trouble IS NULL AND stopped_at IS NULL"
        "  AND started_at <= :past AND seen_at >= :alive)"
        " AND NOT EXISTS (SELECT 1 FROM offer JOIN process ON process.id = offer.process_id"
        "  WHERE offer.handler = run.handler AND process.seen_at > :past)"
        f" LIMIT {SWEEP_AT_ONCE} {tx.skip_locked}",
        past=past, alive=tx.now_us - ALIVE_US,
    )  # fmt: skip
    for run_id, event_id, handler in missing:
        reason = f"no worker has offered a handler named {handler!r} for ten minutes"
        tx.run(
            "UPDATE run SET state = 'parked', code = 'handler_missing', reason = :reason, due_at = NULL,"
            " finished_at = :now WHERE id = :id AND state = 'waiting'",
            id=run_id, reason=reason, now=tx.now_us,
        )  # fmt: skip
        remember(tx, event_id, run_id, "parked", "handler_missing", reason)
    return len(missing)


def remember(
    tx: Transaction,
    event_id: int,
    run_id: int | None,
    kind: str,
    code: str | None,
    text: str | None,
    attempt: int | None = None,
) -> None:
    """A line in the event's history."""
    tx.run(
        "INSERT INTO history (id, event_id, run_id, happened_at, kind, attempt, code, text)"
        " VALUES (:id, :event_id, :run_id, :at, :kind, :attempt, :code, :text)",
        id=new_id(), event_id=event_id, run_id=run_id, at=tx.now_us, kind=kind, attempt=attempt, code=code, text=text,
    )  # fmt: skip
