"""A kept rejection, verified again: would it be accepted today, and what would be stored of it.

As intake would, on the bytes that were kept and by the clock of their receipt; the keys are today's. Nothing is written
here: `receiver.store.promotion` does that.
"""

import asyncio
from typing import Final, NamedTuple

from receiver.headers import NOT_KEPT, header_pairs
from receiver.ingest import arrival_of, called_url
from receiver.key_provider import KeyProvider
from receiver.schemes import AsksVendor, Headers, Key, Refused, Request, Wanted
from receiver.sources import Source
from receiver.store.intake import Arrival
from receiver.store.reads import Kept
from receiver.store.times import to_us

REPAIRABLE: Final = frozenset(
    {
        *("signature_missing", "signature_malformed", "signature_mismatch", "id_missing"),
        *("timestamp_missing", "timestamp_malformed", "timestamp_stale", "timestamp_future"),
    }
)
"""Causes that a repaired key or source can take away. What was refused for another one stays refused: a nonce that came
before stands for a forged body, and a handshake is answered at once or never."""


class Passing(NamedTuple):
    """What would be stored, and which key verifies it."""

    arrival: Arrival
    key: str


def hindrance(kept: Kept, source: Source | None) -> str | None:
    """Why it cannot be promoted, whatever its signature says. The source may be one without its keys."""
    row = kept.row
    if row.code not in REPAIRABLE:
        return f"it was refused as {row.code}, which no key changes"
    if source is None:
        return "its source is not configured any more"
    if not source.scheme.signs_body:  # who saw the vendor's request meanwhile could have sent another body with it
        return f"its signature does not cover the body; {redelivery(source)}"
    if row.kept_bytes < row.size_bytes:
        return f"only {row.kept_bytes} of its {row.size_bytes} bytes are kept; {redelivery(source)}"
    if not row.target:
        return f"an older version kept it, without its address; {redelivery(source)}"
    if missed := _missed(kept, source):
        return f"its {missed}, which proves who sent it, is a credential and not kept; {redelivery(source)}"
    return None


def redelivery(source: Source) -> str:
    """How to get it again, or in the vendor's words that there is no way."""
    if source.redeliver:
        return f"redelivery: {source.redeliver}"
    return "redelivery: have its vendor send it again" + (f", see {source.docs}" if source.docs else "")


def _missed(kept: Kept, source: Source) -> str | None:
    """What is not kept and what the scheme goes by: without it, it says something else."""
    headers, query = header_pairs(kept.headers), _query(kept)
    said = _said(kept, source, headers, query)
    for name in dict.fromkeys(name for name, value in headers if value == NOT_KEPT):
        if _said(kept, source, [pair for pair in headers if pair[0] != name], query) != said:
            return f"{name.decode('latin-1')} header"
    for field in dict.fromkeys(field for field in query.split("&") if field.endswith(f"={NOT_KEPT.decode()}")):
        if _said(kept, source, headers, "&".join(one for one in query.split("&") if one != field)) != said:
            return f"{field.partition('=')[0]} in the query"
    return None


def _said(kept: Kept, source: Source, headers: list[tuple[bytes, bytes]], query: str) -> tuple[str, str]:
    """What the scheme says without any key."""
    try:
        source.scheme.verify(_request(kept, source, None, headers, query), (), _received_us(kept) / 1e6)
    except Refused as refused:
        return refused.code, refused.detail
    return "", ""


async def reverify(kept: Kept, source: Source, public_url: str | None, provider: KeyProvider, now: float) -> Passing:
    """The source has its keys. Errors: Refused, Problem; both say why not."""
    request = _request(kept, source, public_url, header_pairs(kept.headers), _query(kept))
    scheme, keys, received_us = source.scheme, source.live_keys(now), _received_us(kept)
    if scheme.greets and scheme.greet(request, keys, verified=False) is not None:
        raise _handshake()
    if source.vendor is not None and (wanted := source.vendor.wants(request, keys)) is not None:
        keys = (*keys, await _served(provider, wanted, source.vendor))
    verified = scheme.verify(request, keys, received_us / 1e6)
    if scheme.greets and scheme.greet(request, (verified.key,), verified=True) is not None:
        raise _handshake()
    return Passing(arrival_of(source, request, kept.headers, received_us), verified.key.shown)


def _handshake() -> Refused:
    return Refused("handshake", "it is a handshake, and those are answered at once or never")


async def _served(provider: KeyProvider, wanted: Wanted, vendor: AsksVendor) -> Key:
    heard = asyncio.Event()
    while (key := provider.get(wanted, vendor, heard.set)) is None:
        await heard.wait()
        heard.clear()
    return key


def _query(kept: Kept) -> str:
    return kept.row.target.partition("?")[2]


def _request(kept: Kept, source: Source, public_url: str | None, raw: list[tuple[bytes, bytes]], query: str) -> Request:
    headers = Headers(raw)
    url = called_url(source.name, query, source.public_url, public_url, kept.row.scheme, headers)
    return Request(kept.row.method, url, headers, kept.body, query.encode("latin-1"), source.scheme.parse)


def _received_us(kept: Kept) -> int:
    return to_us(kept.row.received_at)
