"""Key pairs and certificates of nobody, the same whenever they are made: made of a name, and so good for no secret."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha512
from math import gcd, prod
from random import Random
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509 import BasicConstraints, Certificate, CertificateBuilder, DNSName, Name, NameAttribute
from cryptography.x509 import SubjectAlternativeName as Names
from cryptography.x509.oid import NameOID

_E = 65537
_SMALL = prod(n for n in range(3, 4000, 2) if all(n % m for m in range(3, 64, 2) if m < n))
_BORN = datetime(2025, 1, 1, tzinfo=UTC)


def ed25519_key(name: str) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(_bytes(name)[:32])


def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(_bytes(name)[:31]), ec.SECP256R1())


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    chance = Random(name)
    p, q = sorted((_prime(chance, bits // 2), _prime(chance, bits // 2)), reverse=True)
    d = pow(_E, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(_E, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return numbers.private_key()


def certificate(
    name: str,
    key: rsa.RSAPrivateKey,
    issuer: tuple[str, rsa.RSAPrivateKey] | None = None,
    *,
    authority: bool = False,
    days: tuple[int, int] = (0, 3650),
) -> Certificate:
    """Self-signed without an issuer; valid from and until so many days after the beginning of 2025."""
    issuer_name, issuer_key = issuer or (name, key)
    builder = (
        CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer_name))
        .public_key(key.public_key())
        .serial_number(int.from_bytes(_bytes(name + issuer_name)[:8]))
        .not_valid_before(_BORN + timedelta(days[0]))
        .not_valid_after(_BORN + timedelta(days[1]))
        .add_extension(BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(Names([DNSName(name.replace(" ", "-"))]), critical=False)
    )
    return builder.sign(issuer_key, hashes.SHA256())


def pem(thing: Any) -> str:
    """Of a certificate, a public key or a private one."""
    if isinstance(thing, Certificate):
        return thing.public_bytes(Encoding.PEM).decode()
    if hasattr(thing, "private_bytes"):
        made: bytes = thing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return made.decode()
    public: bytes = thing.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public.decode()


def der64(public: Any) -> str:
    return b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def raw(public: ed25519.Ed25519PublicKey) -> bytes:
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _bytes(name: str) -> bytes:
    return sha512(name.encode()).digest()


def _name(text: str) -> Name:
    return Name([NameAttribute(NameOID.COMMON_NAME, text)])


def _prime(chance: Random, bits: int) -> int:
    while True:
        candidate = chance.getrandbits(bits) | 1 | 3 << (bits - 2)
        if (
            gcd(candidate, _SMALL) == 1
            and candidate % _E != 1
            and all(pow(base, candidate - 1, candidate) == 1 for base in (2, 3, 5, 7))
        ):
            return candidate
