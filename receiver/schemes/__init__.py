"""What a request, a key and a scheme are: the words that every scheme shares.

Pure: values in, values out. How one kind of signature is made and checked stands in a file of its own
(`hmac.py`), what a vendor calls things in `presets/`. Secrets are looked up, and sources built, in
`receiver.sources`.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable
from urllib.parse import parse_qsl

from pydantic_core import from_json

_MOST_FIELDS = 1000


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


def parse_fields(text: bytes) -> dict[str, str]:
    """The fields of a query or a form, the first of each name: none if there are more than a thousand.

    What is no UTF-8 becomes U+FFFD.
    """
    try:
        pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True, errors="replace", max_num_fields=_MOST_FIELDS)
    except ValueError:
        return {}
    return dict(reversed(pairs))


class Request:
    """What is verified and read. A plain class: one is made for every delivery, and a frozen dataclass costs more."""

    __slots__ = ("_parse", "_parsed", "body", "headers", "method", "query", "url")

    def __init__(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: bytes,
        query: bytes = b"",
        parse: Callable[[bytes], Any] = parse_body,
    ) -> None:
        """`url` is the whole address that the vendor called, `query` what stands behind its question mark."""
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.query = query
        self._parse = parse
        self._parsed: tuple[Any] | None = None

    @property
    def payload(self) -> Any:
        """The body as data, parsed when first asked for, and once."""
        if self._parsed is None:
            self._parsed = (self._parse(self.body),)
        return self._parsed[0]

    @property
    def delivery(self) -> Any:
        """The whole body, also where `payload` is an item of a batch."""
        return self.payload


@dataclass(frozen=True, slots=True)
class Key:
    """A secret, decoded and ready to use, and where it came from: `env:NAME`, `file:PATH` or `literal:…`."""

    reference: str
    secret: bytes = field(repr=False)
    not_after: float | None = None
    """From then on it verifies nothing any more: epoch seconds."""
    name: str | None = None
    """What requests call it, a key id or an address; without one it may have signed any request."""
    is_anchor: bool = False
    """It signs no request: certificates have to lead to it."""
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
    nonce: bytes | None = None
    """What the sender may use for one body only, where the signature does not cover the body."""


class Reply(NamedTuple):
    """The answer to a handshake."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"text/plain"),)
    call: str | None = None
    """An address that has to be fetched for the handshake to count, which the scheme found to be the vendor's own."""
    offers_secret: bool = False
    """The request holds what is to become the source's secret: the operator needs to see it."""


class Signed(NamedTuple):
    """What a vendor would send: headers to add, and where the signature stands in the body or the query, these too."""

    headers: list[tuple[str, str]]
    body: bytes
    query: str = ""


class Refused(Exception):
    """Why a request is not taken; `detail` is for the operator and never holds the expected signature.

    Codes: signature_missing, signature_malformed, signature_mismatch, id_missing,
    timestamp_missing, timestamp_malformed, timestamp_stale, timestamp_future, nonce_reused;
    of a handshake handshake_refused and handshake_malformed.
    """

    def __init__(self, code: str, detail: str, claimed_at: float | None = None) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.claimed_at = claimed_at


def mismatch(keys: Sequence[Key], claimed_at: float | None = None) -> Refused:
    """What a scheme says where none of the keys fits."""
    if not keys:
        detail = "no_keys: this source has no valid secret, so it accepts nothing"
    else:
        detail = f"signed with none of {', '.join(key.shown for key in keys)}"
    return Refused("signature_mismatch", detail, claimed_at)


class Identity(NamedTuple):
    """What the store keys an event by."""

    external_id: str
    type: str
    vendor_id: bool
    """False: the id was made of the bytes, and holds only within the source's window."""
    item: int | None = None
    """Its place in the batch."""
    item_sha256: bytes | None = None
    """Of the item as JSON."""


@runtime_checkable
class Scheme(Protocol):
    """How a request is signed, and where in it the event's id, type and data stand.

    A class named in the configuration as `module:Class` is called with the source's keys (preset and
    configuration merged, unset ones left out) and with the place to name in errors: `[sources.acme]`.
    """

    used: frozenset[str]
    """The keys of the configuration that it reads; any other one earns its author a warning."""

    greets: frozenset[str]
    """The methods with which handshakes come."""
    signs_body: bool
    """False: whoever saw one request can send its signature with another body, so each is good for one only."""
    credentials: frozenset[bytes]
    """Headers, in lower case, that hold a secret itself and no signature: they are not kept."""
    query_credentials: frozenset[str]
    """Fields of the query that do."""

    def key(self, reference: str, secret: bytes, where: str) -> Key: ...

    def greet(self, request: Request, keys: Sequence[Key], *, verified: bool) -> Reply | None:
        """The answer, if this is a handshake: asked before it is verified and, of a POST, again after."""

    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified: ...

    def parse(self, body: bytes) -> Any: ...

    def identify(self, request: Request) -> list[Identity]: ...

    def sign(self, body: bytes, key: Key, now: float, *, url: str, id: str | None, type: str | None) -> Signed: ...

    def payload(self, body: bytes, item: int | None) -> Any: ...

    def data(self, payload: Any) -> Any: ...

    def occurred_at(self, payload: Any) -> datetime | None: ...


class Wanted(NamedTuple):
    """A key that its vendor serves, as a request names it. The address is the vendor's own: the scheme has looked."""

    name: str
    url: str
    post: bytes | None = None
    """JSON to ask with; None where the address alone says it."""


@runtime_checkable
class AsksVendor(Protocol):
    """A scheme that can do with keys that its vendor serves. Asking itself is `receiver.key_provider`'s business."""

    asks_alone: bool
    """Whether it does where the source has no key at all; else it needs credentials for that."""

    def wants(self, request: Request, keys: Sequence[Key]) -> Wanted | None:
        """The key to ask for; None where there are keys of the source's own. Errors: Refused."""

    def served(self, wanted: Wanted, document: bytes) -> Mapping[str, bytes]:
        """The keys in what the vendor answered, by name. Errors: ValueError."""

    def key(self, reference: str, secret: bytes, where: str) -> Key: ...


@runtime_checkable
class TrustsAnchors(Protocol):
    """A scheme whose keys come in certificates."""

    def anchor(self, reference: str, certificates: bytes, where: str) -> Key: ...
