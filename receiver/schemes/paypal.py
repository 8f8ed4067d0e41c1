"""PayPal: RSA over the transmission's id and time, the webhook's id and a checksum of the body.

The checksum is CRC-32, which anybody can make any body have: so within the tolerance a transmission's id counts for one
body only.
"""

import hashlib
import re
import uuid
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.hazmat.primitives import hashes

from receiver.errors import UserError
from receiver.schemes import Key, Refused, Request, Signed, Verified
from receiver.schemes.certified import Certified
from receiver.schemes.clock import Clock
from receiver.schemes.locator import compile_locator

_ID: Final = "PAYPAL-TRANSMISSION-ID"
_TIME: Final = "PAYPAL-TRANSMISSION-TIME"
_SIGNATURE: Final = "PAYPAL-TRANSMISSION-SIG"
_ADDRESS: Final = "PAYPAL-CERT-URL"
_ALGORITHM: Final = "PAYPAL-AUTH-ALGO"
_SHA256: Final = "SHA256withRSA"  # PayPal's own library takes SHA-1 as well
_EXAMPLE: Final = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-of-your-own"


class PayPal(Certified):
    addresses = re.compile(
        r"https://api(?:-m)?(?:\.sandbox)?\.paypal\.com/v1/notifications/certs/[A-Za-z0-9_-]{1,128}", re.ASCII
    )
    domain = "paypal.com"
    needs = ("webhook_id",)
    signs_body = False  # a checksum that anyone can make fit

    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        self._webhook_id = keys.get("webhook_id", "")
        time = compile_locator(f"header:{_TIME}", where)
        self._clock = Clock(time, "iso", keys.get("tolerance_s", 300), in_signed_body=False)
        self._decisive = [compile_locator(f"header:{name}", where) for name in (_ID, _SIGNATURE, _ADDRESS, _ALGORITHM)]

    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified:
        self._refuse_doubled(request.headers, "signature_malformed", *self._decisive)
        self._refuse_doubled(request.headers, "timestamp_malformed", self._clock)
        self._refuse_lacking()
        signature, transmission = _text(request, _SIGNATURE), _text(request, _ID)
        if _text(request, _ALGORITHM, _SHA256) != _SHA256:
            raise Refused("signature_malformed", f"the algorithm is not {_SHA256}")
        stamp = self._clock.read(request, None)
        content = _content(transmission, stamp.text.decode(), self._webhook_id, request.body)
        key = self._signer(self._address(request), signature, content, hashes.SHA256(), keys, now)
        self._clock.check(stamp.at, now)
        return Verified(key, stamp.at, transmission.encode())

    def sign(self, body: bytes, key: Key, now: float, *, url: str, id: str | None, type: str | None) -> Signed:
        if self.lacks:
            raise UserError("PayPal signs the webhook's id", f"{self._where} webhook_id", 'set webhook_id = "…"')
        time = self._clock.write(now)
        transmission = str(uuid.UUID(bytes=hashlib.sha256(time.encode() + body).digest()[:16]))
        content = _content(transmission, time, self._webhook_id, body)
        signature = b64encode(self._signed_by(key, content)).decode()
        headers: list[tuple[str, str]] = [
            (_ID, transmission), (_TIME, time), (_SIGNATURE, signature),
            (_ADDRESS, key.name or _EXAMPLE), (_ALGORITHM, _SHA256),
        ]  # fmt: skip
        return Signed([*self._headers_for(body, id, type), *headers], body)

    def _address(self, request: Request) -> str:
        return _text(request, _ADDRESS)


def _content(transmission: str, time: str, webhook_id: str, body: bytes) -> bytes:
    return f"{transmission}|{time}|{webhook_id}|{zlib.crc32(body)}".encode()


def _text(request: Request, name: str, otherwise: str | None = None) -> str:
    value = request.headers.get(name)
    if not value and otherwise is not None:
        return otherwise
    if not value:
        raise Refused("signature_missing", f"there is no {name}")
    if not value.isascii():
        raise Refused("signature_malformed", f"the {name} is not ASCII")
    return value.decode()
