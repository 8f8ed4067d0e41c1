"""HMACs as the vendors' documentation computes them, with the standard library: where no library of theirs signs."""

import hashlib
import hmac
from base64 import b64encode
from json import dumps
from typing import Any


def in_hex(secret: str, content: bytes) -> str:
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def in_base64(secret: str, content: bytes) -> str:
    return b64encode(hmac.new(secret.encode(), content, hashlib.sha256).digest()).decode()


def compact(body: Any) -> bytes:
    return dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def escaped(body: Any) -> bytes:
    """With escapes for whatever is beyond ASCII."""
    return dumps(body, separators=(",", ":")).encode()
