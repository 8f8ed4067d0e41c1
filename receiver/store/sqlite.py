"""SQLite through its own driver: how a connection is opened, and the verbs of a transaction on it.

WAL with `synchronous=FULL` is fsynced at every commit: a 2xx survives a power cut. `BEGIN IMMEDIATE` because a deferred
transaction that turns into a write fails at once, whatever the busy timeout says.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

from receiver.store.transaction import Row, Transaction, Unavailable

BUSY_TIMEOUT_S = 0.9  # a vendor waits for us: a store locked longer is a 503, and two tries fit into its patience
LOOK_S = 1.0  # between two looks at the store's file
VALUES_AT_ONCE = 64  # rows in one INSERT statement
PRAGMAS = (
    "PRAGMA page_size = 8192",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA cache_size = -65536",
    "PRAGMA wal_autocheckpoint = 2500",
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
def _insert(table: str, columns: tuple[str, ...], rows: int, tail: str) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}{tail}"


class SqliteTransaction:
    skip_locked = ""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.now_us = time.time_ns() // 1000

    def all(self, sql: str, /, **parameters: Any) -> list[Row]:
        return self._connection.execute(sql, parameters).fetchall()

    def run(self, sql: str, /, **parameters: Any) -> int:
        return self._connection.execute(sql, parameters).rowcount

    def many(self, sql: str, rows: Iterable[dict[str, Any]], /) -> None:
        self._connection.executemany(sql, rows)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row], /) -> None:
        self._bulk(table, tuple(columns), rows, "")

    def insert_new(self, table: str, columns: Sequence[str], rows: Sequence[Row], unique: str, /) -> int:
        return self._bulk(table, tuple(columns), rows, f" ON CONFLICT ({unique}) DO NOTHING")

    def _bulk(self, table: str, columns: tuple[str, ...], rows: Sequence[Row], tail: str) -> int:
        # One statement for many rows: the driver gives up the interpreter lock at each statement, and getting it back
        # from a busy event loop costs more than the insert. Powers of two keep the number of prepared statements small.
        done = changed = 0
        while done < len(rows):
            size = min(VALUES_AT_ONCE, 1 << (len(rows) - done).bit_length() - 1)
            values = list(chain.from_iterable(rows[done : done + size]))
            changed += self._connection.execute(_insert(table, columns, size, tail), values).rowcount
            done += size
        return changed

    def where_in(self, column: str, values: Sequence[Any], /) -> tuple[str, dict[str, Any]]:
        named = {f"{column}_{index}": value for index, value in enumerate(values)}
        return f"{column} IN ({', '.join(':' + name for name in named)})", named


class SqliteDatabase:
    """The writer's connection, opened at the first transaction and again after it broke."""

    def __init__(self, path: str, *, durable: bool = True, look_s: float = LOOK_S) -> None:
        self._path = path
        self._durable = durable
        self._look_s = look_s
        self._connection: sqlite3.Connection | None = None
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
            self._connection = connect(self._path, durable=self._durable)
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
        self._connection.execute("COMMIT")

    def rollback(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @staticmethod
    def is_outage(error: Exception) -> bool:
        """Full, read-only, locked, gone, broken: trouble of the store, not of what was written."""
        return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError
