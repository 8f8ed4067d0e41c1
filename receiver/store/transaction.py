"""What a write sees of the database: one open transaction, the same few verbs on every engine.

SQL is written once, with `:name` parameters; an engine's module (`sqlite.py`, `postgresql.py`) says how its driver is
spoken to. Where many rows go in, they are the table `given` of the statement, or an engine's fastest way to insert.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

Row = tuple[Any, ...]
PARAMETER = re.compile(r"(?<![:\w]):([a-z]\w*)")
"""`:name`, and not the type after `::`."""


class Unavailable(Exception):
    """The store cannot commit now: full, locked, read-only, down, or overloaded. Nothing was written."""


class Transaction(Protocol):
    """Columns are given with their types, `"id bigint, state text"`: bigint, integer, text or bytea."""

    now_us: int
    """The store's clock, in microseconds since 1970: leases are compared on it and nowhere else."""

    brought_work: bool
    """Set by a write after which there is something to claim: whoever claims is told once it is committed."""

    skip_locked: str
    """What follows a SELECT of rows of `run` that are about to be changed, where the engine has row locks."""

    stays: str
    """What follows a SELECT of a row of `run` that nobody may change before our commit, on such an engine."""

    def all(self, sql: str, /, **parameters: Any) -> list[Row]: ...
    def run(self, sql: str, /, **parameters: Any) -> int:
        """Rows changed."""

    def given(self, sql: str, columns: str, rows: Sequence[Row], /, **parameters: Any) -> list[Row]:
        """Run a statement that reads `rows` as the table `given`; what it returns, in no order.

        Many rows are given in parts: a statement must not compare them with each other.
        """

    def insert(self, table: str, columns: str, rows: Sequence[Row], /) -> None: ...
    def insert_new(self, table: str, columns: str, rows: Sequence[Row], unique: str, /) -> int:
        """Insert what does not conflict on the columns `unique`; how many that were."""


def one(tx: Transaction, sql: str, /, **parameters: Any) -> Row | None:
    rows = tx.all(sql, **parameters)
    return rows[0] if rows else None


@lru_cache(maxsize=64)
def split_columns(columns: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names and the types of `"id bigint, state text"`."""
    names, types = zip(*(column.split() for column in columns.split(", ")), strict=True)
    return names, types


class Connection(Protocol):
    """A database as the writer has it, used by one thread only: opened at the first transaction, and again when broken.

    `begin` raises Unavailable.
    """

    works_here: bool
    """Whether a transaction takes this process's processor time, so that a few large ones cost less than many."""

    def begin(self) -> Transaction: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...

    def is_outage(self, error: Exception) -> bool:
        """Trouble of the store, not of what was written: full, read-only, locked, gone, broken."""

    def is_conflict(self, error: Exception) -> bool:
        """Two transactions stood in each other's way, and this one gave way: the same again will do."""
