"""Vendors with code of their own: what they sign they verify, and no bytes break them. Verdicts: see the vectors."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.errors import UserError
from receiver.schemes import Headers, Refused, Request
from receiver.schemes.adyen import Adyen
from receiver.schemes.presets import preset
from tests.vendors.sources import received, request_of, sent, source_of

ROOT = Path(__file__).parents[3] / "fixtures"
NOW = 1_760_000_000
SECRET = {"secrets": [f"literal:{'5a' * 32}"]}
FIXTURES = {
    "adyen": "adyen/AUTHORISATION",
    "box": "box/FILE.UPLOADED",
    "braintree": "braintree/subscription_went_past_due",
    "contentful": "contentful/ContentManagement.Entry.publish",
    "mailgun": "mailgun/delivered",
    "rfc9421": "rfc9421/order.created",
    "twilio": "twilio/delivered",
}
each = pytest.mark.parametrize("name", FIXTURES)
LATIN = st.text(st.characters(max_codepoint=0xFF), max_size=80)


def signed(name: str, body: bytes | None = None) -> tuple[Any, Request]:
    source = source_of(name, SECRET)
    type = FIXTURES[name].partition("/")[2]
    body = (ROOT / f"{FIXTURES[name]}.json").read_bytes() if body is None else body
    made = sent(source, body, NOW, id="id-1", type=type)
    return source, request_of(source, made.headers, made.body, query=made.query)


@each
def test_what_a_vendor_signs_verifies_and_has_the_fixtures_type(name: str) -> None:
    source, request = signed(name)
    outcome = received(source, request, NOW)
    assert outcome.verdict == "accepted"
    assert FIXTURES[name] == f"{name}/{outcome.types[0]}"


@pytest.mark.parametrize("name", sorted(FIXTURES.keys() - {"adyen", "mailgun"}))  # they have none
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_no_header_breaks_it(name: str, data: st.DataObject) -> None:
    source, request = signed(name)
    at = data.draw(st.integers(0, len(request.headers.raw) - 1))
    old = request.headers.raw[at][1]
    new = data.draw(st.binary(max_size=80) | st.just(old[:-1]) | st.just(old + b","))
    raw = [(key, new if place == at else value) for place, (key, value) in enumerate(request.headers.raw)]
    altered = Request("POST", request.url, Headers(raw), request.body, request.query, source.scheme.parse)
    received(source, altered, NOW)


@each
@settings(max_examples=50, deadline=None)
@given(
    body=st.binary(max_size=300)
    | st.from_regex(r"\A(\[|\{|\"a\"|:|1|null|,|\}|\]|&|=|%[0-9a-f]?){0,20}\Z").map(str.encode)
)
def test_no_body_breaks_it(name: str, body: bytes) -> None:
    source, request = signed(name)
    altered = Request("POST", request.url, request.headers, body, request.query, source.scheme.parse)
    outcome = received(source, altered, NOW)
    assert outcome.verdict != "accepted" or body == request.body or (name == "twilio" and not body.strip(b"&"))


@each
@given(query=LATIN)
@settings(max_examples=30, deadline=None)
def test_no_query_breaks_it(name: str, query: str) -> None:
    source, request = signed(name)
    text = query.encode("latin-1")
    altered = Request("POST", f"{request.url}?{query}", request.headers, request.body, text, source.scheme.parse)
    received(source, altered, NOW)


@pytest.mark.parametrize("name", ["adyen", "mailgun"])
@pytest.mark.parametrize("body", [b"", b"[]", b'"a"', b"a=1"])
def test_what_has_no_place_for_a_signature_cannot_be_sent(name: str, body: bytes) -> None:
    with pytest.raises(UserError, match="no place for its signature"):
        signed(name, body)


def test_braintree_sends_forms_with_a_payload_only() -> None:
    with pytest.raises(UserError, match="bt_payload"):
        signed("braintree", b"{}")


def test_a_value_that_adyen_never_sends_cannot_be_signed() -> None:
    scheme = Adyen(preset("adyen", "here"), "[sources.adyen]")
    key = scheme.key("env:KEY", b"5a5a", "[sources.adyen] secrets[0]")
    body = b'{"notificationItems":[{"NotificationRequestItem":{"pspReference":["a"]}}]}'
    with pytest.raises(UserError, match="cannot be signed: pspReference"):
        scheme.sign(body, key, NOW, url="", id=None, type=None)


@pytest.mark.parametrize("name", ["adyen", "microsoft-graph"])
def test_of_a_forged_batch_no_more_than_the_first_wrong_item_is_read(name: str) -> None:
    items = "notificationItems" if name == "adyen" else "value"
    source, body = source_of(name, SECRET), json.dumps({items: [0] * 200_000}).encode()
    request = Request("POST", "", Headers([]), body, b"", source.scheme.parse)
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="signature_missing"):
            source.scheme.verify(request, source.keys, NOW)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@given(text=st.text(st.characters(codec="utf-8") | st.sampled_from('"\\\n\x00\x7fé€😀'), max_size=30))
def test_box_may_sign_its_body_with_escapes_in_place_of_what_is_beyond_ascii(text: str) -> None:
    body = f'{{"a":"{text}"}}'
    escaped = "".join(char if char.isascii() else json.dumps(char)[1:-1] for char in body)
    source, request = signed("box", escaped.encode())
    spelled = Request("POST", request.url, request.headers, body.encode(), b"", source.scheme.parse)
    assert source.scheme.verify(spelled, source.keys, NOW).key == source.keys[0]


def test_a_source_of_twilio_without_a_secret_accepts_nothing() -> None:
    _, request = signed("twilio")
    with pytest.raises(Refused, match="no_keys"):
        source_of("twilio", {}).scheme.verify(request, (), NOW)
