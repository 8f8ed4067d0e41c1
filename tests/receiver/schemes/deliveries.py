"""Requests as vendors send them, for the tests of the schemes."""

from collections.abc import Iterable
from typing import Any

import pytest

from receiver.schemes import Headers, Key, Refused, Request, Verified
from receiver.schemes.hmac import Hmac
from receiver.schemes.locator import compile_locator
from receiver.schemes.presets import preset, preset_names

NOW = 1_700_000_000.0
URL = "https://hooks.example.com/webhooks/acme"
SECRETS = {
    "stripe": b"whsec_test_secret",
    "github": b"a long random text",
    "standardwebhooks": b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "shopify": b"hush",
    "slack": b"8f742231b10e8888abcd99yyyzzz85a5",
}
TIMES = {"standardwebhooks": "webhook-timestamp", "slack": "X-Slack-Request-Timestamp"}
# Every preset whose HMAC covers any bytes as a body, and stands in a header.
HMACS = tuple(
    name
    for name in preset_names()
    if (known := preset(name, "here"))["scheme"] == "hmac"
    and known.get("content", "{body}").count("{body")
    and "body:" not in f"{known['signature']} {known.get('timestamp')} {known.get('content')}"
)
SIGNATURES = {name: compile_locator(preset(name, "here")["signature"], name).header_names[0] for name in HMACS}
"""The header that each of them signs in."""


def vendor(name: str, **keys: Any) -> Hmac:
    return Hmac({**preset(name, "preset"), **keys}, f"[sources.{name}]")


def acme(**keys: Any) -> Hmac:
    """A private vendor's scheme: the generic one with these keys."""
    return Hmac({"signature": "header:X-Acme-Signature", **keys}, "[sources.acme]")


def key_of(scheme: Hmac, secret: bytes = b"secret", reference: str = "env:SECRET") -> Key:
    return scheme.key(reference, secret, "[sources.acme] secrets[0]")


def request(headers: Iterable[tuple[str, str | bytes]], body: bytes, url: str = URL) -> Request:
    raw = [(name.lower().encode(), v if isinstance(v, bytes) else v.encode()) for name, v in headers]
    return Request("POST", url, Headers(raw), body)


def with_header(headers: Iterable[tuple[str, str]], name: str, value: str | bytes) -> list[tuple[str, str | bytes]]:
    """The same headers with this one's value replaced."""
    return [(n, value if n.lower() == name.lower() else v) for n, v in headers]


def signed(scheme: Hmac, key: Key, body: bytes, now: float = NOW) -> list[tuple[str, str]]:
    return scheme.sign(body, key, now, url=URL, id="msg_1", type=None).headers


def verified(scheme: Hmac, key: Key, headers: Iterable[tuple[str, str | bytes]], body: bytes) -> Verified:
    return scheme.verify(request(headers, body), [key], NOW)


def refusal(
    scheme: Hmac, key: Key, headers: Iterable[tuple[str, str | bytes]], body: bytes, now: float = NOW
) -> Refused:
    with pytest.raises(Refused) as caught:
        scheme.verify(request(headers, body), [key], now)
    return caught.value
