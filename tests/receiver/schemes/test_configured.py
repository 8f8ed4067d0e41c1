"""A private vendor's keys: what they make, and what is wrong in them told with key and remedy."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from receiver.errors import UserError
from tests.receiver.schemes.deliveries import (
    NOW,
    URL,
    acme,
    key_of,
    refusal,
    request,
    signed,
    vendor,
    verified,
)

BODY = b'{"type": "made.up"}'


def mac(content: bytes, hash: str = "sha256", secret: bytes = b"secret") -> bytes:
    return hmac.new(secret, content, hash).digest()


def test_by_default_the_header_is_the_bodys_hmac_sha256_in_hex() -> None:
    scheme = acme()
    headers = [("X-Acme-Signature", mac(BODY).hex())]
    assert verified(scheme, key_of(scheme), headers, BODY).signed_at is None
    assert scheme.sign(BODY, key_of(scheme), NOW, url=URL, id=None, type=None) == (headers, BODY, "")


def test_everything_at_once() -> None:
    scheme = acme(
        signature_format="when={timestamp};sig={signature}",
        signature_separator=";",
        content="{method}|{url}|{id}|{header:X-Acme-Kind}|{timestamp}|{body}",
        hash="sha512",
        encoding="base64",
        secret_encoding="hex",
        secret_prefix="key_",
        timestamp_unit="ms",
        id="header:X-Acme-Id",
    )
    key = key_of(scheme, b"key_" + b"secret".hex().encode())
    content = b"POST|%s|id_1|k|1700000000000|%s" % (URL.encode(), BODY)
    signature = base64.b64encode(mac(content, "sha512")).decode()
    headers = [
        ("X-Acme-Id", "id_1"),
        ("X-Acme-Kind", "k"),
        ("X-Acme-Signature", f"new=1;sig={signature};when=1700000000000"),
    ]
    assert verified(scheme, key, headers, BODY).signed_at == NOW
    assert refusal(scheme, key, headers[:1] + headers[2:], BODY).code == "signature_missing"
    assert refusal(scheme, key, headers[1:], BODY).code == "id_missing"


def test_a_time_may_be_iso_text() -> None:
    scheme = acme(timestamp="header:X-Acme-Time", timestamp_unit="iso", content="{body}{timestamp}")
    for text in ("2023-11-14T22:13:20Z", "2023-11-14T23:13:20.000+01:00"):
        headers = [("X-Acme-Time", text), ("X-Acme-Signature", mac(BODY + text.encode()).hex())]
        assert verified(scheme, key_of(scheme), headers, BODY).signed_at == NOW
    for text in (
        "2023-11-14T22:13:20",
        "2023-11-14 22:13:20Z",
        "20231114T221320Z",
        "2023-11-31T00:00:00Z",
        "1700000000",
    ):
        headers = [("X-Acme-Time", text), ("X-Acme-Signature", mac(BODY + text.encode()).hex())]
        assert refusal(scheme, key_of(scheme), headers, BODY).code == "timestamp_malformed"


def test_where_a_time_is_five_minutes_are_allowed_unless_the_source_says_otherwise() -> None:
    for keys, seconds in (({}, 300), ({"tolerance_s": 10.5}, 10.5)):
        scheme = acme(timestamp="header:X-Acme-Time", content="{timestamp}{body}", **keys)
        key = key_of(scheme)
        taken = request(signed(scheme, key, BODY), BODY)
        assert scheme.verify(taken, [key], NOW + seconds).signed_at == NOW
        assert refusal(scheme, key, signed(scheme, key, BODY), BODY, NOW + seconds + 1).code == "timestamp_stale"


def test_a_signature_may_stand_in_the_body_and_is_put_there() -> None:
    scheme = acme(signature="body:sig.value", content="{timestamp}{id}", timestamp="body:sig.at", id="body:id")
    body = b'{"id": 7, "sig": {"at": 1700000000, "value": "%s"}}' % mac(b"17000000007").hex().encode()
    assert verified(scheme, key_of(scheme), [], body).signed_at == NOW
    assert refusal(scheme, key_of(scheme), [], b"{}").code == "signature_missing"
    assert refusal(scheme, key_of(scheme), [], b'{"sig": {"value": [1]}}').code == "signature_malformed"
    fixture = b'{"id": 7, "sig": {"at": 0, "value": ""}, "more": 1}'
    sent = scheme.sign(fixture, key_of(scheme), NOW, url=URL, id=None, type=None)
    assert verified(scheme, key_of(scheme), sent.headers, sent.body).signed_at == NOW
    with pytest.raises(UserError, match="body"):
        scheme.sign(b"[]", key_of(scheme), NOW, url=URL, id=None, type=None)


def test_a_nonce_is_told_and_is_another_one_for_every_body_that_is_sent() -> None:
    scheme = acme(
        signature="body:sig.value",
        content="{timestamp}{body:sig.token}",
        timestamp="body:sig.at",
        nonce="body:sig.token",
    )
    bodies = [scheme.sign(body, key_of(scheme), NOW, url=URL, id=None, type=None).body for body in (b"{}", b'{"a": 1}')]
    nonces = {verified(scheme, key_of(scheme), [], body).nonce for body in bodies}
    assert len(nonces) == 2
    assert None not in nonces


def test_of_two_signature_headers_the_first_that_is_there_counts() -> None:
    scheme = acme(signature=["header:X-New", "header:X-Old"])
    good, bad = mac(BODY).hex(), "0" * 64
    key = key_of(scheme)
    assert verified(scheme, key, [("X-Old", good)], BODY).key is key
    assert verified(scheme, key, [("X-Old", bad), ("X-New", good)], BODY).key is key
    assert refusal(scheme, key_of(scheme), [("X-Old", good), ("X-New", bad)], BODY).code == "signature_mismatch"
    assert refusal(scheme, key_of(scheme), [], BODY).detail == "there is no signature in X-New or X-Old"


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ({"signature": "X-Acme"}, "signature"),
        ({"signature_format": "v1="}, "signature_format"),
        ({"signature_format": "t={timestamp}"}, "signature_format"),
        ({"signature_format": "v1,{signature}"}, "signature_format"),
        ({"signature_format": "{signature},{signature}"}, "signature_format"),
        ({"signature_format": "{timestamp},{signature}"}, "signature_format"),
        ({"signature_format": "s={signature},sx={timestamp},"}, "signature_format"),
        ({"signature_format": "<{signature}>"}, "signature_format"),
        ({"signature_format": "{signatur}"}, "signature_format"),
        ({"signature_separator": ""}, "signature_separator"),
        ({"content": "{bdy}"}, "content"),
        ({"content": "{id}"}, "content"),
        ({"content": "{timestamp}"}, "content"),
        ({"content": "{header:}"}, "content"),
        ({"hash": "md5"}, "hash"),
        ({"encoding": "base32"}, "encoding"),
        ({"secret_encoding": "rot13"}, "secret_encoding"),
        ({"timestamp": "header:X", "timestamp_unit": "min"}, "timestamp_unit"),
        ({"items": "body:events"}, "items"),
    ],
)
def test_a_wrong_key_is_named_with_what_to_write(keys: dict[str, Any], where: str) -> None:
    with pytest.raises(UserError) as caught:
        acme(**keys)
    assert caught.value.where == f"[sources.acme] {where}"
    assert caught.value.fix


def test_the_scheme_needs_a_signature() -> None:
    with pytest.raises(UserError, match="needs a signature"):
        type(acme())({}, "[sources.acme]")


def test_only_keys_that_matter_count_as_used() -> None:
    assert {"tolerance_s", "timestamp", "timestamp_unit", "public_url"}.isdisjoint(acme().used)
    timed = acme(timestamp="header:X-Time", content="{url}{timestamp}").used
    assert {"tolerance_s", "timestamp", "timestamp_unit", "public_url"} <= timed
    assert "timestamp" not in vendor("stripe").used
    assert {"audience", "verify_token"}.isdisjoint(acme().used)


def test_signing_makes_the_headers_that_the_type_needs() -> None:
    github, shopify = vendor("github"), vendor("shopify")
    headers = github.sign(
        b'{"action": "opened"}', key_of(github), NOW, url=URL, id="d_1", type="pull_request.opened"
    ).headers
    taken = request(headers, b'{"action": "opened"}')
    assert [(i.external_id, i.type) for i in github.identify(taken)] == [("d_1", "pull_request.opened")]
    assert ("X-GitHub-Event", "pull_request") in headers
    headers = shopify.sign(b"{}", key_of(shopify), NOW, url=URL, id="e_1", type="orders/create").headers
    assert [(i.external_id, i.type) for i in shopify.identify(request(headers, b"{}"))] == [("e_1", "orders/create")]
    assert ("X-Shopify-Shop-Domain", "example.myshopify.com") in headers


def test_a_type_that_does_not_fit_the_body_cannot_be_signed() -> None:
    scheme = vendor("github")
    with pytest.raises(UserError, match="'push' does not fit"):
        scheme.sign(b'{"action": "opened"}', key_of(scheme), NOW, url=URL, id="d_1", type="push")


def test_an_id_that_the_body_says_needs_no_header() -> None:
    scheme = vendor("cloudevents")
    body = b'{"id": "1", "source": "/mill", "type": "gate.opened"}'
    signed = scheme.sign(body, key_of(scheme), NOW, url=URL, id="another", type="gate.opened")
    assert not [name for name, _ in signed.headers if name == "ce-id"]


def test_a_batch_has_no_header_that_would_be_every_items() -> None:
    scheme = vendor("cloudevents")
    body = b'[{"id": "1", "source": "/mill", "type": "gate.opened"}]'
    signed = scheme.sign(body, key_of(scheme), NOW, url=URL, id="1:/mill", type="gate.opened")
    assert not [name for name, _ in signed.headers if name.startswith("ce-")]


def test_what_lacks_a_signed_part_cannot_be_signed() -> None:
    scheme = vendor("standardwebhooks")
    with pytest.raises(UserError, match="id"):
        scheme.sign(b"{}", key_of(scheme), NOW, url=URL, id=None, type=None)


def test_the_digest_of_the_body_is_the_last_resort_for_an_id() -> None:
    taken = request([], BODY)
    assert vendor("github").identify(taken)[0].external_id == f"sha256:{hashlib.sha256(BODY).hexdigest()}"


def test_each_of_several_signature_headers_counts_where_a_vendor_sends_one_for_each_secret() -> None:
    names = ["X-Signature-1", "X-Signature-2"]
    several = acme(signature=[f"header:{name}" for name in names], every_signature=True)
    key = key_of(several)
    other, right = mac(BODY, secret=b"another").hex(), mac(BODY).hex()
    assert verified(several, key, zip(names, (other, right), strict=True), BODY).key is key
    assert verified(several, key, zip(names, (right, other), strict=True), BODY).key is key
    assert refusal(several, key, [(names[1], other)], BODY).code == "signature_mismatch"
    assert refusal(several, key, zip(names, (right, "no"), strict=True), BODY).code == "signature_malformed"
    first = acme(signature=[f"header:{name}" for name in names])
    assert refusal(first, key, zip(names, (other, right), strict=True), BODY).code == "signature_mismatch"


def test_a_secret_with_its_prefix_is_base64_and_text_without_it() -> None:
    either = acme(secret_prefix="whsec_", secret_encoding="prefixed")
    assert [key_of(either, secret).secret for secret in (b"whsec_aGk=", b"aGk=")] == [b"hi", b"aGk="]


def test_what_is_signed_may_be_values_of_the_body() -> None:
    scheme = acme(signature="body:s.mac", content="{body:s.at}{body:s.token}", timestamp="body:s.at")
    body = json.dumps({"s": {"at": str(int(NOW)), "token": "t", "mac": mac(f"{int(NOW)}t".encode()).hex()}}).encode()
    assert verified(scheme, key_of(scheme), [], body).signed_at == NOW
    assert refusal(scheme, key_of(scheme), [], body.replace(b'"t"', b'"u"')).code == "signature_mismatch"
    assert refusal(scheme, key_of(scheme), [], body.replace(b'"token": "t", ', b"")).code == "signature_missing"
