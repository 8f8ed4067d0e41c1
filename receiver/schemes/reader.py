"""What a verified request says: the ids and types of its events, its payload, its data, when it happened.

The same for every scheme, so a scheme's class derives from `Reader` and adds `key`, `verify` and `sign`. Handshakes
stand in `handshake.py`.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from pydantic_core import to_json

from receiver.errors import UserError
from receiver.schemes import Headers, Identity, Key, Refused, Reply, Request, parse_body, parse_fields
from receiver.schemes.handshake import compile_handshakes
from receiver.schemes.locator import (
    First,
    Locator,
    Part,
    Readable,
    ReadsHeaders,
    compile_items,
    compile_key,
    compile_locator,
    text_of,
)
from receiver.schemes.timestamp import moment

_NO_HEADERS = Headers([])
_LONGEST = 255
_USED = ("id", "type", "data", "items", "occurred_at", "body_format", "handshakes", "sample_headers")
MOST_ITEMS: Final = 10_000
"""In one delivery: their events go in in one transaction, and all others wait for it meanwhile."""


class Reader:
    signs_body: bool = True
    credentials: frozenset[bytes] = frozenset()
    query_credentials: frozenset[str] = frozenset()

    needs: ClassVar[tuple[str, ...]] = ()
    """Keys of the configuration that say whom it trusts: whatever signs, signs for strangers too."""

    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        self.used = frozenset(_USED)
        self.id = compile_key(keys, "id", where)
        self.type = compile_key(keys, "type", where)
        self._data = compile_key(keys, "data", where) or compile_locator("body:", where)
        self._items = compile_items(keys["items"], f"{where} items") if "items" in keys else None
        self._occurred_at = compile_key(keys, "occurred_at", where)
        self._or_else = _format(keys.get("body_format", "json"), where)
        self._sample_headers = tuple(keys.get("sample_headers", {}).items())
        self._where = where
        self._handshakes = compile_handshakes(keys, where)
        self.greets = self._handshakes.methods
        self.credentials |= self._handshakes.credentials
        self.query_credentials |= self._handshakes.query_credentials
        self.used |= self._handshakes.used | {*self.needs}
        self.lacks = tuple(name for name in self.needs if not keys.get(name))
        """Keys without which it accepts nothing."""
        self.lacks_for_handshakes = tuple(sorted(self._handshakes.used - keys.keys()))

    def greet(self, request: Request, keys: Sequence[Key], *, verified: bool) -> Reply | None:
        return self._handshakes.greet(request, keys, verified=verified)

    def parse(self, body: bytes) -> Any:
        """The body as data; None where it is none. A form becomes an object of its fields, JSON lines become a list."""
        payload = parse_body(body)
        return self._or_else(body) if payload is None and self._or_else else payload

    def identify(self, request: Request) -> list[Identity]:
        """One event, or one for each item of a batch: an empty batch has none, what is no batch has one.

        An id in a header is the whole request's, so what has one is no batch, whatever list its body is.
        One of more than `MOST_ITEMS` is a single event, known by its bytes.
        """
        items = self._items.find(request.payload) if self._items and not self._has_id_header(request) else None
        if items is None:
            return [self._identity(request, None, request.body)]
        if len(items) > MOST_ITEMS:
            return [Identity(_id_of(request.body), self._type_of(request), vendor_id=False)]
        parts = self._parts(request, items)
        return [self._identity(part, number, to_json(part.payload)) for number, part in enumerate(parts)]

    def payload(self, body: bytes, item: int | None) -> Any:
        """The whole body, or a batch's item, as JSON; None where the body is something else."""
        payload = self.parse(body)
        if item is None:
            return payload
        items = (self._items.find(payload) if self._items else None) or []
        return items[item] if item < len(items) else None

    def data(self, payload: Any) -> Any:
        return self._data.find(Part(_NO_HEADERS, payload))

    def occurred_at(self, payload: Any) -> datetime | None:
        if self._occurred_at is None:
            return None
        return moment(self._occurred_at.find(Part(_NO_HEADERS, payload)))

    def _refuse_lacking(self) -> None:
        if self.lacks:
            detail = f"no_{self.lacks[0]}: nothing is accepted until {self._where} says {' and '.join(self.lacks)}"
            raise Refused("signature_mismatch", detail)

    def _refuse_doubled(self, headers: Headers, code: str, *places: ReadsHeaders | None) -> None:
        """Where a header that decides something is there twice, which one counts is a guess."""
        for name in {name for place in places if place for name in place.header_names} if headers.doubled else ():
            if len(headers.all(name)) > 1:
                raise Refused(code, f"the header {name} is there more than once")

    def _headers_for(self, body: bytes, id: str | None, type: str | None) -> Iterator[tuple[str, str]]:
        """What a vendor's request has besides its signature: what it always has, and its id and type."""
        yield from self._sample_headers
        if self._items is None or self._items.find(self.parse(body)) is None:  # each item has its own
            yield from self._solved("id", self.id, id, body)
            yield from self._solved("type", self.type, type, body)

    def _solved(self, what: str, place: Locator | None, text: str | None, body: bytes) -> Iterator[tuple[str, str]]:
        if place is None or not place.header_names or not text:
            return
        payload = self.parse(body)
        headers = place.solve(text, payload)
        if not headers and not _is_in_body(place, payload):
            raise UserError(f"the {what} {text!r} does not fit the body", f"{self._where} {what}")
        yield from headers

    def _parts(self, request: Request, items: list[Any]) -> Iterator[Part]:
        """One by one: where the first one's signature is wrong, none is made of the others."""
        return (Part(request.headers, item, request.delivery, request.query) for item in items)

    def _items_or_whole(self, payload: Any) -> list[Any]:
        """What is signed by itself."""
        return (self._items.find(payload) if self._items else None) or [payload]

    def _has_id_header(self, request: Request) -> bool:
        return self.id is not None and any(request.headers.get(name) for name in self.id.header_names)

    def _identity(self, source: Readable, item: int | None, content: bytes) -> Identity:
        vendor_id = _printable(self.id.find(source)) if self.id else None
        external_id = vendor_id or _id_of(content)
        item_sha256 = None if item is None else hashlib.sha256(content).digest()
        return Identity(external_id, self._type_of(source), vendor_id is not None, item, item_sha256)

    def _type_of(self, source: Readable) -> str:
        return (_printable(self.type.find(source)) if self.type else None) or "unknown"


def _id_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _is_in_body(place: Locator, payload: Any) -> bool:
    """Whether one of its choices finds something there, without a header."""
    choices = place.choices if isinstance(place, First) else (place,)
    return any(not one.header_names and one.find(Part(_NO_HEADERS, payload)) is not None for one in choices)


def _format(text: str, where: str) -> Callable[[bytes], Any] | None:
    """How a body is read that is not JSON."""
    if text not in _FORMATS:
        raise UserError(f"{text!r} is no body_format", f"{where} body_format", f"write one of {', '.join(_FORMATS)}")
    return _FORMATS[text]


def _parse_lines(body: bytes) -> list[Any] | None:
    lines = [parse_body(line) for line in body.split(b"\n") if line.strip()]
    return None if None in lines else lines or None


_FORMATS: Final = {"json": None, "form": parse_fields, "lines": _parse_lines}


def _printable(value: Any) -> str | None:
    text = text_of(value)
    if not text or len(text) > _LONGEST or "\ufffd" in text:  # that stands for what is lost: two ids would be one
        return None
    return text if text.isprintable() else None
