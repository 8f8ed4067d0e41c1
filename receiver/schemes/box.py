"""Box signs the body and the time with each of two keys, and at times another spelling of the body.

https://developer.box.com/guides/webhooks/v2/signatures-v2
"""

import re
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii
from typing import Final

from receiver.schemes import Headers, Key, Refused, Request, Verified
from receiver.schemes.hmac import Hmac

_KNOWN: Final = {"BOX-SIGNATURE-VERSION": b"1", "BOX-SIGNATURE-ALGORITHM": b"HmacSHA256"}
# To the next character that JSON would escape besides: a call for each character would let strangers hold up the door.
_BEYOND_ASCII: Final = re.compile(r'[^\x00-\x7f][^\x00-\x1f"\\\x7f]*')


class Box(Hmac):
    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified:
        _check_headers(request.headers)
        try:
            return super().verify(request, keys, now)
        except Refused as refused:
            escaped = _escaped(request.body) if refused.code == "signature_mismatch" else None
            if escaped is None:
                raise
        again = Request(request.method, request.url, request.headers, escaped, request.query, self.parse)
        return super().verify(again, keys, now)


def _check_headers(headers: Headers) -> None:
    for name, known in _KNOWN.items():
        if headers.all(name) != [known]:
            raise Refused("signature_malformed", f"the header {name} is not {known.decode()}")


def _escaped(body: bytes) -> bytes | None:
    r"""The body with `\u00e9` for é, as Box's own libraries try it next; None where that changes nothing.

    They also double backslashes and spell out line feeds, which we do not: who has the signature of one body would have
    those of others that mean something else (`"a\"` for `"a\\"`).
    """
    if body.isascii():
        return None
    try:
        return _BEYOND_ASCII.sub(lambda found: encode_basestring_ascii(found[0])[1:-1], body.decode()).encode()
    except UnicodeDecodeError:
        return None
