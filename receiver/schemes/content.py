"""The bytes that a signature covers, put together by a template such as `{timestamp}.{body}`."""

import re
from collections.abc import Callable
from typing import Final

from receiver.errors import UserError
from receiver.schemes import Refused, Request
from receiver.schemes.locator import Locator, compile_locator, text_of

Piece = Callable[[Request, bytes], bytes]

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SIMPLE: Final[dict[str, Piece]] = {
    "body": lambda request, timestamp: request.body,
    "timestamp": lambda request, timestamp: timestamp,
    "url": lambda request, timestamp: request.url.encode(),
    "method": lambda request, timestamp: request.method.encode(),
}
_WORDS = "{timestamp} {body} {id} {url} {method} {header:NAME} {body:PATH}"


class Content:
    def __init__(self, text: str, id: Locator | None, where: str) -> None:
        pieces = _PLACEHOLDER.split(text)
        self.words = frozenset(pieces[1::2])
        self.header_names = tuple(word[7:] for word in pieces[1::2] if word.startswith("header:"))
        self._pieces = [
            _piece(piece, id, where) if odd % 2 else _literal(piece)
            for odd, piece in enumerate(pieces)
            if piece or odd % 2
        ]

    def render(self, request: Request, timestamp: bytes) -> bytes:
        return b"".join([piece(request, timestamp) for piece in self._pieces])


def _literal(text: str) -> Piece:
    content = text.encode()
    return lambda request, timestamp: content


def _piece(word: str, id: Locator | None, where: str) -> Piece:
    if word in _SIMPLE:
        return _SIMPLE[word]
    if word == "id" and id is not None:
        return _found(id, "id_missing", "the id, which is signed, is missing")
    if word.startswith("header:"):
        detail = f"the header {word[7:]}, which is signed, is missing"
        return _found(compile_locator(word, where), "signature_missing", detail)
    if word.startswith("body:"):
        return _found(compile_locator(word, where), "signature_missing", f"{word}, which is signed, is missing")
    if word == "id":
        raise UserError("{id} needs an id", where, 'set id, such as "header:X-Acme-Id"')
    raise UserError(f"{{{word}}} is nothing that a signature can cover", where, f"write any of {_WORDS}")


def _found(locator: Locator, code: str, detail: str) -> Piece:
    def piece(request: Request, timestamp: bytes) -> bytes:
        value = locator.find(request)
        text = value if isinstance(value, bytes) else (text_of(value) or "").encode()
        if not text:
            raise Refused(code, detail)
        return text

    return piece
