"""Columns of many rows as PostgreSQL's binary arrays, packed at once: value by value it costs twice as much.

The form is that of array_recv: dimensions, whether there are NULLs, the elements' type, their number, the first index;
then each element's length and bytes. https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/arrayfuncs.c
"""

from collections.abc import Sequence
from struct import Struct, pack
from typing import Any

HEAD = Struct(">iiiii")
LENGTH = Struct(">i")
NULL = LENGTH.pack(-1)
BIGINT, INTEGER, TEXT, BYTEA = 20, 23, 25, 17  # of pg_type, for good
ARRAYS = {"bigint": 1016, "integer": 1007, "text": 1009, "bytea": 1001}
"""The arrays' own types."""


def packed(kind: str, values: Sequence[Any]) -> bytes:
    """The values of a column of this type."""
    match kind:
        case "bigint":
            return _numbers(values, BIGINT, "q", 8)
        case "integer":
            return _numbers(values, INTEGER, "i", 4)
        case "text":
            return _varying([None if value is None else value.encode() for value in values], TEXT)
    return _varying(values, BYTEA)


def _numbers(values: Sequence[int | None], element: int, code: str, size: int) -> bytes:
    if None in values:
        return _varying([None if value is None else pack(f">{code}", value) for value in values], element)
    flat: list[Any] = [size] * (2 * len(values))
    flat[1::2] = values
    return HEAD.pack(1, 0, element, len(values), 1) + pack(f">{('i' + code) * len(values)}", *flat)


def _varying(values: Sequence[bytes | None], element: int) -> bytes:
    parts = [HEAD.pack(1, 1, element, len(values), 1)]
    for value in values:
        if value is None:
            parts.append(NULL)
        else:
            parts += (LENGTH.pack(len(value)), value)
    return b"".join(parts)
