"""Plaid: a token whose claims hold the body's hash.

Its keys are pinned by key id in `keys`, or asked of Plaid, which wants the account's credentials for that: a secret of
the form `CLIENT_ID:SECRET`, or `sandbox:CLIENT_ID:SECRET`.
"""

import hashlib
import hmac
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic_core import to_json

from receiver.schemes import Key, Refused, Request, Verified, Wanted, parse_body
from receiver.schemes.clock import Clock
from receiver.schemes.jwt import Jwt

_CREDENTIALS: Final = re.compile(rb"(?:(sandbox|production):)?([0-9A-Za-z]{8,64}):([0-9A-Za-z]{8,64})")
_ID: Final = re.compile(r"[0-9A-Za-z-]{8,64}")


class Plaid(Jwt):
    asks_alone = False

    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        self._clock = Clock(None, "s", self._tolerance_s, in_signed_body=False)

    def key(self, reference: str, secret: bytes, where: str) -> Key:
        if _CREDENTIALS.fullmatch(secret):
            return Key(reference, secret)
        return super().key(reference, secret, where)

    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified:
        # One that Plaid gave out may have ended since: it says so in `expired_at`.
        live = [key for key in keys if not _CREDENTIALS.fullmatch(key.secret) and now < (key.not_after or math.inf)]
        return super().verify(request, live, now)

    def wants(self, request: Request, keys: Sequence[Key]) -> Wanted | None:
        found = [_CREDENTIALS.fullmatch(key.secret) for key in keys]
        if not found or found[0] is None:
            return None
        environment, client, secret = found[0].groups()
        kid = self._token(request).header.get("kid")
        if not isinstance(kid, str) or not _ID.fullmatch(kid):
            raise Refused("signature_malformed", f"{kid!r:.60} is no key id")
        question = {"client_id": client.decode(), "secret": secret.decode(), "key_id": kid}
        host = f"{(environment or b'production').decode()}.plaid.com"
        return Wanted(kid, f"https://{host}/webhook_verification_key/get", to_json(question))

    def served(self, wanted: Wanted, document: bytes) -> Mapping[str, bytes]:
        answer = parse_body(document)
        if not isinstance(answer, dict) or not isinstance(answer.get("key"), dict):
            raise ValueError("no key in it")
        return {wanted.name: document}

    def _claims(self, body: bytes, now: float) -> dict[str, Any]:
        return {"iat": int(now), "request_body_sha256": hashlib.sha256(body).hexdigest()}

    def _check(self, claims: Mapping[str, Any], request: Request, now: float) -> float:
        claimed, issued_at = claims.get("request_body_sha256"), self._time(claims, "iat")
        if not hmac.compare_digest(str(claimed).encode(), hashlib.sha256(request.body).hexdigest().encode()):
            raise Refused("signature_mismatch", "the token is of another body", issued_at)
        self._clock.check(issued_at, now)
        return issued_at
