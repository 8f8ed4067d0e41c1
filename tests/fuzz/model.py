"""Who signed a request, and which event it is: from vendors' documentation, with the standard library only.

It knows no more than what a signature covers and where an id stands. Limits that only refuse more (sizes, numbers of
signatures) are not in it: it says what may be accepted at the most.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from tests.fuzz.framing import Asked

SECRET = b"whsec_dGhlIHNlY3JldCBvZiB0aGUgZnV6eg=="
DECODED = base64.b64decode(SECRET.removeprefix(b"whsec_"))
TOLERANCE_S = 300
MADE_OF_BYTES = "sha256:"
DEEPEST = 200

Ids = list[str]


def accepted(asked: Asked, at: int) -> tuple[str, Ids] | None:
    """The source and the external ids, if a receiver whose clock says `at` may accept this; else None."""
    path = unquote_to_bytes(asked.target.partition(b"?")[0])
    name = path.removeprefix(b"/webhooks/").decode("latin-1")
    if asked.method != b"POST" or not path.startswith(b"/webhooks/") or name not in SOURCES:
        return None
    if asked.all(b"upgrade") or any(value.lower() != b"identity" for value in asked.all(b"content-encoding")):
        return None
    ids = SOURCES[name](asked, at)
    return None if ids is None else (name, ids)


def stripe(asked: Asked, at: int) -> Ids | None:
    """https://docs.stripe.com/webhooks#verify-manually"""
    parts = (asked.only(b"stripe-signature") or b"").split(b",")
    pairs = [element.partition(b"=")[::2] for element in parts if b"=" in element]
    times = [value for name, value in pairs if name == b"t"]
    signatures = [value.lower() for name, value in pairs if name == b"v1"]
    if len(times) != 1 or not in_time(times[0], at) or hex_mac(SECRET, times[0] + b"." + asked.body) not in signatures:
        return None
    return [vendor_id(member(asked.body, "id")) or made_of(asked.body)]


def github(asked: Asked, at: int) -> Ids | None:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"""
    if b"sha256=" + hex_mac(SECRET, asked.body) not in elements(asked, b"x-hub-signature-256"):
        return None
    deliveries = asked.all(b"x-github-delivery")
    if len(deliveries) > 1:
        return None
    return [vendor_id(text(deliveries[0]) if deliveries else None) or made_of(asked.body)]


def slack(asked: Asked, at: int) -> Ids | None:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    time = asked.only(b"x-slack-request-timestamp") or b""
    signature = b"v0=" + hex_mac(SECRET, b"v0:" + time + b":" + asked.body)
    if not in_time(time, at) or signature not in elements(asked, b"x-slack-signature"):
        return None
    return [vendor_id(member(asked.body, "event_id")) or made_of(asked.body)]


def standardwebhooks(asked: Asked, at: int) -> Ids | None:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""
    id, time = asked.only(b"webhook-id"), asked.only(b"webhook-timestamp")
    if not id or not time or not in_time(time, at):
        return None
    mac = hmac.new(DECODED, id + b"." + time + b"." + asked.body, hashlib.sha256).digest()
    if b"v1," + base64.b64encode(mac) not in (asked.only(b"webhook-signature") or b"").split(b" "):
        return None
    return [vendor_id(text(id)) or made_of(asked.body)]


def addressed(asked: Asked, at: int) -> Ids | None:
    """A vendor of our own, which signs the address too."""
    _, question, query = asked.target.partition(b"?")
    url = b"http://" + (asked.only(b"host") or b"") + b"/webhooks/addressed" + (question + query if query else b"")
    mac = hmac.new(SECRET, url + asked.body, hashlib.sha512).digest()
    if base64.b64encode(mac) not in (asked.only(b"x-signature") or b"").split(b","):
        return None
    return [vendor_id(member(asked.body, "id")) or made_of(asked.body)]


def batch(asked: Asked, at: int) -> Ids | None:
    """A vendor of our own, whose events come by the dozen."""
    if hex_mac(SECRET, asked.body) not in elements(asked, b"x-signature"):
        return None
    items = member(asked.body, "events")
    if not isinstance(items, list):
        return [vendor_id(member(asked.body, "id")) or made_of(asked.body)]
    return [vendor_id(item.get("id") if isinstance(item, dict) else None) or MADE_OF_BYTES for item in items]


SOURCES: dict[str, Callable[[Asked, int], Ids | None]] = {
    "stripe": stripe,
    "github": github,
    "slack": slack,
    "standardwebhooks": standardwebhooks,
    "addressed": addressed,
    "batch": batch,
}


def elements(asked: Asked, header: bytes) -> list[bytes]:
    """Of a header that is there once, hex digits in small letters."""
    return (asked.only(header) or b"").lower().split(b",")


def hex_mac(key: bytes, content: bytes) -> bytes:
    return hmac.new(key, content, hashlib.sha256).hexdigest().encode()


def in_time(digits: bytes, at: int) -> bool:
    return bool(re.fullmatch(rb"[0-9]{1,12}", digits)) and abs(int(digits) - at) <= TOLERANCE_S


def made_of(body: bytes) -> str:
    return MADE_OF_BYTES + hashlib.sha256(body).hexdigest()


def vendor_id(value: Any) -> str | None:
    """1 to 255 printable characters; an integer is its decimal text."""
    if type(value) is int:
        value = "" if abs(value) >= 10**255 else str(value)
    if not isinstance(value, str) or not 0 < len(value) <= 255 or "\ufffd" in value:
        return None
    return value if value.isprintable() else None


def text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def member(body: bytes, name: str) -> Any:
    """Of the object that the body is, as strict JSON; None if it is none."""
    try:
        value = json.loads(body.decode(), parse_constant=_refuse, parse_int=_integer, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    return value.get(name) if isinstance(value, dict) and _depth(value) <= DEEPEST else None


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) < 4000 else None


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(digits)
    return value


def _depth(value: Any) -> int:
    depth, layer = 0, [value]
    while layer:
        depth += 1
        layer = [inner for outer in layer for inner in _inside(outer)]
    return depth - 1


def _inside(value: Any) -> list[Any]:
    return list(value.values() if isinstance(value, dict) else value) if isinstance(value, dict | list) else []
