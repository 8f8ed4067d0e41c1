"""Shared-secret signatures: one scheme with parameters, which is what most vendors use.

What is signed, and where the signature stands, is the same for public keys: `signed_content.py`.
"""

import binascii
import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from receiver.schemes import Key, mismatch
from receiver.schemes.clock import Stamp
from receiver.schemes.secret import ENCODINGS, make_key
from receiver.schemes.signed_content import SignedContent, choice

_HASHES: Final = ("sha1", "sha256", "sha512")


class Hmac(SignedContent):
    name = "hmac"

    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        self._what = choice(keys, "hash", "sha256", _HASHES, where)
        self._grammar = _grammar(self._what, self._hex)
        self._secret_prefix = keys.get("secret_prefix", "")
        self._secret_encoding = choice(keys, "secret_encoding", "utf8", ENCODINGS, where)
        self.used |= {"hash", "secret_encoding", "secret_prefix"}

    def key(self, reference: str, secret: bytes, where: str) -> Key:
        return make_key(reference, secret, self._secret_prefix, self._secret_encoding, where)

    def _match(self, content: bytes, signatures: list[bytes], keys: Sequence[Key], stamp: Stamp | None) -> Key:
        fitting = self._fitting(content, signatures, keys)
        if not fitting:
            raise mismatch(keys, stamp.at if stamp else None)
        return fitting[0]

    def _fitting(self, content: bytes, signatures: list[bytes], keys: Sequence[Key]) -> list[Key]:
        fitting: list[Key] = []
        for key in keys:
            expected = self._make(content, key)
            for signature in signatures:
                # Every key against every signature: the time taken must not tell which one was right.
                if hmac.compare_digest(expected, signature):
                    fitting.append(key)
        return fitting

    def _make(self, content: bytes, key: Key) -> bytes:
        mac = _keyed(key.secret, self._what).copy()
        mac.update(content)
        digest = mac.digest()
        return binascii.hexlify(digest) if self._hex else b64encode(digest)


@lru_cache(maxsize=256)
def _keyed(secret: bytes, hash: str) -> hmac.HMAC:
    """To copy one costs a good part less than to make one."""
    return hmac.new(secret, digestmod=hash)


def _grammar(hash: str, in_hex: bool) -> re.Pattern[bytes]:
    """What a signature may look like: texts are compared, because decoders are lax."""
    size = hashlib.new(hash).digest_size
    if in_hex:
        return re.compile(rb"[0-9a-fA-F]{%d}" % (2 * size))
    return re.compile(rb"[A-Za-z0-9+/]{%d}={%d}" % ((size * 8 + 5) // 6, -size % 3))
