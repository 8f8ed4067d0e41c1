"""Signatures of a request's content by a private key that only the vendor has: ed25519 and ecdsa.

In which forms the public key may be given stands in `material.py`.
"""

import re
from abc import abstractmethod
from base64 import b64decode, b64encode
from binascii import hexlify, unhexlify
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from receiver.errors import UserError
from receiver.schemes import Key, mismatch
from receiver.schemes.clock import Stamp
from receiver.schemes.material import Private, Public, material_key, read_material
from receiver.schemes.signed_content import SignedContent

_ECDSA = ec.ECDSA(hashes.SHA256())
BASE64 = rb"(?:[A-Za-z0-9+/]{4}){3,256}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
"""What a decoder never fails at; up to the length of an RSA signature."""


class PublicKey(SignedContent):
    kind: ClassVar[str]

    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        self._what = self.name
        self.used |= {"public_keys"}

    def key(self, reference: str, secret: bytes, where: str) -> Key:
        return material_key(reference, secret, self.kind, where)

    def _match(self, content: bytes, signatures: list[bytes], keys: Sequence[Key], stamp: Stamp | None) -> Key:
        decoded = [unhexlify(one) if self._hex else b64decode(one) for one in signatures]
        for key in keys:
            public = read_material(key.secret).public
            if any(self._fits(public, signature, content) for signature in decoded):
                return key
        raise mismatch(keys, stamp.at if stamp else None)

    def _make(self, content: bytes, key: Key) -> bytes:
        signature = self._sign(private_of(key, self._where), content)
        return hexlify(signature) if self._hex else b64encode(signature)

    def _fits(self, public: Public, signature: bytes, content: bytes) -> bool:
        try:
            self._check(public, signature, content)
        except InvalidSignature:
            return False
        return True

    @abstractmethod
    def _check(self, public: Public, signature: bytes, content: bytes) -> None:
        """Errors: InvalidSignature."""

    @abstractmethod
    def _sign(self, private: Private, content: bytes) -> bytes: ...


class Ed25519(PublicKey):
    name = "ed25519"
    kind = "Ed25519"

    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        self._grammar = re.compile(rb"[0-9a-fA-F]{128}" if self._hex else rb"[A-Za-z0-9+/]{86}==")

    def _check(self, public: Public, signature: bytes, content: bytes) -> None:
        assert isinstance(public, ed25519.Ed25519PublicKey)
        public.verify(signature, content)

    def _sign(self, private: Private, content: bytes) -> bytes:
        assert isinstance(private, ed25519.Ed25519PrivateKey)
        return private.sign(content)


class Ecdsa(PublicKey):
    """P-256 and SHA-256; the signature is DER."""

    name = "ecdsa"
    kind = "P-256"

    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        self._grammar = re.compile(rb"(?:[0-9a-fA-F]{2}){8,72}" if self._hex else BASE64)

    def _check(self, public: Public, signature: bytes, content: bytes) -> None:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(signature, content, _ECDSA)

    def _sign(self, private: Private, content: bytes) -> bytes:
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        return private.sign(content, _ECDSA)


def private_of(key: Key, where: str) -> Private:
    """What signs in the vendor's place, for tests."""
    try:
        private = None if key.is_anchor else read_material(key.secret).private
        what = "a public key, which signs nothing"
    except ValueError:
        private, what = None, "no private key, and nothing else signs here"
    if private is None:
        fix = "put a private key of your own into secrets, in PEM or as DER in base64: what it signs is then accepted"
        raise UserError(f"{key.reference} is {what}", f"{where} secrets", fix)
    return private
