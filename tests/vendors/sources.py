"""A preset as the receiver has it: the source built of a configuration, and what becomes of a request to it.

The steps are those of `receiver.ingest`, without a socket and a store, and with a clock that is given.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from json import dumps, loads
from typing import Any, NamedTuple

from receiver.schemes import Headers, Refused, Reply, Request, Signed
from receiver.settings import Settings
from receiver.sources import Source, build_source

PUBLIC_URL = "https://hooks.example.com/webhooks/"


class Outcome(NamedTuple):
    verdict: str
    """`accepted`, `answered` or the code of a refusal."""
    ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    reply: Reply | None = None


def source_of(preset: str, keys: Mapping[str, Any]) -> Source:
    """The source called like its preset, with these keys of `[sources.NAME]`."""
    return _built(preset, dumps(keys))


@lru_cache(maxsize=256)
def _built(preset: str, keys: str) -> Source:
    return build_source(preset, Settings.model_validate({"sources": {preset: {"preset": preset, **loads(keys)}}}))


def url_of(source: Source, query: str = "") -> str:
    base = source.public_url or PUBLIC_URL + source.name
    return f"{base}?{query}" if query else base


def request_of(
    source: Source, headers: Iterable[tuple[str, str]], body: bytes, *, method: str = "POST", query: str = ""
) -> Request:
    """A character of a header is a byte."""
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return Request(method, url_of(source, query), Headers(raw), body, query.encode("latin-1"), source.scheme.parse)


def received(source: Source, request: Request, now: float) -> Outcome:
    scheme = source.scheme
    keys = tuple(key for key in source.keys if key.not_after is None or now < key.not_after)
    try:
        reply = scheme.greet(request, keys, verified=False) if scheme.greets else None
        if reply is None:
            verified = scheme.verify(request, keys, now)
            reply = scheme.greet(request, (verified.key,), verified=True) if scheme.greets else None
    except Refused as refused:
        return Outcome(refused.code)
    if reply is not None:
        return Outcome("answered", reply=reply)
    events = scheme.identify(request)
    return Outcome("accepted", tuple(one.external_id for one in events), tuple(one.type for one in events))


def sent(source: Source, body: bytes, now: float, *, id: str | None = None, type: str | None = None) -> Signed:
    """What `postern send` would post, signed with the newest key."""
    return source.scheme.sign(body, source.keys[0], now, url=url_of(source), id=id, type=type)
