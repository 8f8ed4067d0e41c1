"""SQLite through its own driver: where the store is, how a connection is opened, the verbs of a transaction on it.

WAL with `synchronous=FULL` is fsynced at every commit: a 2xx survives a power cut. `BEGIN IMMEDIATE` because a deferred
transaction that turns into a write fails at once, whatever the busy timeout says.
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from receiver.errors import UserError
from receiver.store.checkpoint import Checkpoints
from receiver.store.transaction import PARAMETER, Row, Transaction, Unavailable, split_columns

if TYPE_CHECKING:
    from sqlalchemy import Engine

BUSY_TIMEOUT_S = 0.7  # a vendor waits for us: a store locked longer is a 503, and two tries fit into its patience
PREPARE_S = 10.0
PREPARE_PAUSE_S = 0.02
LOOK_S = 1.0  # between two looks at the store's file
VALUES_AT_ONCE = 64  # rows in one statement
PRAGMAS = (
    "PRAGMA page_size = 8192",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -16384",
    "PRAGMA wal_autocheckpoint = 20000",
    "PRAGMA temp_store = MEMORY",
)


def connect(path: str, *, create: bool = False, durable: bool = True) -> sqlite3.Connection:
    """A connection for writing. `durable=False` skips the fsync: for stores that die with their test."""
    connection = sqlite3.connect(
        uri(path, "rwc" if create else "rw"),
        uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=512,
    )  # fmt: skip
    try:
        for pragma in PRAGMAS:
            connection.execute(pragma)
        if not durable:
            connection.execute("PRAGMA synchronous = OFF")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def uri(path: str, mode: str) -> str:
    """With a mode, because SQLite would make an empty store where one has gone."""
    return f"{Path(path).absolute().as_uri()}?mode={mode}"


def backup(source: Path, target: Path) -> None:
    """A consistent copy in one file, also of a store in use."""
    with closing(sqlite3.connect(uri(str(source), "ro"), uri=True)) as origin, closing(sqlite3.connect(target)) as copy:
        origin.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")


@lru_cache(maxsize=256)
def _insert(table: str, columns: str, rows: int, tail: str) -> str:
    names, _ = split_columns(columns)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {_values(len(names), rows)}{tail}"


@lru_cache(maxsize=256)
def _given(sql: str, columns: str, rows: int) -> tuple[str, list[str]]:
    """The statement, and the names of the parameters that follow the rows' values."""
    names, _ = split_columns(columns)
    given = f"WITH given({', '.join(names)}) AS (VALUES {_values(len(names), rows)})"
    return f"{given} {PARAMETER.sub('?', sql)}", PARAMETER.findall(sql)


def _values(columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return ", ".join([row] * rows)


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    # One statement for many rows: the driver gives up the interpreter lock at each statement, and getting it back from
    # a busy event loop costs more than the insert. Each number of rows is a prepared statement of its own, kept as long
    # as there is room for it.
    return (rows[start : start + VALUES_AT_ONCE] for start in range(0, len(rows), VALUES_AT_ONCE))


class SqliteTransaction:
    skip_locked = stays = ""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.now_us = time.time_ns() // 1000
        self.brought_work = False

    def all(self, sql: str, /, **parameters: Any) -> list[Row]:
        return self._connection.execute(sql, parameters).fetchall()

    def run(self, sql: str, /, **parameters: Any) -> int:
        return self._connection.execute(sql, parameters).rowcount

    def given(self, sql: str, columns: str, rows: Sequence[Row], /, **parameters: Any) -> list[Row]:
        found: list[Row] = []
        for part in _parts(rows):
            statement, named = _given(sql, columns, len(part))
            values = [*chain.from_iterable(part), *(parameters[name] for name in named)]
            found += self._connection.execute(statement, values).fetchall()
        return found

    def insert(self, table: str, columns: str, rows: Sequence[Row], /) -> None:
        self._bulk(table, columns, rows, "")

    def insert_new(self, table: str, columns: str, rows: Sequence[Row], unique: str, /) -> int:
        return self._bulk(table, columns, rows, f" ON CONFLICT ({unique}) DO NOTHING")

    def _bulk(self, table: str, columns: str, rows: Sequence[Row], tail: str) -> int:
        changed = 0
        for part in _parts(rows):
            statement = _insert(table, columns, len(part), tail)
            changed += self._connection.execute(statement, list(chain.from_iterable(part))).rowcount
        return changed


class SqliteConnection:
    """The writer's, on a store that is there."""

    works_here = True

    def __init__(self, path: str, *, durable: bool = True, look_s: float = LOOK_S) -> None:
        self._path = path
        self._durable = durable
        self._look_s = look_s
        self._connection: sqlite3.Connection | None = None
        self._checkpoints: Checkpoints | None = None
        self._file = (0, 0)
        self._looked_at = 0.0

    def begin(self) -> Transaction:
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise Unavailable(str(error)) from error
        return SqliteTransaction(connection)

    def _open(self) -> sqlite3.Connection:
        now = time.monotonic()
        if self._connection is None:
            connection = connect(self._path, durable=self._durable)
            self._checkpoints = Checkpoints(partial(connect, self._path, durable=self._durable))
            self._connection = connection
            self._file = self._find()
            self._looked_at = now
        elif now - self._looked_at >= self._look_s:
            # A file that was deleted or replaced still takes commits, and all of them are lost.
            self._looked_at = now
            if self._find() != self._file:
                raise OSError(f"another file has taken the place of {self._path}")
        return self._connection

    def _find(self) -> tuple[int, int]:
        found = os.stat(self._path)
        return found.st_dev, found.st_ino

    def commit(self) -> None:
        assert self._connection is not None
        assert self._checkpoints is not None
        self._connection.execute("COMMIT")
        self._checkpoints.committed(self._connection)

    def rollback(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        if self._checkpoints is not None:
            self._checkpoints.end()
            self._checkpoints = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def is_outage(self, error: Exception) -> bool:
        return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError

    def is_conflict(self, error: Exception) -> bool:
        return False  # one writes at a time


class SqliteDatabase:
    """A store in one file, which `postern serve` makes and upgrades by itself."""

    made_by_serve = True
    error: type[Exception] = sqlite3.Error

    def __init__(self, path: str, *, durable: bool = True) -> None:
        self.shown = path
        self._path = Path(path)
        self._durable = durable

    def connection(self) -> SqliteConnection:
        return SqliteConnection(self.shown, durable=self._durable)

    def engine(self) -> "Engine":
        """For a file that is there: reading must not make an empty store where one has gone."""
        from sqlalchemy import URL, create_engine

        file = self._path.absolute().as_uri()
        return create_engine(URL.create("sqlite", database=file, query={"mode": "rw", "uri": "true"}))

    def revision(self) -> str | None:
        if not self._path.exists():
            return None
        try:
            with closing(sqlite3.connect(uri(self.shown, "ro"), uri=True)) as connection:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.Error as error:
            if "no such table" in str(error):
                return None
            raise UserError(f"the store cannot be read: {error}", self.shown, "Check [store] url.") from error
        return row[0] if row else None

    def prepare(self) -> None:
        """The page size and WAL mode are set before the first table."""
        give_up_at = time.monotonic() + PREPARE_S
        while True:
            try:
                return connect(self.shown, create=True).close()
            except sqlite3.OperationalError as error:
                # SQLite does not wait where two want to set the mode at once, whatever the busy timeout says.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                    raise
            time.sleep(PREPARE_PAUSE_S)

    def copy(self, revision: str) -> str | None:
        """A copy of an older store beside it; None where another process has upgraded the store meanwhile."""
        copy = self._path.with_name(f"{self._path.name}.{revision}.bak")
        draft = self._path.with_name(f"{copy.name}.{os.getpid()}")
        try:
            backup(self._path, draft)
            if SqliteDatabase(str(draft)).revision() != revision:
                return None
            shutil.copymode(self._path, draft)
            draft.replace(copy)
        finally:
            draft.unlink(missing_ok=True)
        return str(copy)

    def cannot_write(self, error: object) -> UserError:
        fix = "Check that the folder exists, may be written and has room."
        return UserError(f"the store cannot be written: {error}", self.shown, fix)
