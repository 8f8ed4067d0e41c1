"""The headers of a request as they are kept: lines in their order, without what proves who sent it."""

from collections.abc import Sequence, Set
from typing import Final

SECRET_HEADERS: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization"})
NOT_KEPT: Final = b"[not kept]"


def header_lines(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """`name: value` lines, in the order in which they came."""
    return b"\n".join(map(b": ".join, headers))


def header_pairs(lines: bytes) -> list[tuple[bytes, bytes]]:
    """What `header_lines` made them of."""
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines.split(b"\n")) if name]


def without(secrets: Set[bytes], headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Headers as they may be kept: credentials that are no signatures are not."""
    return [(name, NOT_KEPT if name in secrets else value) for name, value in headers]
