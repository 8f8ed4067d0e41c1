"""PostgreSQL through psycopg: where the store is, how a connection is opened, the verbs of a transaction on it.

A commit is durable when it returns. Leases and due times run on the server's clock, which comes with each BEGIN.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
from psycopg import conninfo

from receiver.errors import UserError
from receiver.store.statements import Statements, Typed, typed, typed_array
from receiver.store.transaction import PARAMETER, Row, Transaction, Unavailable, split_columns

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult
    from psycopg.rows import TupleRow
    from sqlalchemy import Engine

CONNECT = {
    "application_name": "postern",
    "connect_timeout": 2,
    # A server that is gone without a word must not hold the writer for the system's two hours.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# A vendor waits for us: what is locked longer is a 503. A process that stands still in the middle of a transaction must
# not hold its rows: its runs could not be taken over. The writer finds its rows by an index, one by one: plans made
# while a table was empty must not read all of it a minute later. Where a small table has no index to go by, that counts
# as expensive: to compile such a plan would take fifty times as long as to run it.
SETTINGS = """
SET lock_timeout = '900ms';
SET idle_in_transaction_session_timeout = '5s';
SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
SET jit = off;
"""
# A server that answers before a commit is durable is told not to, now and after any reload of its configuration.
DURABLE = """
SELECT set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                  ELSE current_setting('synchronous_commit') END, false)
"""
BEGIN = b"BEGIN; SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
DATA = ("22", "23", "54")  # classes of SQLSTATE: what was written is at fault, or too large for an index
CONFLICT = ("40001", "40P01")  # a serialization failure, a deadlock


def connect(url: str) -> "psycopg.Connection[TupleRow]":
    connection = psycopg.connect(url, autocommit=True, **CONNECT)  # type: ignore[arg-type]
    try:
        connection.execute(SETTINGS + DURABLE, prepare=False)
    except psycopg.Error:
        connection.close()
        raise
    return connection


@lru_cache(maxsize=256)
def _numbered(sql: str, first: int = 1) -> tuple[str, tuple[str, ...]]:
    """The statement with $1, $2 … instead of names, and the names in that order."""
    names = tuple(dict.fromkeys(PARAMETER.findall(sql)))
    return PARAMETER.sub(lambda found: f"${names.index(found[1]) + first}", sql), names


@lru_cache(maxsize=256)
def _insert(table: str, columns: str, tail: str) -> str:
    names, _ = split_columns(columns)
    return f"INSERT INTO {table} ({', '.join(names)}) SELECT * FROM {_unnest(columns)}{tail}"


@lru_cache(maxsize=256)
def _given(sql: str, columns: str) -> tuple[str, tuple[str, ...]]:
    names, _ = split_columns(columns)
    numbered, parameters = _numbered(sql, len(names) + 1)
    return f"WITH given({', '.join(names)}) AS (SELECT * FROM {_unnest(columns)}) {numbered}", parameters


def _unnest(columns: str) -> str:
    _, types = split_columns(columns)
    return f"unnest({', '.join(f'${number}::{type}[]' for number, type in enumerate(types, 1))})"


def _arrays(columns: str, rows: Sequence[Row]) -> list[Typed]:
    _, types = split_columns(columns)
    return [typed_array(type, values) for type, values in zip(types, zip(*rows, strict=True), strict=True)]


class PostgresqlTransaction:
    skip_locked = "FOR UPDATE OF run SKIP LOCKED"
    stays = "FOR SHARE"

    def __init__(self, statements: Statements, now_us: int) -> None:
        self._statements = statements
        self.now_us = now_us
        self.brought_work = False

    def all(self, sql: str, /, **parameters: Any) -> list[Row]:
        return self._statements.rows(self._run(sql, parameters))

    def run(self, sql: str, /, **parameters: Any) -> int:
        return self._run(sql, parameters).command_tuples or 0

    def _run(self, sql: str, parameters: dict[str, Any]) -> "PGresult":
        numbered, names = _numbered(sql)
        return self._statements.run(numbered, [typed(parameters[name]) for name in names])

    def given(self, sql: str, columns: str, rows: Sequence[Row], /, **parameters: Any) -> list[Row]:
        if not rows:
            return []
        numbered, names = _given(sql, columns)
        values = [*_arrays(columns, rows), *(typed(parameters[name]) for name in names)]
        return self._statements.rows(self._statements.run(numbered, values))

    def insert(self, table: str, columns: str, rows: Sequence[Row], /) -> None:
        self._bulk(table, columns, rows, "")

    def insert_new(self, table: str, columns: str, rows: Sequence[Row], unique: str, /) -> int:
        return self._bulk(table, columns, rows, f" ON CONFLICT ({unique}) DO NOTHING")

    def _bulk(self, table: str, columns: str, rows: Sequence[Row], tail: str) -> int:
        if not rows:
            return 0
        return self._statements.run(_insert(table, columns, tail), _arrays(columns, rows)).command_tuples or 0


class PostgresqlConnection:
    """The writer's."""

    works_here = False

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[TupleRow] | None = None
        self._statements: Statements | None = None

    def begin(self) -> Transaction:
        try:
            if self._statements is None:
                self._connection = connect(self._url)
                self._statements = Statements(self._connection)
            now_us = self._statements.run_all(BEGIN).get_value(0, 0)  # two statements in one message
        except psycopg.Error as error:
            self.close()
            raise Unavailable(first_line(error)) from error
        assert now_us is not None
        return PostgresqlTransaction(self._statements, int(now_us))

    def commit(self) -> None:
        assert self._statements is not None
        self._statements.run_all(b"COMMIT")

    def rollback(self) -> None:
        if self._statements is not None:
            self._statements.run_all(b"ROLLBACK")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = self._statements = None

    def is_outage(self, error: Exception) -> bool:
        if not isinstance(error, psycopg.Error) or self.is_conflict(error):
            return False
        if error.sqlstate is None:  # of the driver: a broken connection, or values that it cannot send
            return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return not error.sqlstate.startswith(DATA)

    def is_conflict(self, error: Exception) -> bool:
        return isinstance(error, psycopg.Error) and error.sqlstate in CONFLICT


class PostgresqlDatabase:
    """A database of a server. Its tables are made and upgraded by `postern db upgrade` alone."""

    made_by_serve = False
    error: type[Exception] = psycopg.Error

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            known = conninfo.conninfo_to_dict(url)
        except psycopg.Error as error:
            raise UserError(f"not an address of PostgreSQL: {first_line(error)}", "[store] url", EXAMPLE) from None
        if not known.get("dbname"):  # by default it is the user's own, or `postgres`: nobody's place for this
            raise UserError("the address names no database", "[store] url", EXAMPLE)
        self.shown = _shown(url)

    def connection(self) -> PostgresqlConnection:
        return PostgresqlConnection(self.url)

    def engine(self) -> "Engine":
        from sqlalchemy import create_engine

        return create_engine("postgresql+psycopg://", creator=lambda: connect_to_read(self.url), pool_pre_ping=True)

    def revision(self) -> str | None:
        try:
            with psycopg.connect(self.url, **CONNECT) as connection:  # type: ignore[arg-type]
                ((there,),) = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchall()
                found = connection.execute("SELECT version_num FROM alembic_version").fetchall() if there else []
        except psycopg.Error as error:
            fix = "Check user, password, host and database in [store] url, and that PostgreSQL runs: docs/deployment.md"
            raise UserError(f"the store cannot be reached: {first_line(error)}", self.shown, fix) from error
        return str(found[0][0]) if found else None

    def prepare(self) -> None:
        with psycopg.connect(self.url, **CONNECT) as connection:  # type: ignore[arg-type]
            encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            fix = "Make another database: createdb --encoding UTF8 --template template0 NAME"
            raise UserError(f"the database's encoding is {encoding}, and must be UTF8", self.shown, fix)

    def copy(self, revision: str) -> str | None:
        return None  # pg_dump makes better ones

    def cannot_write(self, error: object) -> UserError:
        said = first_line(error) if isinstance(error, psycopg.Error) else error
        fix = "Check that this user may create tables and write, and that the disk has room."
        if isinstance(error, psycopg.errors.DuplicateTable):
            fix = "Name a database of its own: other tables are in this one."
        return UserError(f"the store cannot be written: {said}", self.shown, fix)


EXAMPLE = 'Write it as "postgresql://user:password@host:5432/database"'


def connect_to_read(url: str) -> "psycopg.Connection[TupleRow]":
    return psycopg.connect(url, **CONNECT)  # type: ignore[arg-type]


def first_line(error: Exception) -> str:
    """What the server or the driver said, on one line, without the hints of many."""
    return " ".join(str(error).split("\n")[0].split()) or type(error).__name__


def _shown(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"postgresql://{host}{parts.path}"
