"""What stands in a key's file or variable: public keys, private ones and certificates, in the forms vendors use.

Pure: whether a certificate is to be trusted is asked in `certificates.py`, and where keys come from elsewhere.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

from receiver.errors import UserError
from receiver.schemes import Key, parse_body

Public = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_LEAST_RSA_BITS: Final = 2048
_RAW: Final = 32  # bytes of an Ed25519 key
_HEX = re.compile(rb"[0-9a-fA-F]{64}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


class Material(NamedTuple):
    public: Public
    private: Private | None = None
    """Only where somebody wants to sign."""
    chain: tuple[x509.Certificate, ...] = ()
    """The certificate that holds the key, and those that came with it."""
    not_after: float | None = None
    """From then on its vendor does not use it any more: epoch seconds."""
    alg: str | None = None
    """What it may be used for, where it says so (RFC 7517 4.4)."""

    @property
    def kind(self) -> str:
        return _kind(self.public)


@lru_cache(maxsize=256)
def read_material(text: bytes) -> Material:
    """Raises ValueError, whose message tells nothing of the text."""
    try:
        material = _read(text.strip())
    except (ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        raise ValueError("not a key") from None
    if isinstance(material.public, rsa.RSAPublicKey) and material.public.key_size < _LEAST_RSA_BITS:
        raise ValueError("an RSA key that is too short")
    return material


@lru_cache(maxsize=256)
def read_certificates(text: bytes) -> tuple[x509.Certificate, ...]:
    """Raises ValueError where there is none, or one that is broken."""
    return tuple(x509.load_pem_x509_certificates(text))


def material_key(reference: str, text: bytes, kind: str, where: str) -> Key:
    """The key of this kind that a text holds: `Ed25519`, `P-256` or `RSA`."""
    article = "an" if kind in ("Ed25519", "RSA") else "a"
    in_hex = "hex (64 digits), in " if kind == "Ed25519" else ""
    fix = f"write {article} {kind} key in {in_hex}base64, in PEM or as a JWK"
    try:
        material = read_material(text)
    except ValueError as error:
        raise UserError(f"{reference} is {error}", where, fix) from None
    if material.kind != kind:
        raise UserError(f"{reference} is a key of another kind, {material.kind}", where, fix)
    return Key(reference, text.strip(), material.not_after)


def _read(text: bytes) -> Material:
    if text.startswith(b"{"):
        return _of_jwk(parse_body(text))
    if b"-----BEGIN CERTIFICATE-----" in text:
        chain = read_certificates(text)
        return Material(_public(chain[0].public_key()), chain=chain)
    if b"PRIVATE KEY-----" in text:
        return _of_private(load_pem_private_key(text, None))
    if text.startswith(b"-----"):
        return Material(_public(load_pem_public_key(text)))
    return _of_bytes(text)


def _of_bytes(text: bytes) -> Material:
    """Hex or base64, of a raw Ed25519 key or of DER; Standard Webhooks' prefixes tell a private one from a public."""
    if text.startswith(b"whsk_"):
        seed = _base64(text[5:])[:_RAW]  # libsodium's form has the public half behind it
        return _of_private(ed25519.Ed25519PrivateKey.from_private_bytes(seed))
    if _HEX.fullmatch(text):
        return Material(ed25519.Ed25519PublicKey.from_public_bytes(binascii.unhexlify(text)))
    content = _base64(text.removeprefix(b"whpk_"))
    if len(content) == _RAW:
        return Material(ed25519.Ed25519PublicKey.from_public_bytes(content))
    try:
        return Material(_public(load_der_public_key(content)))
    except ValueError:
        return _of_private(load_der_private_key(content, None))


def _of_private(key: Any) -> Material:
    return Material(_public(key.public_key()), key)


def _of_jwk(jwk: Any) -> Material:
    """RFC 7517; or what an API answers with one in it, saved as it came."""
    if isinstance(jwk.get("key"), Mapping):
        jwk = jwk["key"]
    if jwk.get("use", "sig") != "sig":
        raise ValueError("a key for something else")
    ended_at = jwk.get("expired_at")  # https://plaid.com/docs/api/webhooks/webhook-verification/
    return Material(_of_numbers(jwk), not_after=None if ended_at is None else float(ended_at), alg=jwk.get("alg"))


def _of_numbers(jwk: Mapping[str, Any]) -> Public:
    if jwk["kty"] == "RSA":
        return rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"])).public_key()
    if jwk["kty"] == "EC" and jwk["crv"] == "P-256":
        return ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), ec.SECP256R1()).public_key()
    if jwk["kty"] == "OKP" and jwk["crv"] == "Ed25519":
        return ed25519.Ed25519PublicKey.from_public_bytes(unbase64url(jwk["x"]))
    raise ValueError("a key of another kind")  # a symmetric one above all: published, it would be no secret


def _number(text: str) -> int:
    return int.from_bytes(unbase64url(text))


def unbase64url(text: str) -> bytes:
    """Without padding, as RFC 7515 has it. Raises ValueError: the decoder itself skips what it does not know."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url")
    content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64url(content) != text:
        raise ValueError("not the one way to write it")
    return content


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _base64(text: bytes) -> bytes:
    text = b"".join(text.split())  # dashboards and files break long keys into lines
    if not _BASE64.fullmatch(text):
        raise ValueError("not base64")
    return base64.b64decode(text.rstrip(b"=") + b"=" * (-len(text.rstrip(b"=")) % 4))


def _public(key: Any) -> Public:
    if not _kind(key):
        raise ValueError("a key of another kind")
    public: Public = key
    return public


def _kind(key: Any) -> str:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519"
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA"
    return "P-256" if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1) else ""
