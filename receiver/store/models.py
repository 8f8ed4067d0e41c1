"""The tables. What a row means is said here; how rows are written and read is not.

    delivery ─1:n─ event ─1:n─ run ─1:n─ step        what was received, and what became of it
                     └──1:n── history ──┘            what happened besides the straight path, for `events explain`
    source ─1:n─ usage · rejection                   what operators see of each sender
    process ─1:n─ offer                              who is alive, and which handlers it has

What changes often lives in the narrow `run`; bodies stand apart in `delivery`. No foreign keys: every row is written by
the one writer, in one transaction with what it belongs to, and a check on each insert would cost the intake path.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Dialect, Index, Integer, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from receiver.store.times import from_us, to_us

BIG = BigInteger().with_variant(Integer(), "sqlite")  # only INTEGER PRIMARY KEY is SQLite's own row number


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time, kept as microseconds since 1970: the same integer on every database, cheap to compare."""

    impl = BIG
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_us(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_us(value)


def _id(**options: Any) -> Any:
    return Field(sa_column=Column(BIG, autoincrement=False, **options))


def _text(**options: Any) -> Any:
    return Field(sa_column=Column(Text, **options))


def _time(**options: Any) -> Any:
    return Field(sa_column=Column(UtcTime, **options))


class Delivery(SQLModel, table=True):
    """The exact bytes of the POST that brought one event, or a batch of them. Headers are lines of `name: value`."""

    id: int = _id(primary_key=True)
    headers: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Event(SQLModel, table=True):
    """One fact, unique by (source, external id): `digest` is 16 bytes of both, NULL once its window is over.

    `sha256` is of the whole request, `item_sha256` of a batch's item alone.
    """

    id: int = _id(primary_key=True)
    delivery_id: int = _id(nullable=False)
    item: int | None = None
    source: str = _text(nullable=False)
    type: str = _text(nullable=False)
    external_id: str = _text(nullable=False)
    digest: bytes | None = Field(sa_column=Column(LargeBinary, unique=True))
    sha256: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    received_at: datetime = _time(nullable=False)
    duplicates: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    item_sha256: bytes | None = Field(default=None, sa_column=Column(LargeBinary))


class Run(SQLModel, table=True):
    """One handler's work on one event. Without a handler: not routed yet."""

    __table_args__ = (
        UniqueConstraint("event_id", "handler"),
        Index(
            "run_unrouted",
            "id",
            sqlite_where=text("handler IS NULL"),
            postgresql_where=text("handler IS NULL"),
        ),
        Index(
            "run_due",
            "due_at",
            sqlite_where=text("state = 'waiting' AND handler IS NOT NULL"),
            postgresql_where=text("state = 'waiting' AND handler IS NOT NULL"),
        ),
        Index(
            "run_lease",
            "lease_until",
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
        Index(
            "run_parked",
            "handler",
            sqlite_where=text("state = 'parked'"),
            postgresql_where=text("state = 'parked'"),
        ),
    )
    id: int = _id(primary_key=True)
    event_id: int = _id(nullable=False)
    handler: str | None = _text()
    state: str = _text(nullable=False)
    due_at: datetime | None = _time()
    token: int | None = _id()
    lease_until: datetime | None = _time()
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    failures: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    lapses: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    generation: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    code: str | None = _text()
    reason: str | None = _text()
    started_at: datetime | None = _time()
    finished_at: datetime | None = _time()


class Step(SQLModel, table=True):
    """One recorded side effect: the intent before, the outcome after. `open`, then `done` or `refused` (no effect)."""

    __table_args__ = (UniqueConstraint("run_id", "generation", "name", "revision"),)
    id: int = _id(primary_key=True)
    run_id: int = _id(nullable=False)
    generation: int
    name: str = _text(nullable=False)
    revision: int
    state: str = _text(nullable=False)
    key: str = _text(nullable=False)
    request: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    status: int | None = None
    headers: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    body: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    sends: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})
    intent_at: datetime = _time(nullable=False)
    outcome_at: datetime | None = _time()


class History(SQLModel, table=True):
    """What happened to an event off the straight path: failed attempts, lost leases, replays, differing copies."""

    __table_args__ = (Index("history_event", "event_id"),)
    id: int = _id(primary_key=True)
    event_id: int = _id(nullable=False)
    run_id: int | None = _id()
    happened_at: datetime = _time(nullable=False)
    kind: str = _text(nullable=False)
    attempt: int | None = None
    code: str | None = _text()
    text: str | None = _text()


class Source(SQLModel, table=True):
    """Counters of one source, written about once a second: after a kill the last second of them may be missing."""

    name: str = _text(primary_key=True)
    accepted: int = Field(default=0, sa_column=Column(BIG, nullable=False, server_default=text("0")))
    duplicates: int = Field(default=0, sa_column=Column(BIG, nullable=False, server_default=text("0")))
    differing: int = Field(default=0, sa_column=Column(BIG, nullable=False, server_default=text("0")))
    refused: int = Field(default=0, sa_column=Column(BIG, nullable=False, server_default=text("0")))
    refused_since_accepted: int = Field(default=0, sa_column=Column(BIG, nullable=False, server_default=text("0")))
    last_accepted_at: datetime | None = _time()
    last_refused_at: datetime | None = _time()
    last_refused_code: str | None = _text()
    key: str | None = _text()
    key_at: datetime | None = _time()


class Usage(SQLModel, table=True):
    """How many events a key of a source has verified, known ones too: so it shows when an old one is not used any more.

    Written with the counters of its source. `key` is its reference and its fingerprint.
    """

    source: str = _text(primary_key=True)
    key: str = _text(primary_key=True)
    verified: int = Field(default=0, sa_column=Column(BIG, nullable=False, server_default=text("0")))
    last_verified_at: datetime | None = _time()


class Rejection(SQLModel, table=True):
    """A refused delivery, with its cause. Only the newest of each source are kept, and 64 KiB of each body.

    It holds what was signed, so that it can be verified again: `scheme`, Host header and `target` are the address that
    was called. An empty `target`: an older version kept it.
    """

    __table_args__ = (Index("rejection_source", "source", "id"),)
    id: int = _id(primary_key=True)
    source: str = _text(nullable=False)
    received_at: datetime = _time(nullable=False)
    code: str = _text(nullable=False)
    detail: str = _text(nullable=False)
    claimed_at: datetime | None = _time()
    size_bytes: int = Field(sa_column=Column(BIG, nullable=False))
    headers: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    method: str = _text(nullable=False, server_default=text("'POST'"))
    scheme: str = _text(nullable=False, server_default=text("''"))
    target: str = _text(nullable=False, server_default=text("''"))


class Process(SQLModel, table=True):
    """A running receiver or worker. Alive while `seen_at` is young.

    `trouble` says why a worker does nothing, or why a receiver goes on with an older configuration.
    """

    id: int = _id(primary_key=True)
    role: str = _text(nullable=False)
    host: str = _text(nullable=False)
    pid: int
    url: str | None = _text()
    version: str = _text(nullable=False)
    started_at: datetime = _time(nullable=False)
    seen_at: datetime = _time(nullable=False)
    stopped_at: datetime | None = _time()
    trouble: str | None = _text()


class Offer(SQLModel, table=True):
    """A handler that a worker has, and one pattern it asks for. An alias is an offer that asks for nothing."""

    process_id: int = _id(primary_key=True)
    handler: str = _text(primary_key=True)
    source: str = _text(primary_key=True)
    pattern: str = _text(primary_key=True)
    version: str = _text(nullable=False)
    file: str = _text(nullable=False)
    line: int
