"""Twilio signs the address and the parameters of a form, run together; of other bodies the address holds the hash.

https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from receiver.schemes import Headers, Key, Refused, Request, Signed, Verified, mismatch
from receiver.schemes.form import only_field, read_form
from receiver.schemes.hmac import Hmac
from receiver.schemes.locator import compile_locator

_ADDRESS: Final = re.compile(r"(https?)://([^/?#]*)(.*)", re.DOTALL)
_PORT: Final = re.compile(r":[0-9]+\Z")
_SETTINGS: Final = "header:X-Twilio-Webhooks-Signature-Settings"
_FORM: Final = b"application/x-www-form-urlencoded"


class Twilio(Hmac):
    """With SHA-1, or with SHA-256 where the request says so: that is how it signs with a shared key."""

    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__({**keys, "hash": "sha1"}, where)
        self._with_sha256 = Hmac({**keys, "hash": "sha256"}, where)
        self._settings = compile_locator(_SETTINGS, where)
        self.used = (self.used | {"public_url"}) - {"hash", "content"}

    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified:
        self._refuse_doubled(
            request.headers, "signature_malformed", self._signature, self._settings, self.id, self.type
        )
        scheme = self._scheme_of(request.headers)
        _, signatures = scheme._read_signatures(request)
        parameters = _covered(request)
        contents = [address.encode() + parameters for address in _addresses(request.url)]
        fitting = [key for content in contents for key in scheme._fitting(content, signatures, keys)]
        if not fitting:
            raise mismatch(keys)
        return Verified(fitting[0], None)

    def sign(self, body: bytes, key: Key, now: float, *, url: str, id: str | None, type: str | None) -> Signed:
        """A form, as nearly all of its requests are."""
        signature = self._make(url.encode() + _run_together(body), key).decode()
        return Signed([*self._headers_for(body, id, type), *self._signature.solve(signature, None)], body)

    def _scheme_of(self, headers: Headers) -> Hmac:
        settings = headers.get(_SETTINGS.removeprefix("header:")) or b""
        named = [setting.partition(b"=") for setting in settings.split(b",")]
        algorithms = {value.strip().upper() for name, _, value in named if name.strip() == b"algorithm"}
        if algorithms <= {b"HMAC_SHA1"}:
            return self
        if algorithms == {b"HMAC_SHA256"}:
            return self._with_sha256
        raise Refused("signature_malformed", f"{settings!r:.80} names no algorithm that is known")


def _covered(request: Request) -> bytes:
    """What is signed behind the address. Errors: Refused."""
    hashed = only_field(read_form(request.query), "bodySHA256") if b"bodySHA256" in request.query else None
    if hashed is not None:
        found = sha256(request.body).hexdigest()
        if not hmac.compare_digest(found.encode(), hashed.lower().encode("utf-8", "replace")):
            raise Refused("signature_mismatch", "the body is not the one whose hash is in the address")
        if not (request.headers.get("content-type") or b"").lower().startswith(_FORM):
            return b""
    return _run_together(request.body)


def _run_together(form: bytes) -> bytes:
    """Each value of each parameter once, behind its name, in the order of both."""
    return "".join(name + value for name, value in sorted(set(read_form(form)))).encode()


def _addresses(url: str) -> Iterator[str]:
    """Twilio signs the address now with its port and now without: both count, as in its own libraries."""
    yield url
    if (found := _ADDRESS.fullmatch(url)) is None:
        return
    scheme, host, rest = found.groups()
    if _PORT.search(host):
        yield f"{scheme}://{_PORT.sub('', host)}{rest}"
    else:
        yield f"{scheme}://{host}:{443 if scheme == 'https' else 80}{rest}"
