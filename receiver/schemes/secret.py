"""A secret's text becomes the bytes of a key, once, when its source is built."""

import base64
import re
from typing import Final

from receiver.errors import UserError
from receiver.schemes import Key

ENCODINGS: Final = ("utf8", "hex", "base64", "prefixed")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2})*")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")


def decode_secret(secret: bytes, prefix: str, encoding: str) -> bytes:
    """Raises ValueError, whose message tells nothing of the secret."""
    text = secret.removeprefix(prefix.encode())
    if encoding == "prefixed":  # one vendor, two kinds of secrets: base64 with the prefix, plain text without
        encoding = "base64" if text != secret else "utf8"
    if encoding == "hex":
        return bytes.fromhex(_checked(_HEX, text))
    if encoding == "base64":
        # Padding may be missing: the Standard Webhooks library takes such secrets, so senders give them out.
        text = text.rstrip(b"=")
        return base64.b64decode(_checked(_BASE64, text) + "=" * (-len(text) % 4), validate=True)
    return text


def make_key(reference: str, secret: bytes, prefix: str, encoding: str, where: str) -> Key:
    try:
        decoded = decode_secret(secret, prefix, encoding)
    except ValueError:
        fix = "copy the whole secret again, or set secret_encoding"
        # Without the cause: its message or its traceback could hold the secret.
        raise UserError(f"the secret {reference} is not {encoding}", where, fix) from None
    if not decoded:
        raise UserError(f"the secret {reference} is empty", where, "put the vendor's secret there")
    return Key(reference, decoded)


def _checked(pattern: re.Pattern[bytes], text: bytes) -> str:
    # The decoders themselves skip white space and, some of them, everything strange.
    if not pattern.fullmatch(text):
        raise ValueError("not in this encoding")
    return text.decode("ascii")
