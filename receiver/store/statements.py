"""Statements on a connection to PostgreSQL, straight through libpq: prepared once, values and rows in binary.

psycopg's cursors do the same for three times the processor time, and a commit of deliveries is five statements.
"""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Any

from psycopg import OperationalError
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format

from receiver.store import arrays
from receiver.store.transaction import Row

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.pq.abc import PGresult

FINE = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})
BIGINT = Struct(">q")
Typed = tuple[int, bytes | None]
"""A parameter: its type in pg_type, and its binary form."""


def typed(value: int | str | bytes | None) -> Typed:
    # One type for each of ours, or each size of a number would be another prepared statement.
    if value is None:
        return 0, None  # the server sees from its place what it is
    if isinstance(value, int):
        return arrays.BIGINT, BIGINT.pack(value)
    if isinstance(value, str):
        return arrays.TEXT, value.encode()
    return arrays.BYTEA, value


def typed_array(kind: str, values: Sequence[Any]) -> Typed:
    return arrays.ARRAYS[kind], arrays.packed(kind, values)


class Statements:
    def __init__(self, connection: "Connection[Any]") -> None:
        self._libpq = connection.pgconn
        self._transformer = Transformer(connection)
        self._names: dict[tuple[str, tuple[int, ...]], bytes] = {}

    def run(self, sql: str, parameters: Sequence[Typed]) -> "PGresult":
        """Parameters are written $1, $2 … Errors: psycopg.Error."""
        oids, values = zip(*parameters, strict=True) if parameters else ((), ())
        name = self._names.get((sql, oids)) or self._prepare(sql, oids)
        return _fine(self._libpq.exec_prepared(name, values, _binary(len(values)), Format.BINARY))

    def run_all(self, sql: bytes) -> "PGresult":
        """Statements without parameters in one message; what the last one returns, as text."""
        return _fine(self._libpq.exec_(sql))

    def rows(self, result: "PGresult") -> list[Row]:
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)

    def _prepare(self, sql: str, oids: tuple[int, ...]) -> bytes:
        name = b"postern_%d" % len(self._names)
        _fine(self._libpq.prepare(name, sql.encode(), oids))
        self._names[sql, oids] = name
        return name


@lru_cache(maxsize=256)
def _binary(count: int) -> list[int]:
    return [Format.BINARY] * count


def _fine(result: "PGresult") -> "PGresult":
    if result.status in FINE:
        return result
    error = error_from_result(result)
    raise error if error.sqlstate else OperationalError(str(error))  # not from the server: it is gone
