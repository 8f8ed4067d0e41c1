"""A shared secret that is sent along as it is: whoever has seen one request can forge any other.

It stands in a header, alone, behind `Bearer` or in base64 behind `Basic`; in the query; or in each item of the body.
"""

import binascii
import hmac
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic_core import to_json

from receiver.errors import UserError
from receiver.schemes import Key, Refused, Request, Signed, Verified, mismatch
from receiver.schemes.locator import Body, First, Locator, Query, Readable, bytes_of, compile_locator, put, query_names
from receiver.schemes.reader import Reader
from receiver.schemes.secret import make_key

_LONGEST: Final = 4096


class Token(Reader):
    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        if "signature" not in keys:
            raise UserError("the scheme token needs a signature", where, 'set signature = "header:NAME"')
        self._token = compile_locator(keys["signature"], f"{where} signature")
        self.credentials |= frozenset(name.lower().encode() for name in self._token.header_names)
        self.query_credentials |= frozenset(query_names(self._token))
        self.used |= {"signature"}

    def key(self, reference: str, secret: bytes, where: str) -> Key:
        return make_key(reference, secret, "", "utf8", where)

    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified:
        self._refuse_doubled(request.headers, "signature_malformed", self._token, self.id, self.type)
        matching = [self._match(self._token.find(place), keys) for place in self._places(request)]
        if not matching:
            raise Refused("signature_missing", "the batch has no item, and so no token")
        return Verified(matching[0], None)

    def sign(self, body: bytes, key: Key, now: float, *, url: str, id: str | None, type: str | None) -> Signed:
        token, place = key.secret.decode("utf-8", "replace"), _first(self._token)
        headers = list(self._headers_for(body, id, type))
        if isinstance(place, Query):
            return Signed(headers, body, f"{place.name}={token}")
        if isinstance(place, Body):
            payload = self.parse(body)
            for item in self._items_or_whole(payload):
                put(item, place.steps, token)
            return Signed(headers, to_json(payload))
        return Signed([*headers, *place.solve(token, None)], body)

    def _places(self, request: Request) -> Iterable[Readable]:
        """A token in the body stands in each item of a batch, and each has to be right."""
        items = self._items.find(request.payload) if self._items else None
        if items is None or not isinstance(_first(self._token), Body):
            return [request]
        return self._parts(request, items)

    def _match(self, found: Any, keys: Sequence[Key]) -> Key:
        if found is None:
            raise Refused("signature_missing", f"there is no token in {self._place}")
        sent = bytes_of(found)
        if not sent or len(sent) > _LONGEST:
            raise Refused("signature_malformed", f"a token of {len(sent)} bytes")
        forms = list(_forms(sent))
        # Every key against every form: the time taken must not tell which one was right.
        matching = [key for key in keys for form in forms if hmac.compare_digest(key.secret, form)]
        if not matching:
            raise mismatch(keys)
        return matching[0]

    @property
    def _place(self) -> str:
        return " or ".join(self._token.header_names) or "the query or the body"


def _first(place: Locator) -> Locator:
    return place.choices[0] if isinstance(place, First) else place


def _forms(sent: bytes) -> Iterator[bytes]:
    """The token as it is, and what it is where it stands in an Authorization header (RFC 6750, RFC 7617)."""
    yield sent
    word, _, rest = sent.partition(b" ")
    if word.lower() == b"bearer":
        yield rest
    elif word.lower() == b"basic":
        try:
            yield b64decode(rest, validate=True)
        except binascii.Error:
            return
