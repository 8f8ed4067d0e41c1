"""The store read from outside, by SQL: what a test asserts must not come from the code under test."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg


def rows(store: Path | str, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """`store` is a SQLite file, or the URL of a PostgreSQL database."""
    if isinstance(store, str):
        with psycopg.connect(store) as server:
            return server.execute(sql.replace("?", "%s").encode(), parameters or None).fetchall()
    with closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=rw", uri=True, timeout=10)) as connection:
        return connection.execute(sql, parameters).fetchall()


def count(store: Path | str, table: str, condition: str = "1 = 1") -> int:
    number: int = rows(store, f"SELECT count(*) FROM {table} WHERE {condition}")[0][0]
    return number
