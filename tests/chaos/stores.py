"""A look into the store that the services share, by SQL alone and past every proxy; and locks, taken as a stranger."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psycopg

Rows = list[tuple[Any, ...]]


class Store(Protocol):
    def look(self, sql: str) -> Rows: ...
    def locked(self) -> AbstractContextManager[None]:
        """Meanwhile nobody else can write. It may be entered in one thread and left in another."""

    def is_locked(self) -> bool:
        """Whether somebody is in the middle of a write."""

    def damage(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class SqliteFile:
    file: Path

    def look(self, sql: str) -> Rows:
        """Read only: whoever else closes a store last would tidy it up, and hide what a crash left behind."""
        with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(sql).fetchall()

    @contextmanager
    def locked(self) -> Iterator[None]:
        options: Any = {"timeout": 10, "isolation_level": None, "check_same_thread": False}
        with closing(sqlite3.connect(self.file, **options)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def is_locked(self) -> bool:
        with closing(sqlite3.connect(self.file, timeout=0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            connection.execute("ROLLBACK")
            return False

    def damage(self) -> list[str]:
        return [said for (said,) in self.look("PRAGMA integrity_check") if said != "ok"]


@dataclass(frozen=True, slots=True)
class PostgresqlDatabase:
    url: str

    def look(self, sql: str) -> Rows:
        with psycopg.connect(self.url, connect_timeout=10) as connection:
            return connection.execute(sql).fetchall()

    @contextmanager
    def locked(self) -> Iterator[None]:
        with psycopg.connect(self.url, connect_timeout=10) as connection:
            connection.execute("SET LOCAL statement_timeout = '10s'; LOCK TABLE delivery, event, run IN EXCLUSIVE MODE")
            yield

    def is_locked(self) -> bool:
        others = "datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
        return bool(self.look(f"SELECT 1 FROM pg_stat_activity WHERE {others}"))

    def damage(self) -> list[str]:
        return []
