"""What a verified request says: the ids and types of its events, its payload, its data, when it happened.

The same for every scheme, so a scheme's class derives from `Reader` and adds `key`, `verify` and `sign`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from receiver.errors import UserError
from receiver.schemes import Headers, Identity, Request, parse_body
from receiver.schemes.locator import (
    Locator,
    Part,
    Readable,
    compile_items,
    compile_key,
    compile_locator,
    text_of,
)
from receiver.schemes.timestamp import moment

_NO_HEADERS = Headers([])
_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Echo:
    """A signed request of this type is a handshake, answered with what stands there."""

    type: str
    answer: Locator


class Reader:
    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        self.used = frozenset({"id", "type", "data", "items", "occurred_at", "echo"})
        self.id = compile_key(keys, "id", where)
        self.type = compile_key(keys, "type", where)
        self._data = compile_key(keys, "data", where) or compile_locator("body:", where)
        self._items = compile_items(keys["items"], f"{where} items") if "items" in keys else None
        self._occurred_at = compile_key(keys, "occurred_at", where)
        self._echo = _echo(keys["echo"], where) if "echo" in keys else None

    def identify(self, request: Request) -> list[Identity]:
        """One event, or one for each item of a batch: an empty batch has none, what is no batch has one."""
        items = self._items_in(request)
        if items is None:
            return [self._identity(request, None)]
        return [self._identity(Part(request.headers, item), number) for number, item in enumerate(items)]

    def echo(self, request: Request) -> bytes | None:
        """The answer's body where a signed request is a handshake and no event."""
        if self._echo is None or self._type_of(request) != self._echo.type:
            return None
        answer = text_of(self._echo.answer.find(request))
        return None if answer is None else answer.encode()

    def payload(self, body: bytes, item: int | None) -> Any:
        """The whole body, or a batch's item, as JSON; None where the body is something else."""
        source = Part(_NO_HEADERS, parse_body(body))
        if item is None:
            return source.payload
        items = self._items_in(source) or []
        return items[item] if item < len(items) else None

    def data(self, payload: Any) -> Any:
        return self._data.find(Part(_NO_HEADERS, payload))

    def occurred_at(self, payload: Any) -> datetime | None:
        if self._occurred_at is None:
            return None
        return moment(self._occurred_at.find(Part(_NO_HEADERS, payload)))

    def _items_in(self, source: Readable) -> list[Any] | None:
        items = self._items.find(source) if self._items else None
        return items if isinstance(items, list) else None

    def _identity(self, source: Request | Part, item: int | None) -> Identity:
        vendor_id = _printable(self.id.find(source)) if self.id else None
        external_id = vendor_id or f"sha256:{_digest(source)}"
        return Identity(external_id, self._type_of(source), vendor_id is not None, item)

    def _type_of(self, source: Readable) -> str:
        return (_printable(self.type.find(source)) if self.type else None) or "unknown"


def _echo(echo: Mapping[str, Any], where: str) -> Echo:
    if echo.keys() != {"type", "answer"}:
        fix = 'write echo = {type = "url_verification", answer = "body:challenge"}'
        raise UserError("a handshake needs type and answer, and nothing else", f"{where} echo", fix)
    return Echo(echo["type"], compile_locator(echo["answer"], f"{where} echo.answer"))


def _printable(value: Any) -> str | None:
    text = text_of(value)
    if not text or len(text) > _LONGEST or "\ufffd" in text:  # that stands for what is lost: two ids would be one
        return None
    return text if text.isprintable() else None


def _digest(source: Request | Part) -> str:
    content = source.body if isinstance(source, Request) else to_json(source.payload)
    return hashlib.sha256(content).hexdigest()
