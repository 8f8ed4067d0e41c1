"""Vendors who send the secret itself along."""

from base64 import b64encode
from typing import Any

import pytest

from receiver.errors import UserError
from receiver.schemes import Headers, Key, Refused, Request
from receiver.schemes.token import Token

NEW, OLD = Key("env:NEW", b"s3cret"), Key("env:OLD", b"old:one")


def scheme(signature: str | list[str] = "header:X-Token", **keys: Any) -> Token:
    return Token({"signature": signature, **keys}, "[sources.acme]")


def request(*headers: tuple[bytes, bytes], body: bytes = b"{}", query: bytes = b"") -> Request:
    return Request("POST", "", Headers(list(headers)), body, query)


def refusal(scheme: Token, request: Request, *keys: Key) -> str:
    with pytest.raises(Refused) as caught:
        scheme.verify(request, keys or (NEW, OLD), 0)
    assert "s3cret" not in caught.value.detail
    return caught.value.code


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        (b"s3cret", NEW),
        (b"old:one", OLD),
        (b"Bearer s3cret", NEW),
        (b"bearer s3cret", NEW),
        (b"Basic " + b64encode(b"old:one"), OLD),
    ],
)
def test_the_token_is_one_of_the_secrets(sent: bytes, key: Key) -> None:
    assert scheme().verify(request((b"x-token", sent)), (NEW, OLD), 0) == (key, None, None)


@pytest.mark.parametrize(
    "sent",
    [b"s3cre", b"s3cret ", b"S3CRET", b"Bearer  s3cret", b"Basic s3cret", b"Basic !", b"\xff\xfe", b"s3cret, s3cret"],
)
def test_whatever_else_is_refused(sent: bytes) -> None:
    assert refusal(scheme(), request((b"x-token", sent))) == "signature_mismatch"


def test_without_a_secret_nothing_is_right() -> None:
    with pytest.raises(Refused, match="no_keys"):
        scheme().verify(request((b"x-token", b"s3cret")), (), 0)


@pytest.mark.parametrize("sent", [b"", b"x" * 5000])
def test_no_token_and_a_huge_one_are_refused(sent: bytes) -> None:
    assert refusal(scheme(), request((b"x-token", sent))) in ("signature_missing", "signature_malformed")
    assert refusal(scheme(), request()) == "signature_missing"


def test_of_two_headers_neither_counts() -> None:
    twice = request((b"x-token", b"s3cret"), (b"x-token", b"s3cret"))
    assert refusal(scheme(), twice) == "signature_malformed"


def test_a_token_may_stand_in_the_query() -> None:
    either = scheme(["header:X-Token", "query:code"])
    assert either.verify(request(query=b"a=b&code=s3cret"), (NEW,), 0).key is NEW
    assert refusal(either, request(query=b"code=s3cre&code=s3cret")) == "signature_mismatch"
    assert refusal(either, request((b"x-token", b"no"), query=b"code=s3cret")) == "signature_mismatch"


def test_where_a_token_stands_in_the_query_nothing_of_it_is_to_be_kept() -> None:
    assert scheme(["header:X-Token", "query:code", "{query:a}.{body:b}"]).query_credentials == {"code", "a"}
    assert scheme().query_credentials == set()


BATCH = {"signature": "body:state", "items": "body:value[*]"}


def test_in_a_batch_each_items_token_has_to_be_right() -> None:
    batch = scheme(**BATCH)
    right = b'{"value": [{"state": "s3cret"}, {"state": "s3cret"}]}'
    assert batch.verify(request(body=right), (NEW,), 0).key is NEW
    assert refusal(batch, request(body=right.replace(b"s3cret", b"s3cre", 1))) == "signature_mismatch"
    assert refusal(batch, request(body=b'{"value": [{"state": "s3cret"}, {}]}')) == "signature_missing"
    assert refusal(batch, request(body=b'{"value": []}')) == "signature_missing"
    assert refusal(batch, request(body=b"no json")) == "signature_missing"


@pytest.mark.parametrize("keys", [{"signature": "header:X-Token"}, {"signature": "query:code"}, BATCH])
def test_what_it_signs_it_verifies(keys: dict[str, Any]) -> None:
    made = scheme(**keys)
    signed = made.sign(b'{"value": [{}, {}]}', NEW, 0, url="", id=None, type=None)
    headers = [(name.lower().encode(), value.encode()) for name, value in signed.headers]
    assert made.verify(request(*headers, body=signed.body, query=signed.query.encode()), (NEW,), 0).key is NEW


def test_a_place_for_the_token_is_needed() -> None:
    with pytest.raises(UserError, match="needs a signature"):
        Token({}, "[sources.acme]")
