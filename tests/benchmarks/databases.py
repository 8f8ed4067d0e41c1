"""A fresh database for each round, and its rows read with the plain drivers: nobody's own word counts."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg


@dataclass(frozen=True)
class Database:
    url: str

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    @property
    def path(self) -> str:
        return self.url.removeprefix("sqlite:///")

    def rows(self, sql: str) -> list[Any]:
        if self.is_sqlite:
            with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)) as connection:
                return connection.execute(sql).fetchall()
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(sql).fetchall()

    def number(self, sql: str) -> int:
        return int(self.rows(sql)[0][0])

    def fill(self, tables: Sequence[str], table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Make the tables, and put the rows into one of them."""
        marks = ", ".join(["?" if self.is_sqlite else "%s"] * len(rows[0]))
        insert = f"INSERT INTO {table} VALUES ({marks})"
        if self.is_sqlite:
            with closing(sqlite3.connect(self.path)) as store, store:
                store.execute("PRAGMA journal_mode = WAL")
                for statement in tables:
                    store.execute(statement)
                store.executemany(insert, rows)
        else:
            with psycopg.connect(self.url) as connection, connection.cursor() as cursor:
                for statement in tables:
                    cursor.execute(statement)
                cursor.executemany(insert, rows)

    def settle(self) -> None:
        """What filling it left behind is not the worker's: statistics made, dirty pages written."""
        if not self.is_sqlite:
            with psycopg.connect(self.url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
                connection.execute("CHECKPOINT")


@contextmanager
def fresh(postgresql_url: str | None, folder: Path, name: str) -> Iterator[Database]:
    """On the server at the URL; without one, a SQLite file."""
    if postgresql_url is None:
        yield Database(f"sqlite:///{folder}/{name}.db")
        return
    with psycopg.connect(postgresql_url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield Database(urlsplit(postgresql_url)._replace(path=f"/{name}").geturl())
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
