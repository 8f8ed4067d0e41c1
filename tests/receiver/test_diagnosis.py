"""What the signature doctor says of requests in which one thing went wrong."""

import base64
import gzip
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from receiver.diagnosis import Case, Secret, causes, hint
from receiver.schemes import Headers, Request
from receiver.schemes.presets import preset, preset_names
from receiver.sources import make_scheme

NOW = 1_700_000_000.0
URL = "https://hooks.example.com/webhooks/acme"
RAW = base64.b64encode(b"a key of some length").decode()
BODY = b'{"id": "evt_1", "amount": 1.50, "name": "Zo\xc3\xab", "url": "a/b"}'


def case(
    keys: Mapping[str, Any],
    headers: Mapping[str, str],
    body: bytes = BODY,
    *,
    secret: bytes = b"secret",
    other: bytes = b"another",
    url: str = URL,
    not_after: float | None = None,
) -> Case:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    own = [Secret("acme", "env:ACME", secret)]
    others = [Secret("shop", "env:SHOP", other)]
    presets = {name: preset(name, "") for name in ("stripe", "github")}
    request = Request("POST", url, Headers(raw), body)
    made = make_scheme(keys, "[sources.acme]")
    own_keys = [replace(made.key("env:ACME", secret, ""), not_after=not_after)]
    return Case(
        "acme", keys, request, NOW, own_keys, own, others, presets, lambda merged: make_scheme(merged, "[sources.acme]")
    )


def mac(content: bytes, secret: bytes = b"secret", hash: str = "sha256") -> bytes:
    return hmac.new(secret, content, hash).digest()


PLAIN = {"scheme": "hmac", "signature": "header:X-Signature"}


def first(keys: Mapping[str, Any], signature: str, body: bytes = BODY, **more: Any) -> str:
    found = causes(case({**PLAIN, **keys}, {"X-Signature": signature}, body, **more))
    assert found, "no cause was found"
    text = " | ".join(f"{cause.what}: {cause.fix}" for cause in found)
    assert mac(body).hex() not in text
    return found[0].what


def test_what_is_right_has_no_cause_to_tell() -> None:
    assert causes(case(PLAIN, {"X-Signature": mac(BODY).hex()})) == []


def test_another_sources_secret() -> None:
    said = first({}, mac(BODY, b"another").hex())
    assert said == "it is signed with env:SHOP, the secret of the source shop"


def test_a_secret_that_has_ended() -> None:
    assert "which has ended" in first({}, mac(BODY).hex(), not_after=NOW - 1)


@pytest.mark.parametrize(
    ("signed", "said"),
    [
        (BODY + b"\n", "the newline at its end was cut off"),
        (BODY + b"\r\n", "(CR LF) at its end was cut off"),
        (b"\xef\xbb\xbf" + BODY, "the byte order mark before it was cut off"),
        (json.dumps(json.loads(BODY), separators=(",", ":")).encode(), "parsed and written anew"),
        (json.dumps(json.loads(BODY), indent=2, ensure_ascii=False).encode(), "parsed and written anew"),
        (BODY.replace(b"/", rb"\/"), "slashes lost"),
        (b"", "an empty one was signed"),
        (gzip.compress(BODY, mtime=0), "decompressed"),
    ],
)
def test_a_body_that_was_changed_on_its_way(signed: bytes, said: str) -> None:
    assert said in first({}, mac(signed).hex())


@pytest.mark.parametrize(
    ("came", "signed", "said"),
    [
        (BODY + b"\n", BODY, "a newline was added"),
        (b"\xef\xbb\xbf" + BODY, BODY, "a byte order mark was put before it"),
        (b"a\r\nb\r\n", b"a\nb\n", "became CR LF"),
        (b"a\nb", b"a\r\nb", "became LF"),
        (b"payload=%7B%22a%22%3A1%7D", b'{"a":1}', "form"),
        (b'a=1&b={"c": "d e"}', b'{"c": "d e"}', "form field 'b'"),
        ("Zoë".encode("latin-1"), "Zoë".encode(), "another encoding"),
        ("Zoë".encode(), "Zoë".encode("latin-1"), "UTF-8 twice"),
    ],
)
def test_a_body_to_which_something_was_added(came: bytes, signed: bytes, said: str) -> None:
    assert said in first({}, mac(signed).hex(), came)


@pytest.mark.parametrize(
    ("keys", "text", "key", "said"),
    [
        ({}, RAW.encode(), base64.b64decode(RAW), "read as base64"),
        ({}, b"whsec_" + RAW.encode(), base64.b64decode(RAW), "read as base64 after whsec_"),
        (
            {"secret_encoding": "base64", "secret_prefix": "whsec_"},
            f"whsec_{RAW}".encode(),
            f"whsec_{RAW}".encode(),
            "read as utf8",
        ),
        ({}, b"00ff10", bytes.fromhex("00ff10"), "read as hex"),
        ({}, b"secret\n", b"secret", "white space"),
        ({}, b'"secret"', b"secret", "quotes"),
    ],
)
def test_a_secret_that_is_decoded_in_another_way(keys: dict[str, str], text: bytes, key: bytes, said: str) -> None:
    assert said in first(keys, mac(BODY, key).hex(), secret=text)


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        (base64.b64encode(mac(BODY)).decode(), "encoding = base64"),
        (mac(BODY, hash="sha1").hex(), "hash = sha1"),
        (base64.b64encode(mac(BODY, hash="sha512")).decode(), "sha512 in base64"),
        ("sha256=" + mac(BODY).hex(), "signature_format = sha256={signature}"),
    ],
)
def test_a_signature_of_another_kind(signature: str, said: str) -> None:
    assert said in first({}, signature)


def test_base64_that_should_be_hex() -> None:
    assert "encoding = hex" in first({"encoding": "base64"}, mac(BODY).hex())


@pytest.mark.parametrize(("age_s", "said"), [(1000, "1000 s ahead of"), (-1000, "1000 s behind")])
def test_a_clock_that_is_off(age_s: int, said: str) -> None:
    at = int(NOW) - age_s
    signature = f"t={at},v1={mac(f'{at}.'.encode() + BODY, b'secret').hex()}"
    assert said in causes(case(preset("stripe", ""), {"Stripe-Signature": signature}))[0].what


def test_a_time_in_another_unit() -> None:
    keys = {**PLAIN, "content": "{timestamp}.{body}", "timestamp": "header:X-Time"}
    at = str(int(NOW * 1000))
    headers = {"X-Time": at, "X-Signature": mac(f"{at}.".encode() + BODY).hex()}
    assert "timestamp_unit = ms" in causes(case(keys, headers))[0].what


def test_another_vendors_request() -> None:
    found = causes(case(PLAIN, {"X-Hub-Signature-256": f"sha256={mac(BODY).hex()}"}))
    assert found[0].what == "it is signed as the preset github says, with env:ACME of the source acme"


def test_another_address() -> None:
    keys = {**PLAIN, "content": "{url}{body}"}
    signature = mac(b"http://hooks.example.com/webhooks/acme" + BODY).hex()
    assert "http://hooks.example.com/webhooks/acme" in causes(case(keys, {"X-Signature": signature}))[0].what


def test_two_things_at_once() -> None:
    said = first({}, mac(BODY + b"\n", b"another").hex())
    assert "the source shop" in said
    assert "newline" in said


def test_what_nothing_explains_says_so() -> None:
    unknown = case(PLAIN, {"X-Signature": "0" * 64, "X-Other-Signature": "1"})
    assert causes(unknown) == []
    assert "x-signature, x-other-signature" in hint(unknown).what
    assert "no header that looks like" in hint(case(PLAIN, {})).what


@pytest.mark.parametrize(("live", "mode"), [(b"true", "live"), (b"false", "test")])
def test_a_mode_of_its_own_is_hinted_at(live: bytes, mode: str) -> None:
    body = b'{"livemode": ' + live + b"}"
    assert f"of {mode} mode" in hint(case(PLAIN, {"X-Signature": "0" * 64}, body)).what


def test_odd_bodies_are_no_trouble() -> None:
    for body in (b"", b"[" * 100_000, b"\xff" * 10, b'{"a": 1e999}', b'"\\ud800"'):
        assert causes(case(PLAIN, {"X-Signature": hashlib.sha256(b"x").hexdigest()}, body)) == []
    assert set(preset_names()) >= {"stripe", "github"}
