"""The peers' state in SQL, one durable commit for each step that a crash may not undo.

claim → [intent → (the call) → outcome, done] or [done]. Connections are kept, statements prepared, no ORM; the changing
columns stand in a table of their own, beside the bodies. A task that died is found again by its lease, with a sweeper
that is not part of the measurement: it has no index to keep, and no run is renewed.
"""

import re
import sqlite3
import threading
import time
from typing import Any, Protocol

import psycopg
from psycopg_pool import AsyncConnectionPool

LEASE_US = 30_000_000
TABLES = (
    "CREATE TABLE event (id BIGINT PRIMARY KEY, body {bytes} NOT NULL)",
    "CREATE TABLE job (id BIGINT PRIMARY KEY, state TEXT NOT NULL, attempts INTEGER NOT NULL,"
    " lease_until BIGINT, finished_at BIGINT)",
    "CREATE TABLE step (key TEXT PRIMARY KEY, job_id BIGINT NOT NULL, request {bytes} NOT NULL, status INTEGER,"
    " body {bytes})",
)

CLAIM = (
    "UPDATE job SET state = 'running', attempts = attempts + 1, lease_until = :until"
    " WHERE id = :id AND (state = 'waiting' OR (state = 'running' AND lease_until < :now))"
    " RETURNING (SELECT body FROM event WHERE event.id = job.id)"
)
DONE = "UPDATE job SET state = 'done', lease_until = NULL, finished_at = :now WHERE id = :id AND state = 'running'"
INTEND = "INSERT INTO step (key, job_id, request) VALUES (:key, :id, :request) ON CONFLICT (key) DO NOTHING"
OUTCOME = "UPDATE step SET status = :status, body = :body WHERE key = :key AND status IS NULL"


def tables(*, sqlite: bool) -> list[str]:
    return [statement.replace("{bytes}", "BLOB" if sqlite else "BYTEA") for statement in TABLES]


def now_us() -> int:
    return time.time_ns() // 1000


class Ledger(Protocol):
    def claim(self, number: int) -> bytes | None:
        """The event's body; None where another has it, or it is done."""

    def intend(self, number: int, key: str, request: bytes) -> None: ...
    def conclude(self, number: int, key: str, status: int, body: bytes) -> None:
        """The outcome and the end of the job in one commit."""

    def done(self, number: int) -> None: ...


def _claiming(number: int) -> dict[str, Any]:
    now = now_us()
    return {"id": number, "now": now, "until": now + LEASE_US}


def _concluding(number: int, key: str, status: int, body: bytes) -> dict[str, Any]:
    return {"id": number, "now": now_us(), "key": key, "status": status, "body": body}


class SqliteLedger:
    """One connection for a process, behind a lock: its threads wait in a row instead of polling for the file's lock."""

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous = FULL")

    def claim(self, number: int) -> bytes | None:
        with self._lock:
            rows = self._connection.execute(CLAIM, _claiming(number)).fetchall()
        return rows[0][0] if rows else None

    def intend(self, number: int, key: str, request: bytes) -> None:
        with self._lock:
            self._connection.execute(INTEND, {"key": key, "id": number, "request": request})

    def conclude(self, number: int, key: str, status: int, body: bytes) -> None:
        values = _concluding(number, key, status, body)
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(OUTCOME, values)
            self._connection.execute(DONE, values)
            self._connection.execute("COMMIT")

    def done(self, number: int) -> None:
        with self._lock:
            self._connection.execute(DONE, {"id": number, "now": now_us()})


def _of_psycopg(sql: str) -> Any:
    return re.sub(r":(\w+)", r"%(\1)s", sql)


PG_CLAIM, PG_DONE, PG_INTEND, PG_OUTCOME = map(_of_psycopg, (CLAIM, DONE, INTEND, OUTCOME))
PG_CONCLUDE: Any = f"WITH outcome AS ({PG_OUTCOME}) {PG_DONE}"
"""Both in one statement: one round trip, one commit."""
PG_BODY: Any = "SELECT body FROM event JOIN job USING (id) WHERE id = %(id)s AND state = 'waiting'"
PG_DONE_UNCLAIMED: Any = PG_DONE.replace("state = 'running'", "state = 'waiting'").replace(
    "'done'", "'done', attempts = attempts + 1", 1
)
PG_CONCLUDE_UNCLAIMED: Any = f"WITH outcome AS ({PG_OUTCOME}) {PG_DONE_UNCLAIMED}"


class PostgresqlLedger:
    """A connection for each thread; every statement is a transaction of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._of_thread = threading.local()

    def _run(self, sql: Any, values: dict[str, Any]) -> "psycopg.Cursor[Any]":
        connection = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = psycopg.connect(self._url, autocommit=True, prepare_threshold=0)
            self._of_thread.connection = connection
        return connection.execute(sql, values, binary=True)

    def claim(self, number: int) -> bytes | None:
        row = self._run(PG_CLAIM, _claiming(number)).fetchone()
        return row[0] if row else None

    def intend(self, number: int, key: str, request: bytes) -> None:
        self._run(PG_INTEND, {"key": key, "id": number, "request": request})

    def conclude(self, number: int, key: str, status: int, body: bytes) -> None:
        self._run(PG_CONCLUDE, _concluding(number, key, status, body))

    def done(self, number: int) -> None:
        self._run(PG_DONE, {"id": number, "now": now_us()})


def ledger(url: str) -> Ledger:
    return SqliteLedger(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else PostgresqlLedger(url)


class AsyncLedger:
    """For event loops: PostgreSQL through a pool; SQLite called directly, because a thread's hop costs more."""

    def __init__(self, url: str, *, claimed_by_queue: bool = False, connections: int = 8) -> None:
        """`claimed_by_queue`: the queue itself claims durably, in the same database; once is enough."""
        self._plain = ledger(url) if url.startswith("sqlite") else None
        self._pool = AsyncConnectionPool(
            url, min_size=connections, max_size=connections, open=False,
            kwargs={"autocommit": True, "prepare_threshold": 0},
        )  # fmt: skip
        self._claim = PG_BODY if claimed_by_queue else PG_CLAIM
        self._conclude = PG_CONCLUDE_UNCLAIMED if claimed_by_queue else PG_CONCLUDE
        self._done = PG_DONE_UNCLAIMED if claimed_by_queue else PG_DONE
        self._opened = False

    async def _run(self, sql: Any, values: dict[str, Any], *, answers: bool = False) -> Any:
        if not self._opened:
            self._opened = True
            await self._pool.open()
        async with self._pool.connection() as connection:
            cursor = await connection.execute(sql, values, binary=True)
            return await cursor.fetchone() if answers else None

    async def claim(self, number: int) -> bytes | None:
        if self._plain is not None:
            return self._plain.claim(number)
        row = await self._run(self._claim, _claiming(number), answers=True)
        return row[0] if row else None

    async def intend(self, number: int, key: str, request: bytes) -> None:
        if self._plain is not None:
            return self._plain.intend(number, key, request)
        await self._run(PG_INTEND, {"key": key, "id": number, "request": request})

    async def conclude(self, number: int, key: str, status: int, body: bytes) -> None:
        if self._plain is not None:
            return self._plain.conclude(number, key, status, body)
        await self._run(self._conclude, _concluding(number, key, status, body))

    async def done(self, number: int) -> None:
        if self._plain is not None:
            return self._plain.done(number)
        await self._run(self._done, {"id": number, "now": now_us()})
