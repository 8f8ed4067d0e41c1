"""What operators ask of the store. Everything here reads; rows come back as plain frozen values, ids as people see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, case, exists, func, or_
from sqlalchemy import select as typed_select
from sqlmodel import Session, col

from receiver.store.ids import number, text
from receiver.store.intake import digest
from receiver.store.models import Delivery, Event, History, Offer, Process, Rejection, Run, Source, Step
from receiver.store.runs import ALIVE_US

select: Any = typed_select  # its overloads do not know SQLModel's attributes, which are typed as their values

UNFINISHED = ("waiting", "running")


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
    generation: int


@dataclass(frozen=True)
class Filters:
    """Of `events list`. None: any."""

    source: str | None = None
    type: str | None = None
    status: str | None = None
    failing: bool = False
    handler: str | None = None
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def _has_run(*conditions: Any) -> Any:
    return exists().where(col(Run.event_id) == col(Event.id), *conditions)


PARKED = _has_run(col(Run.state) == "parked")
AT_WORK = _has_run(col(Run.state).in_(UNFINISHED))
ANY_RUN = _has_run()
FAILING = _has_run(or_(col(Run.state) == "parked", and_(col(Run.state).in_(UNFINISHED), col(Run.failures) > 0)))
STATUS = case((PARKED, "attention"), (AT_WORK, "pending"), (~ANY_RUN, "unhandled"), else_="done")


def _events(filters: Filters) -> Select[Any]:
    query: Select[Any] = select(Event, STATUS.label("status"))
    equal = {Event.source: filters.source}
    for column, value in equal.items():
        if value is not None:
            query = query.where(col(column) == value)
    if filters.type is not None:
        query = query.where(col(Event.type).like(_like(filters.type), escape="\\"))
    if filters.status is not None:
        query = query.where(filters.status == STATUS)
    if filters.failing:
        query = query.where(FAILING)
    if filters.handler is not None:
        query = query.where(_has_run(col(Run.handler) == filters.handler))
    if filters.code is not None:
        query = query.where(_has_run(col(Run.code) == filters.code))
    if filters.since is not None:
        query = query.where(col(Event.received_at) >= filters.since)
    if filters.until is not None:
        query = query.where(col(Event.received_at) < filters.until)
    return query


def _like(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")


def events(session: Session, filters: Filters, limit: int | None = 50) -> list[EventRow]:
    """Newest first. `type` may hold `*`."""
    query = _events(filters).order_by(col(Event.id).desc()).limit(limit)
    return [_event_row(session, event, status) for event, status in session.execute(query)]


def _event_row(session: Session, event: Event, status: str) -> EventRow:
    runs = _runs(session, event.id)
    parked = [run.code for run in runs if run.state == "parked"]
    failed = [run.code for run in sorted(runs, key=lambda run: run.finished_at or event.received_at) if run.code]
    due = [run.due_at for run in runs if run.state == "waiting" and run.due_at]
    return EventRow(
        id=text("ev", event.id),
        external_id=event.external_id,
        source=event.source,
        type=event.type,
        status=status,
        received_at=event.received_at,
        sha256=event.sha256.hex(),
        attempts=sum(run.attempts for run in runs),
        code=parked[0] if parked else failed[-1] if failed else None,
        due_at=min(due, default=None),
        duplicates=event.duplicates,
    )


def _runs(session: Session, event_id: int) -> list[Run]:
    query = select(Run).where(col(Run.event_id) == event_id).order_by(col(Run.id))
    return list(session.scalars(query))


def find_event(session: Session, name: str) -> int | None:
    """The event's number, by its id or by `source:external_id`; of several the newest."""
    own = number("ev", name)
    if own is not None:
        return own if session.get(Event, own) else None
    source, colon, external_id = name.partition(":")
    if not colon:
        return None
    found: int | None = session.scalar(select(Event.id).where(col(Event.digest) == digest(source, external_id)))
    if found is None:
        where = (col(Event.source) == source, col(Event.external_id) == external_id)
        found = session.scalar(select(func.max(Event.id)).where(*where))
    return found


def event(session: Session, event_id: int) -> EventRow:
    found, status = session.execute(select(Event, STATUS).where(col(Event.id) == event_id)).one()
    return _event_row(session, found, status)


def runs(session: Session, event_id: int) -> list[RunRow]:
    """An event's runs, oldest first; one that is not routed yet is none."""
    return [
        RunRow(
            text("run", run.id),
            run.handler,
            run.state,
            run.code,
            run.reason,
            run.attempts,
            run.failures,
            run.due_at,
            run.started_at,
            run.finished_at,
            run.generation,
        )  # fmt: skip
        for run in _runs(session, event_id)
        if run.handler is not None
    ]


def delivery(session: Session, event_id: int) -> tuple[bytes, bytes]:
    """(header lines, body) of the request that brought the event."""
    query = select(Delivery).join(Event, col(Event.delivery_id) == col(Delivery.id)).where(col(Event.id) == event_id)
    found = session.scalars(query).one()
    return found.headers, found.body


def steps(session: Session, event_id: int) -> list[tuple[str, Step]]:
    """(handler, step) of all of an event's runs, in order of their intents."""
    query = select(Run.handler, Step).join(Run, col(Run.id) == col(Step.run_id)).where(col(Run.event_id) == event_id)
    return [
        (handler or "", step) for handler, step in session.execute(query.order_by(col(Step.intent_at), col(Step.id)))
    ]


def history(session: Session, event_id: int) -> list[History]:
    return list(session.scalars(select(History).where(col(History.event_id) == event_id).order_by(col(History.id))))


def unfinished(session: Session) -> dict[str, int]:
    """Runs by state: unrouted, waiting, running, parked."""
    counts = dict.fromkeys(("unrouted", "waiting", "running", "parked"), 0)
    state = case((col(Run.handler).is_(None), "unrouted"), else_=col(Run.state))
    query = (
        select(state, func.count())
        .where(or_(col(Run.state).in_(UNFINISHED), col(Run.state) == "parked"))
        .group_by(state)
    )
    return counts | {name: count for name, count in session.execute(query)}


def sources(session: Session) -> dict[str, Source]:
    return {source.name: source for source in session.scalars(select(Source).order_by(col(Source.name)))}


@dataclass(frozen=True)
class Failures:
    """Runs that failed alike: parked, or waiting for another attempt."""

    handler: str
    state: str
    code: str | None
    count: int
    first: datetime | None
    newest: datetime | None
    next: datetime | None


def failures(session: Session) -> list[Failures]:
    """Grouped by handler, state and code; the biggest group first."""
    failing = or_(col(Run.state) == "parked", and_(col(Run.state) == "waiting", col(Run.failures) > 0))
    when = col(Run.finished_at)
    query = (
        select(
            Run.handler,
            Run.state,
            Run.code,
            func.count(),
            func.min(when),
            func.max(when),
            func.min(Run.due_at),
        )
        .where(failing, col(Run.handler).is_not(None))
        .group_by(col(Run.handler), col(Run.state), col(Run.code))
        .order_by(func.count().desc(), col(Run.handler))
    )
    return [Failures(*row) for row in session.execute(query)]


def processes(session: Session, now: datetime) -> list[Process]:
    """The live ones, receivers first."""
    alive = now - timedelta(microseconds=ALIVE_US)
    query = select(Process).where(col(Process.seen_at) >= alive, col(Process.stopped_at).is_(None))
    return list(session.scalars(query.order_by(col(Process.role), col(Process.id))))


def offers(session: Session, process_ids: Sequence[int]) -> list[Offer]:
    query = select(Offer).where(col(Offer.process_id).in_(process_ids), col(Offer.source) != "")
    return list(session.scalars(query.order_by(col(Offer.handler), col(Offer.source), col(Offer.pattern))))


def rejections(session: Session, source: str | None, limit: int | None, code: str | None = None) -> list[Rejection]:
    """Newest first."""
    query = select(Rejection).order_by(col(Rejection.id).desc()).limit(limit)
    if source is not None:
        query = query.where(col(Rejection.source) == source)
    if code is not None:
        query = query.where(col(Rejection.code) == code)
    return list(session.scalars(query))


def rejection(session: Session, name: str) -> Rejection | None:
    own = number("rej", name)
    return None if own is None else session.get(Rejection, own)
