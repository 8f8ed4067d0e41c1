"""Shared-secret signatures: one scheme with parameters, which is what most vendors use.

The header's grammar stands in `signature.py`, what is signed in `content.py`, the time in `clock.py`, and
what a verified request says in `reader.py`.
"""

import binascii
import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from receiver.errors import UserError
from receiver.schemes import Headers, Key, Refused, Request, Verified, parse_body
from receiver.schemes.clock import Stamp, compile_clock
from receiver.schemes.content import Content
from receiver.schemes.locator import compile_locator
from receiver.schemes.reader import Reader
from receiver.schemes.secret import ENCODINGS, make_key
from receiver.schemes.signature import compile_format

_USED: Final = (
    *("signature", "signature_format", "signature_separator"),
    *("content", "hash", "encoding", "secret_encoding", "secret_prefix", "sample_headers"),
)
_HASHES: Final = ("sha1", "sha256", "sha512")
_NO_KEYS: Final = "no_keys: this source has no secret, so it accepts nothing"


class Hmac(Reader):
    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        if "signature" not in keys:
            raise UserError("the scheme hmac needs a signature", where, 'set signature = "header:NAME"')
        separator = keys.get("signature_separator", ",")
        self._signature = compile_locator(keys["signature"], f"{where} signature")
        self._format = compile_format(keys.get("signature_format", "{signature}"), separator, where)
        self._content = Content(keys.get("content", "{body}"), self.id, f"{where} content")
        self._clock = compile_clock(keys, self._format.timestamp is not None, self._content.words, where)
        self._hash = _choice(keys, "hash", "sha256", _HASHES, where)
        self._hex = _choice(keys, "encoding", "hex", ("hex", "base64"), where) == "hex"
        self._grammar = _grammar(self._hash, self._hex)
        self._secret_prefix = keys.get("secret_prefix", "")
        self._secret_encoding = _choice(keys, "secret_encoding", "utf8", ENCODINGS, where)
        self._sample_headers = tuple(keys.get("sample_headers", {}).items())
        self._once = tuple(self._headers_read())
        self._where = where
        self.used |= {*_USED, *(self._clock.used if self._clock else ())}
        if "url" in self._content.words:
            self.used |= {"public_url"}

    def key(self, reference: str, secret: bytes, where: str) -> Key:
        return make_key(reference, secret, self._secret_prefix, self._secret_encoding, where)

    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified:
        self._refuse_doubled(request.headers)
        in_header, signatures = self._read_signatures(request)
        clock = self._clock
        stamp = clock.read(request, in_header) if clock and not clock.in_signed_body else None
        content = self._content.render(request, stamp.text if stamp else b"")
        key = self._match(content, signatures, keys, stamp)
        if clock is None:
            return Verified(key, None)
        stamp = stamp or clock.read(request, None)
        # Only now, so that nobody but a holder of a secret learns how our clock goes.
        clock.check(stamp.at, now)
        return Verified(key, stamp.at)

    def sign(
        self, body: bytes, key: Key, now: float, *, url: str, id: str | None, type: str | None
    ) -> list[tuple[str, str]]:
        """The headers that the vendor would send; what stands in the body is signed as it is."""
        if not self._signature.header_names:
            raise UserError("signing into a body is not built yet", f"{self._where} signature")
        timestamp = self._clock.write(now) if self._clock else ""
        headers = [*self._sample_headers, *self._headers_for(body, id, type, timestamp)]
        lowered = Headers([(name.lower().encode(), value.encode()) for name, value in headers])
        request = Request("POST", url, lowered, body)
        try:
            stamp = self._clock.read(request, timestamp.encode()) if self._clock else None
            content = self._content.render(request, stamp.text if stamp else b"")
        except Refused as refused:
            raise UserError(f"this cannot be signed: {refused.detail}", self._where) from None
        signature = self._format.write(self._mac(content, key).decode(), timestamp)
        return [*headers, *self._signature.solve(signature, None)]

    def _headers_read(self) -> Iterator[tuple[str, str]]:
        """Each header that decides something, with the code to refuse two of it: which counts is a guess."""
        for reads in (self._signature, self._content, self.id, self.type):
            yield from ((name, "signature_malformed") for name in (reads.header_names if reads else ()))
        if self._clock:
            yield from ((name, "timestamp_malformed") for name in self._clock.header_names)

    def _refuse_doubled(self, headers: Headers) -> None:
        for name, code in self._once if headers.doubled else ():
            if len(headers.all(name)) > 1:
                raise Refused(code, f"the header {name} is there more than once")

    def _read_signatures(self, request: Request) -> tuple[bytes | None, list[bytes]]:
        value = self._signature.find(request)
        if value is None:
            names = " or ".join(self._signature.header_names) or "the body"
            raise Refused("signature_missing", f"there is no signature in {names}")
        timestamp, signatures = self._format.read(value if isinstance(value, bytes) else str(value).encode())
        for signature in signatures:
            if not self._grammar.fullmatch(signature):
                raise Refused("signature_malformed", f"{signature!r:.60} is no {self._hash} signature")
        return timestamp, [signature.lower() for signature in signatures] if self._hex else signatures

    def _match(self, content: bytes, signatures: list[bytes], keys: Sequence[Key], stamp: Stamp | None) -> Key:
        matching: list[Key] = []
        for key in keys:
            expected = self._mac(content, key)
            # Every key against every signature: the time taken must not tell which one was right.
            matching += [key for signature in signatures if hmac.compare_digest(expected, signature)]
        if matching:
            return matching[0]
        detail = f"signed with none of {', '.join(key.shown for key in keys)}"
        raise Refused("signature_mismatch", detail if keys else _NO_KEYS, stamp.at if stamp else None)

    def _mac(self, content: bytes, key: Key) -> bytes:
        digest = hmac.digest(key.secret, content, self._hash)
        return binascii.hexlify(digest) if self._hex else b64encode(digest)

    def _headers_for(self, body: bytes, id: str | None, type: str | None, timestamp: str) -> Iterator[tuple[str, str]]:
        payload = parse_body(body)
        time = self._clock.locator if self._clock else None
        wanted = (("id", self.id, id), ("type", self.type, type), ("timestamp", time, timestamp))
        for what, locator, text in wanted:
            if locator is None or not locator.header_names or not text:
                continue
            headers = locator.solve(text, payload)
            if not headers:
                raise UserError(f"the {what} {text!r} does not fit the body", f"{self._where} {what}")
            yield from headers


def _choice(keys: Mapping[str, Any], name: str, default: str, known: Collection[str], where: str) -> str:
    value: str = keys.get(name, default)
    if value not in known:
        raise UserError(f"{value!r} is no {name}", f"{where} {name}", f"write one of {', '.join(known)}")
    return value


def _grammar(hash: str, in_hex: bool) -> re.Pattern[bytes]:
    """What a signature may look like: texts are compared, because decoders are lax."""
    size = hashlib.new(hash).digest_size
    if in_hex:
        return re.compile(rb"[0-9a-fA-F]{%d}" % (2 * size))
    return re.compile(rb"[A-Za-z0-9+/]{%d}={%d}" % ((size * 8 + 5) // 6, -size % 3))
