"""How a well-formed stream of bytes is damaged: anywhere, or where HTTP and signatures are most sensitive."""

from collections.abc import Callable
from random import Random

LINES = [
    b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: +5", b"Content-Length: 99999999999999999999",
    b"Content-Length:", b"Content-Length: 1048577", b"Content-Length: 300000000", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding:", b"Host: a, b",
    b"Host:", b"Host: evil.example", b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c",
    b"Connection: close", b"Connection: Upgrade", b"Content-Encoding: gzip", b"Content-Encoding: br, gzip",
    b"Expect: 100-continue", b"Expect: 200-ok", b"X-A: \0", b"X-A: a\rb", b"X-A: a\nb", b"X-A\0: b", b" folded",
    b"\tfolded", b"X-A : b", b": b", b"X-A", b"X-\xe9: b", b"X-A: \xff\xfe", b"Trailer: Stripe-Signature",
    b"X-Forwarded-Proto: gopher", b"X-Big: " + b"a" * 5000, b"X-Bigger: " + b"a" * 66_000,
    b"\r\n".join([b"X-A: 1"] * 101), b"x" * 300, b"Stripe-Signature: t=1,v1=0", b"X-Slack-Request-Timestamp: 1",
    b"webhook-id: a", b"X-GitHub-Delivery: other", b"X-GitHub-Delivery: \xff", b"X-GitHub-Delivery: a\x0bb",
    b"X-Signature: " + b"," * 4000, b"X-Signature: =",
]  # fmt: skip
STARTS = [
    b"GET /webhooks/stripe HTTP/1.1", b"HEAD /webhooks/stripe HTTP/1.1", b"post /webhooks/stripe HTTP/1.1",
    b"POST /webhooks/stripe", b"POST /webhooks/stripe HTTP/0.9", b"POST /webhooks/stripe HTTP/2.0",
    b"POST * HTTP/1.1", b"PRI * HTTP/2.0", b"CONNECT localhost:80 HTTP/1.1", b"CONNECT /webhooks/stripe HTTP/1.1",
    b"OPTIONS * HTTP/1.1", b"POST http://localhost/webhooks/stripe HTTP/1.1", b"POST //webhooks/stripe HTTP/1.1",
    b"POST /webhooks/%73tripe HTTP/1.1", b"POST /webhooks/stripe%00 HTTP/1.1", b"POST /webhooks/stripe%zz HTTP/1.1",
    b"POST /webhooks/strip\xe9 HTTP/1.1", b"POST /webhooks/stripe?" + b"a" * 66_000 + b" HTTP/1.1",
    b"POST /webhooks/../webhooks/stripe HTTP/1.1", b"POST /webhooks/stripe/ HTTP/1.1",
    b"POST /webhooks/stripe#a HTTP/1.1", b"POST /webhooks/stripe HTTP/1.1 ", b"SOURCE /webhooks/stripe ICE/1.0",
    b"PURGE /webhooks/batch HTTP/1.1", b"PUT /webhooks/github HTTP/1.1", b"",
]  # fmt: skip
WORDS = [
    b"\r\n", b"\n", b"\r", b"\0", b"\t", b" ", b"\x0b", b"\x7f", b"\x80", b",", b"=", b":", b";", b"%", b"{", b"}",
    b'"', b"\\", b"0\r\n\r\n", b"\r\n\r\n", b"ffffffffffffffff", b"-1", b"0x10", "１".encode(), "²".encode(), b"1_0",
    b"1e9", b"9" * 400, b"t=", b"v1=", b"v0=", b"v1,", b"sha256=", b"\\ud800", b"\\u0000", b"a" * 3000, b"evt_1",
    b"chunked", b";" + b"e" * 70_000 + b"\r\n", b"POST ", b" HTTP/1.1\r\n",
]  # fmt: skip
WIDE = {byte: chr(0xFF10 + byte - 0x30).encode() for byte in b"0123456789"}


def change(stream: bytes, random: Random) -> bytes:
    return random.choice(CHANGES)(stream, random) if stream else stream


def _place(stream: bytes, random: Random) -> int:
    """Mostly in a head, which is where most bytes mean something."""
    if random.randrange(4):
        return random.randrange(min(len(stream), 400) + 1)
    return random.randrange(len(stream) + 1)


def _slice(stream: bytes, random: Random) -> tuple[int, int]:
    start = _place(stream, random)
    return start, min(len(stream), start + random.choice([1, 1, 2, 5, 40, 3000]))


def _flip(stream: bytes, random: Random) -> bytes:
    at = min(_place(stream, random), len(stream) - 1)
    return stream[:at] + bytes([stream[at] ^ 1 << random.randrange(8)]) + stream[at + 1 :]


def _put(stream: bytes, random: Random) -> bytes:
    at = min(_place(stream, random), len(stream) - 1)
    return stream[:at] + bytes([random.randrange(256)]) + stream[at + 1 :]


def _drop(stream: bytes, random: Random) -> bytes:
    start, end = _slice(stream, random)
    return stream[:start] + stream[end:]


def _double(stream: bytes, random: Random) -> bytes:
    start, end = _slice(stream, random)
    return stream[:end] + stream[start:]


def _move(stream: bytes, random: Random) -> bytes:
    start, end = _slice(stream, random)
    rest = stream[:start] + stream[end:]
    at = _place(rest, random)
    return rest[:at] + stream[start:end] + rest[at:]


def _end(stream: bytes, random: Random) -> bytes:
    return stream[: random.randrange(len(stream) + 1)]


def _insert(stream: bytes, random: Random) -> bytes:
    at = _place(stream, random)
    return stream[:at] + random.choice(WORDS) + stream[at:]


def _letters(stream: bytes, random: Random) -> bytes:
    start, end = _slice(stream, random)
    return stream[:start] + stream[start:end].swapcase() + stream[end:]


def _digits(stream: bytes, random: Random) -> bytes:
    """Digits become others that int() takes as well, or far too many."""
    places = [at for at, byte in enumerate(stream[:2000]) if byte in WIDE]
    if not places:
        return stream
    at = random.choice(places)
    return stream[:at] + random.choice([WIDE[stream[at]], b"9" * 30, b"00", b" ", b"_"]) + stream[at + 1 :]


def _ends_of_lines(stream: bytes, random: Random) -> bytes:
    return stream.replace(
        b"\r\n", random.choice([b"\n", b"\r", b"\r\r\n", b"\n\r", b" \r\n"]), random.choice([1, 3, -1])
    )


def _header(stream: bytes, random: Random) -> bytes:
    """One of the lines of a head, once more, elsewhere, away, or replaced."""
    head, end, rest = stream.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    at = random.randrange(len(lines) + 1)
    kind = random.randrange(4)
    if kind == 0:
        lines.insert(at, random.choice(LINES))
    elif lines:
        line = random.choice(lines)
        if kind != 1:
            lines.remove(line)
        if kind != 2:
            lines.insert(min(at, len(lines)), line)
    return b"\r\n".join([first, *lines]) + end + rest


def _start(stream: bytes, random: Random) -> bytes:
    _, end, rest = stream.partition(b"\r\n")
    return random.choice(STARTS) + end + rest


CHANGES: list[Callable[[bytes, Random], bytes]] = [
    _flip, _put, _drop, _double, _move, _end, _insert, _insert, _letters, _digits, _ends_of_lines, _header, _header,
    _header, _start,
]  # fmt: skip
