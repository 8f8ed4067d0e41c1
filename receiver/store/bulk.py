"""Whole tables, for `postern db move`: kept from every other writer, read row by row, filled row by row.

One transaction on a connection of its own; what is not committed was never there. Rows are plain values in the order of
the models' columns, times as integers, and however long a table is, a few rows at a time are in memory.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import psycopg
from psycopg import sql
from sqlalchemy import Table, Text
from sqlmodel import SQLModel

import receiver.store.models  # noqa: F401  the tables register themselves
from receiver.errors import UserError
from receiver.store.database import Database
from receiver.store.postgresql import CONNECT, DURABLE, PostgresqlDatabase, first_line
from receiver.store.schema import MOVED
from receiver.store.sqlite import connect
from receiver.store.transaction import Row

TABLES = SQLModel.metadata.sorted_tables
# Of many rows one may have to wait for a checkpoint longer than an answer to a vendor could.
PATIENT = {**CONNECT, "tcp_user_timeout": 0}
SETTINGS = """
SELECT set_config('idle_in_transaction_session_timeout', '0', true), set_config('statement_timeout', '0', true),
       set_config('lock_timeout', '10s', true)
"""
# A process that stood still all the while may still have the old store open: it must find nothing to write into.
MARK = (
    f"UPDATE alembic_version SET version_num = '{MOVED}'",
    "ALTER TABLE event RENAME TO moved_event",
    "ALTER TABLE run RENAME TO moved_run",
)


class Bulk(Protocol):
    """Errors of all methods: UserError."""

    def identity(self) -> object:
        """Equal where two addresses are those of one store."""

    def hold(self) -> None:
        """From here to the end nobody else writes: others wait, and give up before a vendor does."""

    def has_rows(self, table: Table) -> bool: ...

    def rows(self, table: Table) -> Iterator[Row]:
        """All of a table, in the order of its primary key: the same order on every engine."""

    def fill(self, table: Table, rows: Iterable[Row]) -> None: ...
    def commit(self) -> None: ...
    def mark_moved(self) -> None:
        """Once it is committed, nothing works on this store any more; what it holds stays, under other names."""

    def close(self) -> None: ...


def bulk_of(database: Database) -> Bulk:
    if isinstance(database, PostgresqlDatabase):
        return PostgresqlBulk(database)
    return SqliteBulk(database)


@contextmanager
def _telling(shown: str, done: str) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, psycopg.Error) as error:
        raise UserError(f"the store cannot be {done}: {first_line(error)}", shown) from error


def _names(table: Table) -> str:
    return ", ".join(column.name for column in table.columns)


def _key(table: Table, collation: str = "") -> str:
    """What to sort by. Texts need a collation where those of bytes are not the default."""
    return ", ".join(
        f"{column.name}{collation if isinstance(column.type, Text) else ''}" for column in table.primary_key
    )


class SqliteBulk:
    def __init__(self, database: Database) -> None:
        self._shown = database.shown
        with _telling(self._shown, "opened"):
            self._connection = connect(database.shown)

    def identity(self) -> object:
        found = os.stat(self._shown)
        return found.st_dev, found.st_ino

    def hold(self) -> None:
        with _telling(self._shown, "kept from other writers"):
            self._connection.execute("BEGIN IMMEDIATE")

    def has_rows(self, table: Table) -> bool:
        with _telling(self._shown, "read"):
            return self._connection.execute(f"SELECT 1 FROM {table.name} LIMIT 1").fetchone() is not None

    def rows(self, table: Table) -> Iterator[Row]:
        with _telling(self._shown, "read"):
            yield from self._connection.execute(f"SELECT {_names(table)} FROM {table.name} ORDER BY {_key(table)}")

    def fill(self, table: Table, rows: Iterable[Row]) -> None:
        values = ", ".join("?" * len(table.columns))
        with _telling(self._shown, "written"):
            self._connection.executemany(f"INSERT INTO {table.name} ({_names(table)}) VALUES ({values})", rows)

    def commit(self) -> None:
        with _telling(self._shown, "written"):
            self._connection.execute("COMMIT")

    def mark_moved(self) -> None:
        with _telling(self._shown, "marked as moved"):
            for statement in MARK:
                self._connection.execute(statement)

    def close(self) -> None:
        self._connection.close()


class PostgresqlBulk:
    """By COPY in binary, which is the fastest both ways and sends rows as they come."""

    def __init__(self, database: PostgresqlDatabase) -> None:
        self._shown = database.shown
        with _telling(self._shown, "opened"):
            self._connection = psycopg.connect(database.url, **PATIENT)  # type: ignore[arg-type]
            self._cursor = self._connection.cursor()

    def identity(self) -> object:
        with _telling(self._shown, "opened"):
            return self._cursor.execute(
                "SELECT system_identifier, current_database(), current_schema() FROM pg_control_system()"
            ).fetchone()

    def hold(self) -> None:
        names = sql.SQL(", ").join(sql.Identifier(table.name) for table in TABLES)
        with _telling(self._shown, "kept from other writers"):
            self._cursor.execute(SETTINGS)
            self._cursor.execute(DURABLE)
            self._cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(names))

    def has_rows(self, table: Table) -> bool:
        with _telling(self._shown, "read"):
            return self._cursor.execute(f"SELECT 1 FROM {table.name} LIMIT 1".encode()).fetchone() is not None

    def rows(self, table: Table) -> Iterator[Row]:
        key = _key(table, ' COLLATE "C"')
        query = f"SELECT {_names(table)} FROM {table.name} ORDER BY {key}"
        with _telling(self._shown, "read"):
            types = self._types(table)
            with self._cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)".encode()) as copy:
                copy.set_types(types)
                yield from copy.rows()

    def fill(self, table: Table, rows: Iterable[Row]) -> None:
        with _telling(self._shown, "written"):
            types = self._types(table)
            with self._cursor.copy(f"COPY {table.name} ({_names(table)}) FROM STDIN (FORMAT BINARY)".encode()) as copy:
                copy.set_types(types)
                for row in rows:
                    copy.write_row(row)
            # Until the server has looked at new tables it plans for empty ones.
            self._cursor.execute(f"ANALYZE {table.name}".encode())

    def _types(self, table: Table) -> list[int]:
        found = self._cursor.execute(f"SELECT {_names(table)} FROM {table.name} LIMIT 0".encode()).description
        return [column.type_code for column in found or ()]

    def commit(self) -> None:
        with _telling(self._shown, "written"):
            self._connection.commit()

    def mark_moved(self) -> None:
        with _telling(self._shown, "marked as moved"):
            for statement in MARK:
                self._cursor.execute(statement.encode())

    def close(self) -> None:
        self._connection.close()
