"""Where a request begins and ends, after RFC 9112 and nothing else: what a reader of it would call right.

Stricter than most servers, and much slower. It is the measure for what may be accepted: a request that is none here, or
another one, must not be.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

START = re.compile(rb"([A-Z][A-Z-]*) +(/[!-~]*) +HTTP/1\.([01])")
HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(;[\t -~\x80-\xff]*)?")
LENGTH = re.compile(rb"[0-9]{1,18}")
END = b"\r\n"


@dataclass
class Asked:
    """One request. `whole` is False where the bytes end before it does."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    version: bytes
    body: bytes = field(default=b"", repr=False)
    whole: bool = True

    def all(self, name: bytes) -> list[bytes]:
        return [value for one, value in self.headers if one == name]

    @property
    def is_delivery(self) -> bool:
        return self.target.startswith(b"/webhooks/")

    @property
    def closes(self) -> bool:
        """Whether it says that nothing follows: what does may cost it its answer."""
        said = b",".join(self.all(b"connection")).lower()
        return self.version == b"0" or b"close" in [word.strip() for word in said.split(b",")]

    def only(self, name: bytes) -> bytes | None:
        """The value of a header that is there exactly once."""
        values = self.all(name)
        return values[0] if len(values) == 1 else None


class NotHttp(Exception):
    """From here on nothing may be accepted."""


def requests(stream: bytes) -> Iterator[Asked | None]:
    """All that stand in the stream, in order; at last None, if what follows is none."""
    try:
        while stream := stream.lstrip(b"\r\n"):
            asked, rest = _next(stream)
            if asked is None:
                return
            yield asked
            if not asked.whole:
                return
            stream = rest
    except NotHttp:
        yield None


def _next(stream: bytes) -> tuple[Asked | None, bytes]:
    head, found, rest = stream.partition(END + END)
    first, *lines = head.split(END)
    if not found:
        return None, b""
    start = _match(START, first)
    headers = [(match[1].lower(), match[2]) for match in (_match(HEADER, line) for line in lines)]
    asked = Asked(start[1], start[2], headers, start[3])
    hosts = len(asked.all(b"host"))
    is_old_probe = asked.version == b"0" and not asked.is_delivery and not hosts
    if hosts != 1 and not is_old_probe:
        raise NotHttp
    asked.body, asked.whole, rest = _body(asked, rest)
    return asked, rest


def _body(asked: Asked, rest: bytes) -> tuple[bytes, bool, bytes]:
    lengths, codings = asked.all(b"content-length"), asked.all(b"transfer-encoding")
    if codings:
        if lengths or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise NotHttp
        return _chunks(rest)
    if not lengths:
        return b"", True, rest
    if len(lengths) > 1 or not LENGTH.fullmatch(lengths[0]):
        raise NotHttp
    length = int(lengths[0])
    return rest[:length], len(rest) >= length, rest[length:]


def _chunks(rest: bytes) -> tuple[bytes, bool, bytes]:
    body = b""
    while True:
        line, found, rest = rest.partition(END)
        if not found:
            return body, False, b""
        size = int(_match(CHUNK, line)[1], 16)
        if size == 0:
            whole, rest = _trailers(rest)
            return body, whole, rest
        body += rest[:size]
        if len(rest) < size + 2:
            return body, False, b""
        if rest[size : size + 2] != END:
            raise NotHttp
        rest = rest[size + 2 :]


def _trailers(rest: bytes) -> tuple[bool, bytes]:
    while True:
        line, found, rest = rest.partition(END)
        if not found:
            return False, b""
        if not line:
            return True, rest
        _match(HEADER, line)


def _match(pattern: re.Pattern[bytes], line: bytes) -> re.Match[bytes]:
    found = pattern.fullmatch(line)
    if not found:
        raise NotHttp
    return found
