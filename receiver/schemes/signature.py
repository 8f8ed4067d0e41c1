"""The header that carries signatures, read by a strict grammar and written by the same one.

A header is elements with a separator between them, in any order; an element is a text of its own (`v1=`)
and a value. Elements that begin with no known text are skipped, for vendors add new ones. Whether a signature
is right is not asked here.
"""

from dataclasses import dataclass

from receiver.errors import UserError
from receiver.schemes import Refused

# Both bound what one request can make us do before anything is verified.
_MOST_SIGNATURES = 16
_LONGEST_HEADER = 4096


@dataclass(frozen=True, slots=True)
class SignatureFormat:
    text: str
    separator: bytes
    signature: bytes
    """What a signature's element begins with."""
    timestamp: bytes | None
    """What the timestamp's element begins with; None where the time does not stand in this header."""

    def read(self, value: bytes) -> tuple[bytes | None, list[bytes]]:
        """The timestamp and the signatures."""
        if len(value) > _LONGEST_HEADER:
            raise Refused("signature_malformed", f"a signature of {len(value)} bytes, {_LONGEST_HEADER} at most")
        beginning, of_time = self.signature, self.timestamp
        timestamps, signatures = [], []
        for element in value.split(self.separator):
            if element.startswith(beginning):
                signatures.append(element[len(beginning) :])
            elif of_time is not None and element.startswith(of_time):
                timestamps.append(element[len(of_time) :])
        if len(timestamps) > 1:
            raise Refused("timestamp_malformed", "the signature holds more than one timestamp")
        if not 0 < len(signatures) <= _MOST_SIGNATURES:
            raise Refused("signature_malformed", f"{len(signatures)} signatures of the form {self.text}")
        return (timestamps[0] if timestamps else None), signatures

    def write(self, signature: str, timestamp: str) -> str:
        return self.text.replace("{timestamp}", timestamp).replace("{signature}", signature)


def compile_format(text: str, separator: str, where: str) -> SignatureFormat:
    if not separator:
        raise UserError("the separator is empty", f"{where} signature_separator", 'write it, such as ","')
    beginnings: dict[str, bytes] = {}
    for element in text.split(separator):
        beginning, brace, rest = element.partition("{")
        placeholder = brace + rest
        if placeholder not in ("{signature}", "{timestamp}") or placeholder in beginnings:
            raise _bad(f"{element!r} is no element of a signature", where)
        beginnings[placeholder] = beginning.encode()
    signature, timestamp = beginnings.get("{signature}"), beginnings.get("{timestamp}")
    if signature is None:
        raise _bad(f"{text!r} holds no {{signature}}", where)
    if timestamp is not None and (signature.startswith(timestamp) or timestamp.startswith(signature)):
        raise _bad(f"{text!r} does not tell a timestamp from a signature", where)
    return SignatureFormat(text, separator.encode(), signature, timestamp)


def _bad(what: str, where: str) -> UserError:
    fix = 'write it like "t={timestamp},v1={signature}", and set signature_separator where it is not ","'
    return UserError(what, f"{where} signature_format", fix)
