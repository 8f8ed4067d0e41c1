"""Inputs: honest requests of every source, then changed here and there, then cut into what a socket may deliver.

All chance comes from the `Random` that is given, which is a seeded one, or hypothesis's own.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from random import Random
from typing import Any

from tests.fuzz.changes import change
from tests.fuzz.model import DECODED, SECRET, hex_mac

AT = 1_700_000_000
"""The wall clock of every run: it stands still, so that a signature that was made once is valid for ever."""

Pairs = list[tuple[bytes, bytes]]
ODD_IDS: list[Any] = [
    "", " ", "é", "１２３", "a\x00b", "a\nb", "\u2028", "\ufffd", "\ud800", "x" * 255, "x" * 256, "ev_0", "sha256:0",
    None, True, 0, -1, 2**63, 10**254, 10**255, 1.5, [], {}, ["evt_1"], {"id": 1},
]  # fmt: skip
ODD_BODIES = [
    b"", b"null", b"[]", b"{}", b'"id"', b"1e999", b'{"id": 1e999}', b'{"id": NaN}', b"\xef\xbb\xbf{}", b"\xff",
    b"{" * 300, b"[" * 100_000, b'{"a":' * 199 + b"1" + b"}" * 199, b'{"id": "a", "id": "b"}',
    b'{"id": ' + b"9" * 5000 + b"}", '{"id": "a"}'.encode("utf-16"), b'{"id": "\\ud83d\\ude00"}',
    b'{"id": "\\ud83d"}', b"a=1&id=2", b"\0" * 9000,
]  # fmt: skip
AWAY_S = [0] * 12 + [299, 300, 301, -299, -300, -301, 400, -400, AT, -AT, 10**11, -10]


def make(random: Random) -> list[bytes]:
    """What arrives on one connection, piece by piece."""
    stream = b"".join([request(random) for _ in range(random.choice([1, 1, 1, 1, 2, 3]))])
    for _ in range(random.choice([0, 1, 1, 1, 1, 2, 3, 6])):
        stream = change(stream, random)
    return cut(stream, random)


def request(random: Random) -> bytes:
    if random.randrange(20) == 0:
        return page(random)
    name = random.choice(list(SIGNED))
    body = new_body(random)
    path = f"/webhooks/{name}{random.choice(['', '', '', '', '?a=1', '?a=%20b&c', '?'])}"
    headers = [(b"Host", b"localhost:8000"), *SIGNED[name](body, path, random)]
    headers += random.sample(HARMLESS, random.randrange(4))
    random.shuffle(headers)
    coding, coded = framed(body, random)
    head = b"".join(b"%b: %b\r\n" % header for header in [*headers, coding])
    return b"POST %b HTTP/1.%d\r\n%b\r\n%b" % (path.encode(), random.randrange(20) != 0, head, coded)


HARMLESS: Pairs = [
    (b"Content-Type", b"application/json"), (b"User-Agent", b"fuzz/1"), (b"Accept", b"*/*"),
    (b"Connection", b"keep-alive"), (b"Expect", b"100-continue"), (b"X-Forwarded-Proto", b"https"),
    (b"Content-Encoding", b"identity"), (b"X-Empty", b""), (b"Authorization", b"Bearer x"), (b"X-Latin", b"\xe9"),
    (b"TE", b"trailers"), (b"Connection", b"close"),
]  # fmt: skip


def page(random: Random) -> bytes:
    method = random.choice([b"GET", b"HEAD", b"POST", b"OPTIONS"])
    path = random.choice(
        [b"/healthz", b"/nope", b"/v1/events", b"/", b"/webhooks", b"/webhooks/nope", b"/webhooks/stripe"]
    )
    return b"%b %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % (method, path)


def new_body(random: Random) -> bytes:
    kind = random.randrange(10)
    if kind == 0:
        return random.choice(ODD_BODIES)
    if kind == 1:
        return random.randbytes(7) * random.choice([1, 10, 10_000])
    event = {
        "id": new_id(random),
        "event_id": new_id(random),
        "type": random.choice(["a.b", "url_verification", 1, None]),
    }
    if kind == 2:
        event["challenge"] = random.choice(["c", "<b>", "\r\n", 1, None])
    if kind > 7:
        event["events"] = [{"id": new_id(random)} for _ in range(random.randrange(5))]
    return json.dumps(event, ensure_ascii=random.randrange(2) == 0).encode("utf-8", "surrogatepass")


def new_id(random: Random) -> Any:
    return random.choice(ODD_IDS) if random.randrange(4) == 0 else f"evt_{random.randrange(10**6)}"


def framed(body: bytes, random: Random) -> tuple[tuple[bytes, bytes], bytes]:
    """The header that says where the body ends, and the body as it is then sent."""
    if random.randrange(3):
        return (b"Content-Length", b"%d" % len(body)), body
    coded, size = b"", random.choice([1000, 4096, 100_000])
    for start in range(0, len(body), size):
        chunk = body[start : start + size]
        coded += b"%x%b\r\n%b\r\n" % (len(chunk), random.choice([b"", b"", b";a=b"]), chunk)
    trailer = random.choice([b"", b"", b"", b"X-Trailer: 1\r\n"])
    return (b"Transfer-Encoding", b"chunked"), coded + b"0\r\n" + trailer + b"\r\n"


# ── as the sources sign ──


def _time(random: Random) -> bytes:
    return b"%d" % max(0, AT + random.choice(AWAY_S))


def _secret(random: Random) -> bytes:
    return SECRET if random.randrange(12) else random.choice([b"", b"whsec_other", DECODED, SECRET[6:]])


def _stripe(body: bytes, path: str, random: Random) -> Pairs:
    time = _time(random)
    elements = [b"t=" + time, b"v1=" + hex_mac(_secret(random), time + b"." + body)]
    elements += random.sample(
        [b"v0=" + b"0" * 64, b"v1=" + b"0" * 64, b"", b"t=1", b"x"], random.choice([0, 0, 0, 1, 2])
    )
    random.shuffle(elements)
    return [(b"Stripe-Signature", b",".join(elements))]


def _github(body: bytes, path: str, random: Random) -> Pairs:
    id = str(new_id(random)).replace("\n", "").replace("\0", "").encode("utf-8", "surrogatepass")
    signature = b"sha256=" + hex_mac(_secret(random), body)
    return [(b"X-Hub-Signature-256", signature), (b"X-GitHub-Delivery", id), (b"X-GitHub-Event", b"push")]


def _slack(body: bytes, path: str, random: Random) -> Pairs:
    time = _time(random)
    signature = b"v0=" + hex_mac(_secret(random), b"v0:" + time + b":" + body)
    return [(b"X-Slack-Request-Timestamp", time), (b"X-Slack-Signature", signature)]


def _standardwebhooks(body: bytes, path: str, random: Random) -> Pairs:
    time, id = _time(random), b"msg_%d" % random.randrange(10**6)
    key = DECODED if random.randrange(12) else SECRET
    mac = hmac.digest(key, b"%b.%b.%b" % (id, time, body), hashlib.sha256)
    signature = b" ".join([*random.choice([[], [b"v1a,AAAA"]]), b"v1," + base64.b64encode(mac)])
    return [(b"webhook-id", id), (b"webhook-timestamp", time), (b"webhook-signature", signature)]


def _addressed(body: bytes, path: str, random: Random) -> Pairs:
    url = f"http://localhost:8000{path.removesuffix('?')}".encode()
    return [(b"X-Signature", base64.b64encode(hmac.digest(_secret(random), url + body, hashlib.sha512)))]


def _batch(body: bytes, path: str, random: Random) -> Pairs:
    return [(b"X-Signature", hex_mac(_secret(random), body))]


SIGNED: dict[str, Callable[[bytes, str, Random], Pairs]] = {
    "stripe": _stripe, "github": _github, "slack": _slack, "standardwebhooks": _standardwebhooks,
    "addressed": _addressed, "batch": _batch,
}  # fmt: skip


def cut(stream: bytes, random: Random) -> list[bytes]:
    """In one piece, in a few, or, where it is short, in single bytes."""
    if random.randrange(60) == 0 and len(stream) < 3000:
        return [bytes([byte]) for byte in stream]
    places = sorted(random.randrange(len(stream) + 1) for _ in range(random.choice([0, 0, 0, 1, 2, 5])))
    pieces = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    return [piece for piece in pieces if piece]
