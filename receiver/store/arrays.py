"""Columns of many rows as PostgreSQL's binary arrays, packed at once: psycopg's own way costs twice as much a value.

The form is that of array_recv: dimensions, whether there are NULLs, the elements' type, their number, the first index;
then each element's length and bytes. https://github.com/postgres/postgres/blob/master/src/backend/utils/adt/arrayfuncs.c
"""

from collections.abc import Sequence
from struct import Struct, pack
from typing import Any

from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper
from psycopg.pq import Format

HEAD = Struct(">iiiii")
LENGTH = Struct(">i")
NULL = LENGTH.pack(-1)
BIGINT, INTEGER, TEXT, BYTEA = 20, 23, 25, 17  # of pg_type, for good


class Array:
    """The values of a column."""

    __slots__ = ("values",)

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values


class BigintArray(Array):
    __slots__ = ()


class IntegerArray(Array):
    __slots__ = ()


class TextArray(Array):
    __slots__ = ()


class ByteaArray(Array):
    __slots__ = ()


ARRAYS: dict[str, type[Array]] = {
    "bigint": BigintArray,
    "integer": IntegerArray,
    "text": TextArray,
    "bytea": ByteaArray,
}


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


class _BigintDumper(Dumper):
    format = Format.BINARY
    oid = 1016

    def dump(self, obj: Array) -> bytes:
        return _numbers(obj.values, BIGINT, "q", 8)


class _IntegerDumper(Dumper):
    format = Format.BINARY
    oid = 1007

    def dump(self, obj: Array) -> bytes:
        return _numbers(obj.values, INTEGER, "i", 4)


class _TextDumper(Dumper):
    format = Format.BINARY
    oid = 1009

    def dump(self, obj: Array) -> bytes:
        return _varying([None if value is None else value.encode() for value in obj.values], TEXT)


class _ByteaDumper(Dumper):
    format = Format.BINARY
    oid = 1001

    def dump(self, obj: Array) -> bytes:
        return _varying(obj.values, BYTEA)


def register(context: AdaptContext) -> None:
    assert context.adapters is not None
    for array, dumper in (
        (BigintArray, _BigintDumper),
        (IntegerArray, _IntegerDumper),
        (TextArray, _TextDumper),
        (ByteaArray, _ByteaDumper),
    ):
        context.adapters.register_dumper(array, dumper)
