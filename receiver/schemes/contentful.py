r"""Contentful signs method, path, the headers that it lists, and the body: a canonical request.

https://www.contentful.com/developers/docs/extensibility/app-framework/request-verification
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from receiver.schemes import Headers, Refused, Request
from receiver.schemes.hmac import Hmac

_LIST: Final = "x-contentful-signed-headers"
_TIME: Final = "x-contentful-timestamp"
_NAMES: Final = re.compile(rb"[a-z0-9_-]{1,128}(?:,[a-z0-9_-]{1,128}){1,99}")
# What encodeURI and encodeURIComponent of JavaScript leave as it is, besides letters and digits.
_PATH: Final = ";,/?:@&=+$-_.!~*'()#"
_QUERY: Final = "-_.!~*'()"


class Contentful(Hmac):
    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        self.used = (self.used | {"public_url"}) - {"content"}

    def _covered(self, request: Request, timestamp: bytes) -> bytes:
        names = _signed_names(request.headers)
        headers = b";".join(name.encode() + b":" + _value(request.headers, name, names) for name in names)
        return b"\n".join([request.method.encode(), _path(request.url), headers, request.body])

    def _headers_for(self, body: bytes, id: str | None, type: str | None) -> Iterator[tuple[str, str]]:
        headers = list(super()._headers_for(body, id, type))
        yield from headers
        yield _LIST, ",".join(sorted([*(name.lower() for name, _ in headers), _LIST, _TIME]))


def _signed_names(headers: Headers) -> list[str]:
    lists = headers.all(_LIST)
    if not lists:
        raise Refused("signature_missing", f"there is no {_LIST}")
    names = lists[0].decode("latin-1").split(",")
    if len(lists) > 1 or not _NAMES.fullmatch(lists[0]) or len(set(names)) < len(names):
        raise Refused("signature_malformed", f"{lists[0]!r:.80} is no list of headers")
    if not {_LIST, _TIME} <= {*names}:
        raise Refused("signature_malformed", f"{_LIST} and {_TIME} are not both signed")
    return sorted(names)


def _value(headers: Headers, name: str, names: list[str]) -> bytes:
    values = headers.all(name)
    if not values:
        raise Refused("signature_missing", f"the header {name}, which is signed, is missing")
    if len(values) > 1:
        raise Refused("signature_malformed", f"the header {name} is there more than once")
    return ",".join(names).encode() if name == _LIST else values[0].strip()


def _path(url: str) -> bytes:
    """Encoded again, though it is already; the query even twice: this is how Contentful does it."""
    _, _, rest = url.partition("://")
    path, _, query = rest[rest.index("/") :].partition("?") if "/" in rest else ("/", "", "")
    if query:
        path = f"{path}?{quote(query, safe=_QUERY)}"
    return quote(path, safe=_PATH).encode()
