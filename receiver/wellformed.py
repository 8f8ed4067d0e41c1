"""What an HTTP request may be: how large, how slow, and nothing that only a smuggler would send.

What the parser refuses already stands in `check_request`; deadlines are kept in `connection.py` and `door.py`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from receiver.headers import header_lines
from receiver.problems import Problem
from receiver.schemes import Headers
from receiver.sources import Source

HOST: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:%~"
IPV6: Final = re.compile(rb"\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?")
BAD_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may take."""

    idle_s: float = 5.0  # between an answer and the next request
    headers_s: float = 10.0
    body_s: float = 10.0
    store_s: float = 1.5  # to commit it: two seconds until the answer are promised
    unread_s: float = 10.0  # for an answer to be read
    connections: int = 2048
    headers: int = 100
    headers_bytes: int = 65536
    reading_bytes: int = 128 << 20  # of bodies that are not whole yet

    def checked_lines(self, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
        """The lines of the headers. Errors: Problem, if there are too many of them."""
        lines = header_lines(headers)
        if len(headers) > self.headers or len(lines) > self.headers_bytes:
            raise self.too_many()
        return lines

    def too_many(self) -> Problem:
        at_most = f"at most {self.headers} headers and {self.headers_bytes} bytes of them"
        return Problem(431, "headers_too_large", at_most)


ONLY = {
    b"transfer-encoding": (b"chunked", (400, "bad_transfer_encoding", "only chunked is understood")),
    b"upgrade": (None, (400, "upgrade_refused", "this address takes deliveries only")),
    b"content-encoding": (b"identity", (415, "encoded_body", "the signature covers raw bytes: send them plain")),
}
"""Headers of which one value is fine, and how any other is refused: first where the next request is in doubt."""


def check_request(headers: Headers, raw_path: bytes) -> int:
    """Refuse what a proxy or a vendor would never send but a smuggler would; the announced length, or 0.

    httptools already refuses Content-Length beside Transfer-Encoding, folded lines and bare line feeds. It accepts a
    missing or doubled Host, `gzip, chunked`, a broken percent code, and drops the body of an upgrade.
    """
    host = headers.first.get(b"host")
    alone = not headers.doubled or len(headers.all("host")) == 1
    if not host or not alone or (host.translate(None, HOST) and not _is_ipv6(host)):
        raise Problem(400, "bad_host", "exactly one Host header is needed, with a host in it")
    if b"%" in raw_path and BAD_PERCENT.search(raw_path):
        raise Problem(400, "bad_path", "a percent sign in the path is not followed by two hex digits")
    if not ONLY.keys().isdisjoint(headers.first):
        _check_only(headers)
    return int(headers.first.get(b"content-length", 0))  # the parser let digits only pass, and only one of it


def _is_ipv6(host: bytes) -> bool:
    """Whether it is an address in brackets, with a port or without."""
    if not (literal := IPV6.fullmatch(host)):
        return False
    try:
        IPv6Address(literal[1].decode())
    except AddressValueError:
        return False
    return True


def _check_only(headers: Headers) -> None:
    for name, (only, problem) in ONLY.items():
        if any(one == name and value.lower() != only for one, value in headers.raw):
            raise Problem(*problem)


def check_method(method: bytes, source: Source) -> None:
    """What is no POST can only be a handshake, and most sources know none."""
    allowed = sorted({"POST", *source.scheme.greets})
    if method.decode("latin-1") not in allowed:
        allow = {"allow": ", ".join(allowed)}
        raise Problem(405, "method_not_allowed", "deliveries are sent with POST", headers=allow)


def too_large(source: Source) -> Problem:
    return Problem(413, "too_large", f"the body is larger than {source.max_body_bytes} bytes")
