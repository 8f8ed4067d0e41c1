"""What a write sees of the database: one open transaction, the same few verbs on every engine.

SQL is written once, with `:name` parameters; an engine's module (`sqlite.py`) says how its driver is spoken to. The two
bulk verbs exist because each engine has its own fastest way to insert many rows.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

Row = tuple[Any, ...]


class Unavailable(Exception):
    """The store cannot commit now: full, locked, read-only, down, or overloaded. Nothing was written."""


class Transaction(Protocol):
    now_us: int
    """The store's clock, in microseconds since 1970: leases are compared on it and nowhere else."""

    skip_locked: str
    """What follows a SELECT of rows to claim, where the engine has row locks."""

    def all(self, sql: str, /, **parameters: Any) -> list[Row]: ...
    def run(self, sql: str, /, **parameters: Any) -> int:
        """Rows changed."""

    def many(self, sql: str, rows: Iterable[dict[str, Any]], /) -> None: ...
    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row], /) -> None: ...
    def insert_new(self, table: str, columns: Sequence[str], rows: Sequence[Row], unique: str, /) -> int:
        """Insert what does not conflict on the column `unique`; how many that were."""

    def where_in(self, column: str, values: Sequence[Any], /) -> tuple[str, dict[str, Any]]:
        """A condition and its parameters: the column has one of the values."""


def one(tx: Transaction, sql: str, /, **parameters: Any) -> Row | None:
    rows = tx.all(sql, **parameters)
    return rows[0] if rows else None


class Database(Protocol):
    """One connection for writing, used by one thread only."""

    def begin(self) -> Transaction: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...
