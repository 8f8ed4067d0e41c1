"""Google Pub/Sub push: an OpenID Connect token that says who sends; of the body it says nothing.

Every customer of Google's can have such a token made, for any audience: it is the account that tells ours from others.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic_core import to_json

from receiver.schemes import Key, Refused, Request, Wanted, parse_body
from receiver.schemes.jwt import Jwt

_KEYS: Final = "https://www.googleapis.com/oauth2/v3/certs"
_ISSUERS: Final = ("https://accounts.google.com", "accounts.google.com")


class GooglePubSub(Jwt):
    needs = ("audience", "service_account")
    asks_alone = True

    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        accounts = keys.get("service_account", ())
        self._accounts = (accounts,) if isinstance(accounts, str) else accounts

    def wants(self, request: Request, keys: Sequence[Key]) -> Wanted | None:
        if keys:
            return None
        kid = self._token(request).header.get("kid")
        if not isinstance(kid, str):
            raise Refused("signature_malformed", "the token names no key")
        return Wanted(kid, _KEYS)

    def served(self, wanted: Wanted, document: bytes) -> Mapping[str, bytes]:
        answer = parse_body(document)
        if not isinstance(answer, dict) or not isinstance(answer.get("keys"), list):
            raise ValueError("no keys in it")
        return {str(key.get("kid")): to_json(key) for key in answer["keys"] if isinstance(key, dict)}

    def _claims(self, body: bytes, now: float) -> dict[str, Any]:
        account = next(iter(self._accounts), "")
        return {"iss": _ISSUERS[0], "email": account, "email_verified": True, **super()._claims(body, now)}

    def _check(self, claims: Mapping[str, Any], request: Request, now: float) -> float | None:
        self._refuse_lacking()
        self._check_claim(claims, "iss", _ISSUERS)
        self._check_claim(claims, "email", self._accounts)
        if claims.get("email_verified") is not True:
            raise Refused("signature_mismatch", "the token's email is not verified")
        return super()._check(claims, request, now)
