"""Signed tokens (RFC 7519, RFC 7515 compact form) whose claims say who sent a request and when.

The algorithm is the source's and never the token's: `none`, and HMAC with the public key as its secret, are forgeries
as old as the format. Nothing in a token says where its key is found (`jku`, `jwk`, `x5u` are not read).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from pydantic_core import to_json

from receiver.errors import UserError
from receiver.schemes import Key, Refused, Request, Signed, Verified, mismatch, parse_body
from receiver.schemes.locator import bytes_of, compile_locator
from receiver.schemes.material import Private, Public, base64url, material_key, read_material, unbase64url
from receiver.schemes.public_key import private_of
from receiver.schemes.reader import Reader
from receiver.schemes.signature import compile_format

_KINDS: Final = {"RS256": "RSA", "ES256": "P-256", "EdDSA": "Ed25519"}
_COMPACT = re.compile(rb"[A-Za-z0-9_-]{1,1024}\.[A-Za-z0-9_-]{1,4096}\.[A-Za-z0-9_-]{1,1024}")
_HALF: Final = 32  # bytes of each of the two numbers of an ES256 signature
_LIFETIME_S: Final = 3600
_TOLERANCE_S: Final = 60


class Token(NamedTuple):
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    content: bytes
    """What is signed, as it was sent."""
    signature: bytes


class Jwt(Reader):
    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        self._place = compile_locator(keys.get("signature", "header:Authorization"), f"{where} signature")
        form = keys.get("signature_format", "Bearer {signature}")
        self._format = compile_format(form, keys.get("signature_separator", ","), where)
        self._alg = keys.get("alg", "")
        if self._alg not in _KINDS:
            fix = f"write one of {', '.join(_KINDS)}"
            raise UserError(f"{self._alg!r} is no algorithm with a public key", f"{where} alg", fix)
        audience = keys.get("audience")
        self._audience = (audience,) if isinstance(audience, str) else audience
        self._tolerance_s = keys.get("tolerance_s", _TOLERANCE_S)
        self.used |= {"signature", "signature_format", "alg", "audience", "tolerance_s", "public_keys", "keys"}

    def key(self, reference: str, secret: bytes, where: str) -> Key:
        return material_key(reference, secret, _KINDS[self._alg], where)

    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified:
        self._refuse_doubled(request.headers, "signature_malformed", self._place, self.id, self.type)
        token = self._token(request)
        kid = token.header.get("kid")
        fitting = [key for key in keys if key.name in (None, kid)]
        key = next((key for key in fitting if _fits(token, read_material(key.secret), self._alg)), None)
        issued_at = token.claims.get("iat")
        if key is None:
            raise mismatch(fitting or keys, issued_at if _is_time(issued_at) else None)
        return Verified(key, self._check(token.claims, request, now))

    def sign(self, body: bytes, key: Key, now: float, *, url: str, id: str | None, type: str | None) -> Signed:
        header = {"alg": self._alg, "typ": "JWT", "kid": key.name or ""}
        content = ".".join(base64url(to_json(part)) for part in (header, self._claims(body, now)))
        signature = base64url(make_signature(private_of(key, self._where), content.encode()))
        text = self._format.write(f"{content}.{signature}", "")
        return Signed([*self._headers_for(body, id, type), *self._place.solve(text, None)], body)

    def _token(self, request: Request) -> Token:
        value = self._place.find(request)
        if value is None:
            raise Refused("signature_missing", f"there is no token in {' or '.join(self._place.header_names)}")
        token = _read(self._format.read(bytes_of(value))[1][0])
        if token.header.get("alg") != self._alg or "crit" in token.header:
            raise Refused("signature_malformed", f"a token of {token.header.get('alg')!r:.20}, and not of {self._alg}")
        return token

    def _claims(self, body: bytes, now: float) -> dict[str, Any]:
        """What the vendor would claim."""
        audience = {"aud": self._audience[0]} if self._audience else {}
        return {**audience, "iat": int(now), "exp": int(now) + _LIFETIME_S}

    def _check(self, claims: Mapping[str, Any], request: Request, now: float) -> float | None:
        """When it was signed, if the claims are right. Errors: Refused."""
        if self._audience:
            self._check_claim(claims, "aud", self._audience)
        return self._check_times(claims, now)

    def _check_claim(self, claims: Mapping[str, Any], name: str, wanted: Collection[str]) -> None:
        """Of several values one has to be right (RFC 7519 4.1.3)."""
        found = claims.get(name)
        if not any(one in wanted for one in (found if isinstance(found, list) else [found])):
            raise Refused("signature_mismatch", f"the token's {name} is {found!r:.100}")

    def _check_times(self, claims: Mapping[str, Any], now: float) -> float:
        issued_at, expires_at = self._time(claims, "iat"), self._time(claims, "exp")
        begins_at = self._time(claims, "nbf") if "nbf" in claims else issued_at
        if now > expires_at + self._tolerance_s:
            raise Refused("timestamp_stale", f"the token ran out {now - expires_at:.0f} s ago by our clock", issued_at)
        if now < max(issued_at, begins_at) - self._tolerance_s:
            ahead_s = max(issued_at, begins_at) - now
            raise Refused("timestamp_future", f"the token holds only in {ahead_s:.0f} s by our clock", issued_at)
        return issued_at

    def _time(self, claims: Mapping[str, Any], name: str) -> float:
        value = claims.get(name)
        if value is None:
            raise Refused("timestamp_missing", f"the token has no {name}")
        if not _is_time(value):
            raise Refused("timestamp_malformed", f"the token's {name} is {value!r:.40}")
        return float(value)


def _read(text: bytes) -> Token:
    if not _COMPACT.fullmatch(text):
        raise Refused("signature_malformed", "not three parts in base64url, as a JWT has them")
    header, claims, signature = text.decode().split(".")
    try:
        token = Token(
            parse_body(unbase64url(header)), parse_body(unbase64url(claims)),
            text.rpartition(b".")[0], unbase64url(signature),
        )  # fmt: skip
    except ValueError:
        raise Refused("signature_malformed", "a part of the token is not base64url") from None
    if not isinstance(token.header, dict) or not isinstance(token.claims, dict):
        raise Refused("signature_malformed", "a part of the token is no JSON object")
    return token


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11


def _fits(token: Token, material: Any, alg: str) -> bool:
    if material.alg not in (None, alg):
        return False
    try:
        check_signature(material.public, token.signature, token.content)
    except (InvalidSignature, ValueError):
        return False
    return True


def check_signature(public: Public, signature: bytes, content: bytes) -> None:
    """The key's kind says how, and each source has keys of one kind. Errors: InvalidSignature, ValueError."""
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(signature, content)
    else:
        if len(signature) != 2 * _HALF:
            raise ValueError("not two numbers")
        numbers = (int.from_bytes(signature[:_HALF]), int.from_bytes(signature[_HALF:]))
        public.verify(encode_dss_signature(*numbers), content, ec.ECDSA(hashes.SHA256()))


def make_signature(private: Private, content: bytes) -> bytes:
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(content, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign(content)
    numbers = decode_dss_signature(private.sign(content, ec.ECDSA(hashes.SHA256())))
    return b"".join(number.to_bytes(_HALF) for number in numbers)
