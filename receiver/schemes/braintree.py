"""Braintree posts a form: XML in base64, and beside it signatures of that, each with the public key of its pair.

https://developer.paypal.com/braintree/docs/guides/webhooks/parse. Its GET is a handshake, which the preset describes.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from hashlib import sha1
from typing import Any, Final
from urllib.parse import urlencode

from receiver.errors import UserError
from receiver.schemes import Key, Refused, Request, Signed, Verified, mismatch, parse_fields
from receiver.schemes.form import only_field, read_form
from receiver.schemes.hmac import Hmac
from receiver.schemes.secret import make_key
from receiver.schemes.xml_payload import parse_xml

_PAYLOAD: Final = re.compile(r"[A-Za-z0-9+=/\n]+")
_MOST_PAIRS: Final = 16


class Braintree(Hmac):
    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__({"signature": "body:bt_signature", "hash": "sha1", **keys}, where)
        self._public_key_id: str | None = keys.get("public_key_id")
        self.used = (self.used | {"public_key_id"}) - {"signature", "hash", "content"}

    def key(self, reference: str, secret: bytes, where: str) -> Key:
        """What signs is the private key's hash, here and in the handshake."""
        private = make_key(reference, secret, "", "utf8", where)
        return Key(private.reference, sha1(private.secret, usedforsecurity=False).digest())

    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified:
        fields = read_form(request.body)
        signatures = self._signatures_in(only_field(fields, "bt_signature"))
        payload = only_field(fields, "bt_payload") or ""
        if not _PAYLOAD.fullmatch(payload):
            raise Refused("signature_malformed", "bt_payload is not base64")
        # On its way through forms the last line feed gets lost.
        for content in (payload.encode(), payload.encode() + b"\n"):
            if fitting := self._fitting(content, signatures, keys):
                self._handshakes.refuse_given_away(content)
                return Verified(fitting[0], None)
        raise mismatch(keys)

    def parse(self, body: bytes) -> Any:
        """The notification that stands in the payload."""
        try:
            xml = b64decode(parse_fields(body).get("bt_payload", "").replace("\n", ""), validate=True)
        except (binascii.Error, ValueError):
            return None
        return parse_xml(xml)

    def sign(self, body: bytes, key: Key, now: float, *, url: str, id: str | None, type: str | None) -> Signed:
        payload = parse_fields(body).get("bt_payload")
        if payload is None:
            raise UserError("the body has no bt_payload", self._where)
        pair = f"{self._public_key_id or 'public_key'}|{self._make(payload.encode(), key).decode()}"
        form = urlencode({"bt_signature": pair, "bt_payload": payload}).encode()
        return Signed(list(self._headers_for(body, id, type)), form)

    def _signatures_in(self, text: str | None) -> list[bytes]:
        """Those of the configured public key; without one, any of them may fit."""
        if not text:
            raise Refused("signature_missing", "there is no bt_signature in the form")
        pairs = [pair.split("|") for pair in text.split("&")]
        if len(pairs) > _MOST_PAIRS or any(len(pair) != 2 for pair in pairs):
            raise Refused("signature_malformed", f"{text!r:.80} is not made of pairs")
        signatures = [value.encode() for name, value in pairs if self._public_key_id in (None, name)]
        if not signatures:
            names = ", ".join(name for name, _ in pairs)
            raise Refused("signature_mismatch", f"signed with {names:.80}, and not with {self._public_key_id}")
        if not all(self._grammar.fullmatch(signature) for signature in signatures):
            raise Refused("signature_malformed", f"{text!r:.80} is no {self._what} signature")
        return [signature.lower() for signature in signatures]
