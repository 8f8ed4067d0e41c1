"""What operators ask of the store. Everything here reads; what is shown of an event is put together only here.

Ids are as people see them. A run that is not routed yet is none to the outside. Conditions on a run's state are written
out, not bound: only so a database knows that they are those of the partial indexes in `models.py`.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, and_, exists, func, literal_column, null, text, union_all
from sqlalchemy import select as typed_select
from sqlmodel import Session, col

from receiver.store import ids
from receiver.store.intake import digest
from receiver.store.models import Delivery, Event, History, Offer, Process, Rejection, Run, Source, Step, Usage
from receiver.store.patterns import regex
from receiver.store.processes import is_gone
from receiver.store.runs import ALIVE_US
from receiver.store.times import to_us

select: Any = typed_select  # its overloads do not know SQLModel's attributes, which are typed as their values

PAGE = 500
SKEW_MS = 3_600_000  # an id holds the time it was made, by a clock that may have been put right since
NEWEST_MS = (1 << 63 - ids.RANDOM_BITS) - 1

UNROUTED = text("run.state = 'waiting' AND run.handler IS NULL")
WAITING = text("run.state = 'waiting' AND run.handler IS NOT NULL")
RUNNING = text("run.state = 'running'")
PARKED = text("run.state = 'parked'")
FAILING = {
    "parked": PARKED,
    "waiting": text("run.state = 'waiting' AND run.handler IS NOT NULL AND run.failures > 0"),
    "running": text("run.state = 'running' AND run.failures > 0"),
}


@dataclass(frozen=True)
class EventRow:
    """An event as every command shows it."""

    id: str
    external_id: str
    source: str
    type: str
    status: str
    received_at: datetime
    sha256: str
    attempts: int
    code: str | None
    due_at: datetime | None
    duplicates: int


@dataclass(frozen=True)
class RunRow:
    id: str
    handler: str
    state: str
    code: str | None
    reason: str | None
    attempts: int
    failures: int
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    lapses: int
    generation: int


@dataclass(frozen=True)
class StepRow:
    """A step without its bytes."""

    handler: str
    name: str
    revision: int
    generation: int
    state: str
    key: str
    status: int | None
    sends: int
    intent_at: datetime
    outcome_at: datetime | None


# ── events ──


@dataclass(frozen=True)
class Filters:
    """Of `events list`; None is any. `type` may hold `*`. `handler`, `code` and `failing` are about the same run."""

    source: str | None = None
    type: str | None = None
    status: str | None = None
    failing: bool = False
    handler: str | None = None
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None


EVENT = (Event.id, Event.external_id, Event.source, Event.type, Event.received_at, Event.sha256, Event.duplicates)
RUN = (
    *(Run.event_id, Run.handler, Run.state, Run.code, Run.attempts, Run.failures),
    *(Run.due_at, Run.started_at, Run.finished_at),
)
"""Of an event and its runs what a list shows: whole rows would take three times as long."""


def events(session: Session, filters: Filters, limit: int | None = 50) -> Iterator[EventRow]:
    """Newest first, read in pages, so that a long list holds no snapshot open and fills no memory."""
    wanted = select(*EVENT).where(*_conditions(filters)).order_by(col(Event.id).desc())
    query = wanted
    while limit is None or limit > 0:
        size = PAGE if limit is None else min(limit, PAGE)
        page = session.execute(query.limit(size)).all()
        runs_of = _states(session, [event.id for event in page])
        yield from (_event_row(event, runs_of[event.id]) for event in page)
        if len(page) < size:
            return
        limit = None if limit is None else limit - size
        query = wanted.where(col(Event.id) < page[-1].id)


def _conditions(filters: Filters) -> Iterator[Any]:
    if filters.source is not None:
        yield col(Event.source) == filters.source
    if filters.type is not None:
        yield col(Event.type).regexp_match(rf"\A{regex(filters.type)}\Z")
    if filters.status is not None:
        yield from STATUS[filters.status]
    if filters.failing or filters.handler is not None or filters.code is not None:
        yield _has_such_run(filters)
    if filters.since is not None:
        yield col(Event.id) >= _made_since(filters.since)
        yield col(Event.received_at) >= filters.since
    if filters.until is not None:
        yield col(Event.received_at) < filters.until


def _made_since(since: datetime) -> int:
    """A lower bound of ids, which are ordered: so the times of older events are not looked at."""
    return min(max(to_us(since) // 1000 - SKEW_MS, 0), NEWEST_MS) << ids.RANDOM_BITS


def _with_run(*conditions: Any) -> Any:
    """Events that have a run of one of the conditions: found by their indexes, however many events there are."""
    return col(Event.id).in_(union_all(*(select(Run.event_id).where(condition) for condition in conditions)))


STATUS: dict[str, tuple[Any, ...]] = {
    "attention": (_with_run(PARKED),),
    "pending": (_with_run(UNROUTED, WAITING, RUNNING), ~_with_run(PARKED)),
    "unhandled": (~exists().where(col(Run.event_id) == col(Event.id)),),
    "done": (exists().where(col(Run.event_id) == col(Event.id)), ~_with_run(UNROUTED, WAITING, RUNNING, PARKED)),
}
"""The same that `_status` says of the runs at hand."""


def _has_such_run(filters: Filters) -> Any:
    same: list[Any] = []
    if filters.handler is not None:
        same.append(col(Run.handler) == filters.handler)
    if filters.code is not None:
        same.append(col(Run.code) == filters.code)
    if filters.failing:
        return _with_run(*(and_(failing, *same) for failing in FAILING.values()))
    return exists().where(col(Run.event_id) == col(Event.id), *same)


def _states(session: Session, event_ids: Sequence[int]) -> dict[int, list[Row[Any]]]:
    """Of each event how its runs stand, oldest first."""
    runs_of = defaultdict(list)
    query = select(*RUN).where(col(Run.event_id).in_(event_ids)).order_by(col(Run.id))
    for run in session.execute(query) if event_ids else ():
        runs_of[run.event_id].append(run)
    return runs_of


def _event_row(event: Any, its_runs: Sequence[Any]) -> EventRow:
    routed = [run for run in its_runs if run.handler is not None]
    return EventRow(
        id=ids.text("ev", event.id),
        external_id=event.external_id,
        source=event.source,
        type=event.type,
        status=_status(its_runs),
        received_at=event.received_at,
        sha256=event.sha256.hex(),
        attempts=sum(run.attempts for run in routed),
        code=_code(routed),
        due_at=min((run.due_at for run in routed if run.state == "waiting" and run.due_at), default=None),
        duplicates=event.duplicates,
    )


def _status(its_runs: Sequence[Any]) -> str:
    states = {run.state for run in its_runs}
    if "parked" in states:
        return "attention"
    if states & {"waiting", "running"}:
        return "pending"
    return "done" if states else "unhandled"


def _code(routed: Sequence[Any]) -> str | None:
    """That of the oldest parked run, else of the last failure."""
    parked = [run.code for run in routed if run.state == "parked"]
    ended = [(run.finished_at or run.started_at, run.code) for run in routed if run.code and run.failures]
    last = max((end for end in ended if end[0]), default=(None, None))
    return parked[0] if parked else last[1]


def find_event(session: Session, name: str) -> int | None:
    """The event's number, by its id or by `source:external_id`; of several the newest."""
    own = ids.number("ev", name)
    if own is not None:
        return own if session.get(Event, own) else None
    source, _, external_id = name.partition(":")
    found: int | None = session.scalar(select(Event.id).where(col(Event.digest) == digest(source, external_id)))
    return found


def event(session: Session, event_id: int) -> EventRow:
    """Errors: NoResultFound; `find_event` gives numbers that exist."""
    found = session.execute(select(*EVENT).where(col(Event.id) == event_id)).one()
    return _event_row(found, _states(session, [event_id])[event_id])


# ── of one event ──


def runs(session: Session, event_id: int) -> list[RunRow]:
    """An event's runs, oldest first."""
    query = select(Run).where(col(Run.event_id) == event_id).order_by(col(Run.id))
    return [_run_row(run, run.handler) for run in session.scalars(query) if run.handler is not None]


def _run_row(run: Run, handler: str) -> RunRow:
    return RunRow(
        id=ids.text("run", run.id),
        handler=handler,
        state=run.state,
        code=run.code,
        reason=run.reason,
        attempts=run.attempts,
        failures=run.failures,
        due_at=run.due_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        lapses=run.lapses,
        generation=run.generation,
    )


def handlers_of(session: Session, event_ids: Sequence[int]) -> set[str]:
    """The names under which these events have runs."""
    found = (_states(session, event_ids[start : start + PAGE]) for start in range(0, len(event_ids), PAGE))
    return {run.handler for page in found for its_runs in page.values() for run in its_runs if run.handler is not None}


def delivery(session: Session, event_id: int) -> tuple[bytes, bytes]:
    """(header lines, body) of the request that brought the event."""
    query = select(Delivery).join(Event, col(Event.delivery_id) == col(Delivery.id)).where(col(Event.id) == event_id)
    found = session.scalars(query).one()
    return found.headers, found.body


STEP = (
    *(Run.handler, Step.name, Step.revision, Step.generation, Step.state, Step.key),
    *(Step.status, Step.sends, Step.intent_at, Step.outcome_at),
)


def steps(session: Session, event_id: int) -> list[StepRow]:
    """Of all of an event's runs, in order of their intents."""
    query = select(*STEP).join(Run, col(Run.id) == col(Step.run_id)).where(col(Run.event_id) == event_id)
    return [StepRow(*row) for row in session.execute(query.order_by(col(Step.intent_at), col(Step.id)))]


def history(session: Session, event_id: int) -> list[tuple[str | None, History]]:
    """(handler, line), in the order in which it happened; what is about no run has no handler."""
    query = select(Run.handler, History).select_from(History).outerjoin(Run, col(Run.id) == col(History.run_id))
    lines = session.execute(query.where(col(History.event_id) == event_id).order_by(col(History.id)))
    return [(handler, line) for handler, line in lines]


# ── of all events ──


def unfinished(session: Session) -> dict[str, int]:
    """Runs by state: unrouted, waiting, running, parked."""
    states = {"unrouted": UNROUTED, "waiting": WAITING, "running": RUNNING, "parked": PARKED}
    return {name: _count(session, select(Run.id).where(condition)) for name, condition in states.items()}


def unhandled(session: Session, since: datetime) -> int:
    """How many events since then no handler took."""
    return _count(session, select(Event.id).where(*_conditions(Filters(status="unhandled", since=since))))


def _count(session: Session, query: Select[Any]) -> int:
    counted: int = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    return counted


@dataclass(frozen=True)
class Failures:
    """Runs that fail alike. `state` is parked; or waiting, for another attempt or in it."""

    handler: str
    code: str | None
    state: str
    count: int
    first_at: datetime | None
    newest_at: datetime | None
    next_at: datetime | None


def failures(session: Session) -> list[Failures]:
    """By handler and code, the biggest group first. A run holds its last failure only; the first is in its history."""
    found = union_all(*(_failing(state) for state in FAILING)).subquery("failing").c
    told = and_(
        col(History.event_id) == found.event_id, col(History.run_id) == found.id, col(History.code) == found.code
    )
    count = func.count(found.id.distinct())
    times = (func.min(History.happened_at), func.max(History.happened_at), func.min(found.due_at))
    group = (found.handler, found.code, found.state)
    query = select(*group, count, *times).outerjoin(History, told).group_by(*group)
    return [Failures(*row) for row in session.execute(query.order_by(count.desc(), *group))]


def _failing(state: str) -> Any:
    shown: Any = literal_column("'parked'" if state == "parked" else "'waiting'").label("state")
    due = null().label("due_at") if state == "running" else col(Run.due_at)
    return select(Run.id, Run.event_id, Run.handler, Run.code, shown, due).where(FAILING[state])


# ── who sends, who works ──


def sources(session: Session) -> dict[str, Source]:
    return {source.name: source for source in session.scalars(select(Source).order_by(col(Source.name)))}


def usage(session: Session) -> dict[str, dict[str, Usage]]:
    """By source and key what each has verified."""
    found: defaultdict[str, dict[str, Usage]] = defaultdict(dict)
    for used in session.scalars(select(Usage).order_by(col(Usage.source), col(Usage.key))):
        found[used.source][used.key] = used
    return found


def now(session: Session) -> datetime:
    """The store's clock: that of PostgreSQL, or of this machine."""
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)
    at: datetime = session.scalar(select(func.clock_timestamp()))
    return at.astimezone(UTC)


def processes(session: Session) -> list[Process]:
    """The live ones, receivers first."""
    return [process for process in lately_seen(session) if not is_gone(process.host, process.pid)]


def lately_seen(session: Session) -> list[Process]:
    """Those that may be alive: also one that was killed a moment ago, as a process of another container looks."""
    query = select(Process).where(*_alive(now(session))).order_by(col(Process.role), col(Process.id))
    return list(session.scalars(query))


def receivers_ended_silently_at(session: Session) -> datetime | None:
    """The last sign of life of the receiver that was last seen, where none is alive and that one was not stopped."""
    if any(process.role == "receiver" for process in processes(session)):
        return None
    known = select(Process).where(col(Process.role) == "receiver")
    last = session.scalar(known.order_by(col(Process.seen_at).desc(), col(Process.id).desc()).limit(1))
    return last.seen_at if last is not None and last.stopped_at is None else None


def offers(session: Session) -> list[Offer]:
    """What live workers offer, aliases too (their source is empty); each once."""
    query = select(Offer).join(Process, col(Process.id) == col(Offer.process_id)).where(*_alive(now(session)))
    found = session.scalars(query.order_by(col(Offer.handler), col(Offer.source), col(Offer.pattern)))
    return list({(offer.handler, offer.source, offer.pattern): offer for offer in found}.values())


def _alive(at: datetime) -> tuple[Any, Any]:
    return col(Process.seen_at) >= at - timedelta(microseconds=ALIVE_US), col(Process.stopped_at).is_(None)


def newest(session: Session) -> datetime | None:
    """The latest time that anything here was written with, as a check of the clock."""
    event = select(Event.received_at).order_by(col(Event.id).desc()).limit(1)
    times = (session.scalar(event), session.scalar(select(func.max(Process.seen_at))))
    return max((at for at in times if at), default=None)


# ── rejections ──


@dataclass(frozen=True)
class RejectionRow:
    """A refused request without its bytes. `difference_s`: how long before our clock's time it claims to be signed.

    `scheme`, Host header and `target` are the address that was called; an empty `target` is not known.
    """

    id: str
    source: str
    received_at: datetime
    code: str
    detail: str
    claimed_at: datetime | None
    difference_s: float | None
    size_bytes: int
    kept_bytes: int
    method: str
    scheme: str
    target: str


REJECTION = (
    *(Rejection.id, Rejection.source, Rejection.received_at, Rejection.code, Rejection.detail, Rejection.claimed_at),
    *(Rejection.size_bytes, func.length(Rejection.body).label("kept_bytes")),
    *(Rejection.method, Rejection.scheme, Rejection.target),
)
KEPT_PAGE = 50  # rejections with their bytes in memory at once


def rejections(session: Session, source: str | None, limit: int | None, code: str | None = None) -> list[RejectionRow]:
    """Newest first."""
    query = select(*REJECTION).where(*_of_rejections(source, code)).order_by(col(Rejection.id).desc())
    return [_rejection_row(row) for row in session.execute(query.limit(limit))]


def _of_rejections(source: str | None, code: str | None) -> Iterator[Any]:
    if source is not None:
        yield col(Rejection.source) == source
    if code is not None:
        yield col(Rejection.code) == code


class Kept(NamedTuple):
    """A refused request with its header lines and what is kept of its body."""

    row: RejectionRow
    headers: bytes
    body: bytes


KEPT = select(*REJECTION, Rejection.headers, Rejection.body)


def kept(session: Session, source: str | None, limit: int | None, code: str | None = None) -> Iterator[Kept]:
    """Newest first, a few in memory at once."""
    query = select(Rejection.id).where(*_of_rejections(source, code)).order_by(col(Rejection.id).desc()).limit(limit)
    numbers = list(session.scalars(query))
    for start in range(0, len(numbers), KEPT_PAGE):
        page = KEPT.where(col(Rejection.id).in_(numbers[start : start + KEPT_PAGE]))
        yield from (_kept(row) for row in session.execute(page.order_by(col(Rejection.id).desc())))


def rejection(session: Session, name: str) -> Kept | None:
    """None where there is none of this id."""
    row = session.execute(KEPT.where(col(Rejection.id) == ids.number("rej", name))).one_or_none()
    return None if row is None else _kept(row)


def _kept(row: Any) -> Kept:
    return Kept(_rejection_row(row), row.headers, row.body)


def _rejection_row(row: Any) -> RejectionRow:
    claimed_at = row.claimed_at
    return RejectionRow(
        id=ids.text("rej", row.id),
        source=row.source,
        received_at=row.received_at,
        code=row.code,
        detail=row.detail,
        claimed_at=claimed_at,
        difference_s=None if claimed_at is None else (row.received_at - claimed_at).total_seconds(),
        size_bytes=row.size_bytes,
        kept_bytes=row.kept_bytes,
        method=row.method,
        scheme=row.scheme,
        target=row.target,
    )
