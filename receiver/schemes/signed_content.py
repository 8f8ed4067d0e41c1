"""Signatures of a request's content, whatever makes them: where they stand, what they cover, how old they may be.

The header's grammar stands in `signature.py`, what is signed in `content.py`, the time in `clock.py`, and what a
verified request says in `reader.py`. What makes a signature right is for the classes that derive from this one.
"""

import hashlib
import re
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Final

from pydantic_core import to_json

from receiver.errors import UserError
from receiver.schemes import Headers, Key, Refused, Request, Signed, Verified
from receiver.schemes.clock import Stamp, compile_clock
from receiver.schemes.content import Content
from receiver.schemes.locator import Body, Locator, Readable, bytes_of, compile_key, compile_locator, follow, put
from receiver.schemes.reader import Reader
from receiver.schemes.signature import compile_format

_USED: Final = (
    *("signature", "signature_format", "signature_separator", "every_signature"),
    *("content", "encoding", "nonce"),
)
_NONCE_LENGTH: Final = 50


class SignedContent(Reader):
    name: ClassVar[str]
    """What the scheme is called in the configuration."""
    _what: str
    """What a signature is called, for people."""
    _grammar: re.Pattern[bytes]
    """What one looks like: decoders are lax."""

    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        if "signature" not in keys:
            raise UserError(f"the scheme {self.name} needs a signature", where, 'set signature = "header:NAME"')
        separator = keys.get("signature_separator", ",")
        self._signature = compile_locator(keys["signature"], f"{where} signature")
        self._signatures = _each(keys, where) if keys.get("every_signature") else (self._signature,)
        self._format = compile_format(keys.get("signature_format", "{signature}"), separator, where)
        self._content = Content(keys.get("content", "{body}"), self.id, f"{where} content")
        self._clock = compile_clock(keys, self._format.timestamp is not None, self._content.words, where)
        self._hex = choice(keys, "encoding", "hex", ("hex", "base64"), where) == "hex"
        self._time = self._clock.locator if self._clock else None
        self._nonce = compile_key(keys, "nonce", where)
        self.signs_body = self._nonce is None
        self.used |= {*_USED, *(self._clock.used if self._clock else ())}
        if "url" in self._content.words:
            self.used |= {"public_url"}

    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified:
        if request.headers.doubled:
            self._refuse_doubled(
                request.headers, "signature_malformed", self._signature, self._content, self.id, self.type
            )
            self._refuse_doubled(request.headers, "timestamp_malformed", self._time)
        in_header, signatures = self._read_signatures(request)
        clock = self._clock
        stamp = clock.read(request, in_header) if clock and not clock.in_signed_body else None
        content = self._covered(request, stamp.text if stamp else b"")
        key = self._match(content, signatures, keys, stamp)
        self._handshakes.refuse_given_away(content)
        nonce = bytes_of(self._nonce.find(request)) if self._nonce else None
        if clock is None:
            return Verified(key, None, nonce)
        stamp = stamp or clock.read(request, None)
        # Only now, so that nobody but a holder of a secret learns how our clock goes.
        clock.check(stamp.at, now)
        return Verified(key, stamp.at, nonce)

    def sign(self, body: bytes, key: Key, now: float, *, url: str, id: str | None, type: str | None) -> Signed:
        """The headers that the vendor would send; and the body, where it signs into that."""
        timestamp = self._clock.write(now) if self._clock else ""
        into_body = isinstance(self._signatures[0], Body)
        # As good as chance: other bytes or another time make another one.
        nonce = hashlib.sha256(body + timestamp.encode()).hexdigest()[:_NONCE_LENGTH]
        body = self._put(self._put(body, self._time, timestamp), self._nonce, nonce)
        headers = [*self._headers_for(body, id, type), *self._solved("timestamp", self._time, timestamp, body)]
        lowered = Headers([(name.lower().encode(), value.encode()) for name, value in headers])
        request = Request("POST", url, lowered, body)
        try:
            stamp = self._clock.read(request, timestamp.encode()) if self._clock else None
            content = self._covered(request, stamp.text if stamp else b"")
        except Refused as refused:
            raise UserError(f"this cannot be signed: {refused.detail}", self._where) from None
        signature = self._format.write(self._make(content, key).decode(), timestamp)
        if into_body:
            return Signed(headers, self._put(body, self._signatures[0], signature))
        return Signed([*headers, *self._signature.solve(signature, None)], body)

    def _covered(self, request: Request, timestamp: bytes) -> bytes:
        """The bytes that are signed. Errors: Refused."""
        return self._content.render(request, timestamp)

    def _put(self, body: bytes, place: Locator | None, text: str) -> bytes:
        """The body with the text in it, if that is where its place is."""
        if not isinstance(place, Body):
            return body
        payload = self.parse(body)
        # A number stays one, as which some vendors write their times.
        new = int(text) if type(follow(payload, place.steps)) is int else text
        if not put(payload, place.steps, new):
            raise UserError("the body has no place for its signature or its time", self._where)
        return to_json(payload)

    def _read_signatures(self, request: Readable) -> tuple[bytes | None, list[bytes]]:
        values = [value for place in self._signatures if (value := place.find(request)) is not None]
        if not values:
            names = " or ".join(self._signature.header_names) or "the body"
            raise Refused("signature_missing", f"there is no signature in {names}")
        timestamp, signatures = self._format.read(bytes_of(values[0]))
        for value in values[1:]:
            signatures += self._format.read(bytes_of(value))[1]
        for signature in signatures:
            if not self._grammar.fullmatch(signature):
                raise Refused("signature_malformed", f"{signature!r:.60} is no {self._what} signature")
        return timestamp, [signature.lower() for signature in signatures] if self._hex else signatures

    @abstractmethod
    def _match(self, content: bytes, signatures: list[bytes], keys: Sequence[Key], stamp: Stamp | None) -> Key:
        """The key that made one of the signatures. Errors: Refused."""

    @abstractmethod
    def _make(self, content: bytes, key: Key) -> bytes:
        """A signature as it is sent."""


def _each(keys: Mapping[str, Any], where: str) -> tuple[Locator, ...]:
    """The places of a vendor who sends a header for each of its secrets."""
    places = [keys["signature"]] if isinstance(keys["signature"], str) else keys["signature"]
    if "{timestamp}" in keys.get("signature_format", ""):
        fix = "leave every_signature out, or set timestamp"
        raise UserError("several signatures could hold several timestamps", f"{where} every_signature", fix)
    return tuple(compile_locator(place, f"{where} signature") for place in places)


def choice(keys: Mapping[str, Any], name: str, default: str, known: Collection[str], where: str) -> str:
    value: str = keys.get(name, default)
    if value not in known:
        raise UserError(f"{value!r} is no {name}", f"{where} {name}", f"write one of {', '.join(known)}")
    return value
