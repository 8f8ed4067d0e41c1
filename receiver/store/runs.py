"""The life of a run in SQL: routed, claimed under a lease, renewed, finished, taken back.

Every change of a run that somebody works on says `WHERE token = …`: who lost the lease changes nothing. All times are
microseconds on the store's clock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from receiver.store.ids import new_id
from receiver.store.transaction import Transaction, one

ROUTE_AT_ONCE = 256
SWEEP_AT_ONCE = 500
MISSING_AFTER_US = 600_000_000  # a due run whose handler nobody offered for so long is parked
ALIVE_US = 15_000_000  # a process that was not seen for so long is dead

RUN = "id bigint, event_id bigint, handler text, state text, due_at bigint"
"""What a new run is made of."""

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
    more = route_new(tx, route)
    due = _due(tx, handlers, slots) if handlers and slots else []
    token = new_id()
    tx.given(
        "UPDATE run SET state = 'running', token = :token, lease_until = :until, started_at = :now, finished_at = NULL,"
        " attempts = attempts + 1 FROM given WHERE run.id = given.id",
        "id bigint", [(run_id,) for run_id in due],
        token=token, until=tx.now_us + round(lease_s * 1e6), now=tx.now_us,
    )  # fmt: skip
    return Claim(claimed(tx, due, token), more=more or bool(slots and len(due) == slots))


def route_new(tx: Transaction, route: Route) -> bool:
    """Give events to their handlers that came while no worker lived; whether there may be more of them."""
    rows = tx.all(
        "SELECT run.id, event.id, event.source, event.type FROM run JOIN event ON event.id = run.event_id"
        f" WHERE run.handler IS NULL ORDER BY run.id LIMIT {ROUTE_AT_ONCE} {tx.skip_locked}"
    )
    first, further, unhandled = [], [], []
    for run_id, event_id, source, type_ in rows:
        names = route(source, type_)
        if not names:
            unhandled.append((run_id,))
            continue
        first.append((run_id, names[0]))
        further += [(new_id(), event_id, name, "waiting", tx.now_us) for name in names[1:]]
    tx.given("DELETE FROM run WHERE id IN (SELECT id FROM given)", "id bigint", unhandled)
    tx.given(
        "UPDATE run SET handler = given.handler FROM given WHERE run.id = given.id", "id bigint, handler text", first
    )
    tx.insert_new("run", RUN, further, "event_id, handler")
    return len(rows) == ROUTE_AT_ONCE


DUE = "state = 'waiting' AND handler IS NOT NULL AND due_at <= :now"


def _due(tx: Transaction, handlers: Sequence[str], slots: int) -> list[int]:
    condition, values = _one_of(handlers)
    rows = tx.all(
        f"SELECT id FROM run WHERE {DUE} AND {condition} ORDER BY due_at LIMIT :slots {tx.skip_locked}",
        now=tx.now_us, slots=slots, **values,
    )  # fmt: skip
    return [row[0] for row in rows]


def _one_of(handlers: Sequence[str]) -> tuple[str, dict[str, str]]:
    """A condition and its parameters. No join: the index of what is due must stay the one that is walked."""
    named = {f"handler_{number}": name for number, name in enumerate(handlers)}
    return f"(handler IN ({', '.join(':' + name for name in named)}))" if named else "(1 = 0)", named


def has_due(tx: Transaction, handlers: Sequence[str]) -> bool:
    """Whether a claim would find something."""
    if one(tx, "SELECT 1 FROM run WHERE handler IS NULL LIMIT 1"):
        return True
    condition, values = _one_of(handlers)
    sql = f"SELECT 1 FROM run WHERE {DUE} AND {condition} LIMIT 1"
    return bool(handlers) and one(tx, sql, now=tx.now_us, **values) is not None


CLAIMED = (
    "SELECT run.id, run.token, run.handler, run.attempts, run.failures, run.lapses, run.generation, event.id,"
    " event.source, event.type, event.external_id, event.item, event.received_at, delivery.headers, delivery.body"
    " FROM given JOIN run ON run.id = given.id JOIN event ON event.id = run.event_id"
    " JOIN delivery ON delivery.id = event.delivery_id WHERE run.token = :token"
)


def claimed(tx: Transaction, run_ids: Sequence[int], token: int) -> list[Claimed]:
    """The claimed runs with their events' bytes, in this order; those that this token no longer holds are left out."""
    rows = tx.given(CLAIMED, "id bigint", [(run_id,) for run_id in run_ids], token=token)
    by_id = {row[0]: Claimed(*row) for row in rows}
    return [by_id[run_id] for run_id in run_ids if run_id in by_id]


def live(tx: Transaction, leases: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """Of (run id, token) those held, and held until our commit: what is written with a lease must not come too late."""
    sql = f"SELECT run.id, run.token FROM given JOIN run ON run.id = given.id AND run.token = given.token {tx.stays}"
    return {(run_id, token) for run_id, token in tx.given(sql, "id bigint, token bigint", leases)}


def is_live(tx: Transaction, run_id: int, token: int) -> bool:
    return bool(live(tx, [(run_id, token)]))


def renew(tx: Transaction, held: Sequence[tuple[int, int]], lease_s: float) -> None:
    """Prolong the leases of (run id, token), those that are still ours."""
    tx.given(
        "UPDATE run SET lease_until = :until FROM given WHERE run.id = given.id AND run.token = given.token",
        "id bigint, token bigint", held, until=tx.now_us + round(lease_s * 1e6),
    )  # fmt: skip


def finish(tx: Transaction, run: Claimed, verdict: Verdict) -> bool:
    """End an attempt; False if the lease was lost, and nothing changed."""
    return finish_all(tx, [(run, verdict)])[0]


FINISH = (
    "UPDATE run SET state = given.state, token = NULL, lease_until = NULL, lapses = 0,"
    " failures = failures + given.failure, reason = given.reason, due_at = given.due_at, finished_at = :now,"
    # A wait is no failure.
    " code = CASE WHEN given.state = 'waiting' AND given.failure = 0 THEN run.code ELSE given.code END"
    " FROM given WHERE run.id = given.id AND run.token = given.token RETURNING run.id"
)
FINISHED = "id bigint, token bigint, state text, failure integer, code text, reason text, due_at bigint"


def finish_all(tx: Transaction, ended: Sequence[tuple[Claimed, Verdict]]) -> list[bool]:
    """The same for many attempts at once."""
    rows = [
        (
            run.id, run.token, verdict.state, int(verdict.failure), verdict.code, verdict.reason,
            tx.now_us + round(verdict.wait_s * 1e6) if verdict.state == "waiting" else None,
        )
        for run, verdict in ended
    ]  # fmt: skip
    changed = {row[0] for row in tx.given(FINISH, FINISHED, rows, now=tx.now_us)}
    remember(tx, *(
        Line(run.event_id, run.id, verdict.kind, verdict.code, verdict.reason, run.attempt)
        for run, verdict in ended
        if verdict.state != "succeeded" and run.id in changed
    ))  # fmt: skip
    return [run.id in changed for run, _ in ended]


def sweep(tx: Transaction) -> int:
    """Take back expired leases. Nobody is blamed yet: the run is due again, with one lapse more."""
    expired = tx.all(
        "SELECT id, event_id, attempts FROM run WHERE state = 'running' AND lease_until < :now"
        f" ORDER BY lease_until LIMIT {SWEEP_AT_ONCE} {tx.skip_locked}",
        now=tx.now_us,
    )
    tx.given(
        "UPDATE run SET state = 'waiting', due_at = :now, token = NULL, lease_until = NULL, lapses = lapses + 1"
        " FROM given WHERE run.id = given.id",
        "id bigint", [(run_id,) for run_id, _, _ in expired], now=tx.now_us,
    )  # fmt: skip
    why = "its process died or stood still: the lease ran out"
    remember(tx, *(Line(event_id, run_id, "lapsed", None, why, attempt) for run_id, event_id, attempt in expired))
    return len(expired)


def park_missing(tx: Transaction) -> int:
    """Park due runs whose handler no worker has offered for ten minutes, while one lives that could have: so many."""
    past = tx.now_us - MISSING_AFTER_US
    could_have = (
        "SELECT 1 FROM process WHERE role = 'worker' AND trouble IS NULL AND stopped_at IS NULL"
        " AND started_at <= :past AND seen_at >= :alive LIMIT 1"
    )
    if not one(tx, could_have, past=past, alive=tx.now_us - ALIVE_US):
        return 0
    offered = tx.all(
        "SELECT DISTINCT handler FROM offer JOIN process ON process.id = offer.process_id WHERE seen_at > :past",
        past=past,
    )
    condition, values = _one_of([name for (name,) in offered])
    missing = tx.all(
        f"SELECT id, event_id, handler FROM run WHERE {DUE} AND NOT {condition}"
        f" LIMIT {SWEEP_AT_ONCE} {tx.skip_locked}",
        now=past, **values,
    )  # fmt: skip
    reasons = {name: f"no worker has offered a handler named {name!r} for ten minutes" for _, _, name in missing}
    tx.given(
        "UPDATE run SET state = 'parked', code = 'handler_missing', reason = given.reason, due_at = NULL,"
        " finished_at = :now FROM given WHERE run.id = given.id",
        "id bigint, reason text", [(run_id, reasons[name]) for run_id, _, name in missing], now=tx.now_us,
    )  # fmt: skip
    remember(tx, *(
        Line(event_id, run_id, "parked", "handler_missing", reasons[name]) for run_id, event_id, name in missing
    ))  # fmt: skip
    return len(missing)


class Line(NamedTuple):
    """Of an event's history."""

    event_id: int
    run_id: int | None
    kind: str
    code: str | None
    text: str | None
    attempt: int | None = None


HISTORY = (
    "id bigint, event_id bigint, run_id bigint, kind text, code text, text text, attempt integer, happened_at bigint"
)


def remember(tx: Transaction, *lines: Line) -> None:
    tx.insert("history", HISTORY, [(new_id(), *line, tx.now_us) for line in lines])
