"""What a request, a key and a scheme are: the words that every scheme shares.

Pure: values in, values out. How one kind of signature is made and checked stands in a file of its own
(`hmac.py`), what a vendor calls things in `presets/`. Secrets are looked up, and sources built, in
`receiver.sources`.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

from pydantic_core import from_json


class Headers:
    """The headers of a request as ASGI gives them: names in lower-case bytes, doubled ones kept apart."""

    __slots__ = ("doubled", "first", "raw")

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        self.raw = raw
        self.first = dict(raw)
        """The first value of each name."""
        self.doubled = len(self.first) < len(raw)
        if self.doubled:
            self.first = dict(reversed(raw))

    def all(self, name: str) -> list[bytes]:
        key = _key(name)
        return [value for one, value in self.raw if one == key]

    def get(self, name: str) -> bytes | None:
        return self.first.get(_key(name))


@lru_cache(maxsize=1024)
def _key(name: str) -> bytes:
    """A configured name as ASGI writes it. Names that strangers send are never looked up."""
    return name.lower().encode()


_HEX = rb"[0-9a-fA-F]{2}"
_PAIR = rb"\\u[dD][89abAB]%b\\u[dD][c-fC-F]%b" % (_HEX, _HEX)
_ESCAPES = re.compile(rb"(\\[^u]|%b)|\\u[dD][89a-fA-F]%b" % (_PAIR, _HEX))
"""Group 1 is kept: any other escape, and a surrogate pair. What is left is half a pair."""


def parse_body(body: bytes) -> Any:
    """The body as JSON; None where it is not strict UTF-8 JSON of at most 200 levels.

    Half a surrogate pair becomes U+FFFD: it is legal, and JavaScript writes it where it cuts a text inside an emoji.
    """
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError:
        whole = _ESCAPES.sub(lambda found: found[1] or rb"\ufffd", body)
    try:
        return from_json(whole, allow_inf_nan=False)
    except ValueError:
        return None


class Request:
    """What is verified and read. A plain class: one is made for every delivery, and a frozen dataclass costs more."""

    __slots__ = ("_parsed", "body", "headers", "method", "url")

    def __init__(self, method: str, url: str, headers: Headers, body: bytes) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self._parsed: tuple[Any] | None = None

    @property
    def payload(self) -> Any:
        """The body as JSON, parsed when first asked for, and once."""
        if self._parsed is None:
            self._parsed = (parse_body(self.body),)
        return self._parsed[0]


@dataclass(frozen=True, slots=True)
class Key:
    """A secret, decoded and ready to use, and where it came from: `env:NAME`, `file:PATH` or `literal:…`."""

    reference: str
    secret: bytes = field(repr=False)
    shown: str = field(init=False, compare=False)
    """For people: the reference and the fingerprint, which tells whether two places hold the same secret."""

    def __post_init__(self) -> None:
        # Once, because each accepted delivery notes which key it was.
        object.__setattr__(self, "shown", f"{self.reference} ({self.fingerprint})")

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.secret).hexdigest()[:8]


class Verified(NamedTuple):
    key: Key
    signed_at: float | None


class Refused(Exception):
    """Why a request is not taken; `detail` is for the operator and never holds the expected signature.

    Codes: signature_missing, signature_malformed, signature_mismatch, id_missing,
    timestamp_missing, timestamp_malformed, timestamp_stale, timestamp_future.
    """

    def __init__(self, code: str, detail: str, claimed_at: float | None = None) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.claimed_at = claimed_at


class Identity(NamedTuple):
    """What the store keys an event by."""

    external_id: str
    type: str
    vendor_id: bool
    """False: the id was made of the bytes, and holds only within the source's window."""
    item: int | None = None
    """Its place in the batch."""


@runtime_checkable
class Scheme(Protocol):
    """How a request is signed, and where in it the event's id, type and data stand.

    A class named in the configuration as `module:Class` is called with the source's keys (preset and
    configuration merged, unset ones left out) and with the place to name in errors: `[sources.acme]`.
    """

    used: frozenset[str]
    """The keys of the configuration that it reads; any other one earns its author a warning."""

    def key(self, reference: str, secret: bytes, where: str) -> Key: ...

    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified: ...

    def identify(self, request: Request) -> list[Identity]: ...

    def echo(self, request: Request) -> bytes | None: ...

    def sign(
        self, body: bytes, key: Key, now: float, *, url: str, id: str | None, type: str | None
    ) -> list[tuple[str, str]]: ...

    def payload(self, body: bytes, item: int | None) -> Any: ...

    def data(self, payload: Any) -> Any: ...

    def occurred_at(self, payload: Any) -> datetime | None: ...
