"""RFC 9421, as far as the vectors do not say it: what `postern send` makes, and how a source is configured."""

from typing import Any

import pytest

from receiver.errors import UserError
from receiver.schemes.rfc9421 import Rfc9421
from tests.vendors.make.made_up_keys import ec_key, ed25519_key, pem, raw, rsa_key
from tests.vendors.sources import received, request_of, sent, source_of

NOW = 1_760_000_000
BODY = b'{"type":"order.created","id":7}'
PRIVATE: dict[str, Any] = {
    "ed25519": ed25519_key("postern"),
    "ecdsa-p256-sha256": ec_key("postern"),
    "rsa-pss-sha512": rsa_key("postern"),
    "rsa-v1_5-sha256": rsa_key("postern"),
}
SHARED = {"secrets": ["literal:hush"]}
WHERE = "[sources.rfc9421] secrets[0]"


def scheme(**keys: Any) -> Rfc9421:
    return Rfc9421(keys, "[sources.rfc9421]")


def round_trip(sender: dict[str, Any], receiver: dict[str, Any]) -> str:
    signed = sent(source_of("rfc9421", sender), BODY, NOW)
    source = source_of("rfc9421", receiver)
    return received(source, request_of(source, signed.headers, signed.body), NOW).verdict


@pytest.mark.parametrize("alg", PRIVATE)
def test_what_a_private_key_signs_its_public_key_verifies(alg: str) -> None:
    ours = {"secrets": [f"literal:{pem(PRIVATE[alg])}"], "alg": alg}
    theirs = {"public_keys": [f"literal:{pem(PRIVATE[alg].public_key())}"]}
    assert round_trip(ours, {**theirs, "alg": alg}) == "accepted"
    assert round_trip(ours, theirs) == "accepted"
    others = [one for one in PRIVATE if one != alg and type(PRIVATE[one]) is type(PRIVATE[alg])]
    for other in others:
        assert round_trip(ours, {**theirs, "alg": other}) == "signature_malformed"


def test_a_shared_secret_verifies_what_it_signed_and_a_key_id_is_sent_along() -> None:
    assert round_trip(SHARED, SHARED) == "accepted"
    assert round_trip({**SHARED, "keyid": "a"}, {**SHARED, "keyid": "a"}) == "accepted"
    assert round_trip(SHARED, {**SHARED, "keyid": "a"}) == "signature_mismatch"
    named = {"keys": {"a": "literal:hush"}, "alg": "hmac-sha256"}
    assert round_trip({**SHARED, "keyid": "a"}, named) == "accepted"
    assert round_trip({**SHARED, "keyid": "b"}, named) == "signature_mismatch"


def test_what_has_to_be_covered_is_signed() -> None:
    asks = {**SHARED, "content": "{method}{url}{body}{header:Content-Digest}"}
    assert round_trip(asks, asks) == "accepted"


def test_an_rsa_key_without_any_algorithm_accepts_nothing() -> None:
    source = source_of("rfc9421", {"public_keys": [f"literal:{pem(rsa_key('postern').public_key())}"]})
    signed = sent(
        source_of("rfc9421", {"secrets": [f"literal:{pem(rsa_key('postern'))}"], "alg": "rsa-v1_5-sha256"}), BODY, NOW
    )
    unsaid = [(name, value.replace(';alg="rsa-v1_5-sha256"', "")) for name, value in signed.headers]
    assert received(source, request_of(source, unsaid, signed.body), NOW).verdict == "signature_mismatch"


@pytest.mark.parametrize("alg", [None, "hmac-sha256"])
def test_a_public_key_is_no_secret(alg: str | None) -> None:
    keys = {} if alg is None else {"alg": alg}
    with pytest.raises(UserError, match="no secret that two share"):
        scheme(**keys).key("env:KEY", pem(ec_key("postern").public_key()).encode(), WHERE)


def test_public_keys_are_never_taken_for_secrets() -> None:
    with pytest.raises(UserError, match="no secrets"):
        scheme(alg="hmac-sha256", public_keys=["literal:hush"])


def test_of_two_ids_none_counts() -> None:
    source = source_of("rfc9421", {**SHARED, "id": "header:X-Id", "content": "{method}{url}{body}{header:X-Id}"})
    signed = sent(source, BODY, NOW, id="a")
    assert received(source, request_of(source, signed.headers, signed.body), NOW).ids == ("a",)
    doubled = [*signed.headers, ("X-Id", "a")]
    assert received(source, request_of(source, doubled, signed.body), NOW).verdict == "signature_malformed"


def test_without_an_algorithm_named_keys_are_public_keys() -> None:
    with pytest.raises(UserError, match="not a key"):
        scheme(keys={"a": "literal:hush"}).key("literal:…", b"hush", WHERE)
    public = raw(ed25519_key("postern").public_key()).hex().encode()
    assert scheme(keys={"a": "literal:…"}).key("literal:…", public, WHERE).secret == public


@pytest.mark.parametrize("content", ["{timestamp}", "{body}.", "{body:id}", "body", "{header:}", "{method} {url}"])
def test_only_what_a_message_signature_covers_can_be_asked_for(content: str) -> None:
    with pytest.raises(UserError, match="message signature can cover"):
        scheme(content=content)


def test_an_unknown_algorithm_is_an_error() -> None:
    with pytest.raises(UserError, match="'none' is no alg"):
        scheme(alg="none")
