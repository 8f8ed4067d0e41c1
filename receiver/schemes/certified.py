"""Signatures with RSA keys in certificates, whose address the request names: PayPal's and Amazon SNS's.

An address is only a name here: a pinned certificate's as it was written in `keys`, or one of the vendor's own by a list
of its hosts, for others to fetch. Whether a certificate is to be trusted stands in `certificates.py`.
"""

import re
from abc import abstractmethod
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from receiver.errors import UserError
from receiver.schemes import Key, Refused, Request, Wanted, mismatch
from receiver.schemes.certificates import check_certificate, check_name
from receiver.schemes.material import material_key, read_certificates, read_material
from receiver.schemes.public_key import BASE64, private_of
from receiver.schemes.reader import Reader

_SIGNATURE: Final = re.compile(BASE64)


class Certified(Reader):
    addresses: ClassVar[re.Pattern[str]]
    """Where the vendor serves its certificates, from the first character to the last."""
    domain: ClassVar[str | None] = None
    """Whose name a certificate must hold."""
    asks_alone = True

    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        self.used |= {"public_keys", "keys", "trust_anchors", "tolerance_s"}

    def key(self, reference: str, secret: bytes, where: str) -> Key:
        return material_key(reference, secret, "RSA", where)

    def anchor(self, reference: str, certificates: bytes, where: str) -> Key:
        try:
            read_certificates(certificates)
        except ValueError:
            raise UserError(f"{reference} holds no certificate", where, "put certificates there, in PEM") from None
        return Key(reference, certificates, is_anchor=True)

    def wants(self, request: Request, keys: Sequence[Key]) -> Wanted | None:
        if any(not key.is_anchor for key in keys):
            return None
        address = self._address(request)
        if not self.addresses.fullmatch(address):
            raise Refused("signature_malformed", f"{address!r:.120} is no address of the vendor's certificates")
        return Wanted(address, address)

    def served(self, wanted: Wanted, document: bytes) -> Mapping[str, bytes]:
        if not read_material(document).chain:
            raise ValueError("not a certificate")
        return {wanted.name: document}

    @abstractmethod
    def _address(self, request: Request) -> str:
        """Of the certificate. Errors: Refused."""

    def _signer(
        self, address: str, signature: str, content: bytes, hash: hashes.HashAlgorithm, keys: Sequence[Key], now: float
    ) -> Key:
        """The key that signed it. Errors: Refused."""
        if not _SIGNATURE.fullmatch(signature.encode()):
            raise Refused("signature_malformed", f"{signature!r:.60} is no signature in base64")
        own = [key for key in keys if not key.is_anchor]
        fitting = [key for key in own if key.name in (None, address)]
        for key in fitting:
            if _fits(key, b64decode(signature), content, hash):
                self._check_certificate(key, keys, now)
                return key
        if own and not fitting:
            raise Refused("signature_mismatch", f"it names the certificate {address!r:.120}, which is not in keys")
        raise mismatch(fitting)

    def _check_certificate(self, key: Key, keys: Sequence[Key], now: float) -> None:
        chain = read_material(key.secret).chain
        if chain:
            check_certificate(chain, [anchor for anchor in keys if anchor.is_anchor], now)
            if self.domain is not None:
                check_name(chain[0], self.domain)

    def _signed_by(self, key: Key, content: bytes) -> bytes:
        private = private_of(key, self._where)
        assert isinstance(private, rsa.RSAPrivateKey)
        return private.sign(content, padding.PKCS1v15(), hashes.SHA256())


def _fits(key: Key, signature: bytes, content: bytes, hash: hashes.HashAlgorithm) -> bool:
    public = read_material(key.secret).public
    assert isinstance(public, rsa.RSAPublicKey)
    try:
        public.verify(signature, content, padding.PKCS1v15(), hash)
    except InvalidSignature:
        return False
    return True
