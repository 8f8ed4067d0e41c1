"""Keys in the forms in which they are given out, and requests signed with private ones as `postern send` does it.

Vendors' own signatures, and forgeries, are tests/vendors'.
"""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from receiver.errors import UserError
from receiver.schemes import Refused, Signed
from receiver.schemes.material import base64url, read_material
from receiver.sources import Source
from tests.vendors.make.made_up_keys import certificate, der64, ec_key, ed25519_key, pem, raw, rsa_key
from tests.vendors.sources import received, request_of, sent, source_of

NOW = 1_760_000_000
ED, EC, RSA = ed25519_key("a"), ec_key("a"), rsa_key("sns")
WEBHOOK = {"webhook_id": "9XL90610J3647323C"}
TOPIC = {"topic_arn": "arn:aws:sns:us-east-1:123456789012:other"}
PUSH = {"audience": "https://hooks.example.com/webhooks/a", "service_account": "a@b.iam.gserviceaccount.com"}
PRIVATE: dict[str, tuple[str, Any, dict[str, str]]] = {
    "discord": ("ENTITLEMENT_CREATE", ED, {}),
    "standardwebhooks-v1a": ("invoice.settled", ED, {}),
    "sendgrid": ("delivered", EC, {}),
    "plaid": ("TRANSACTIONS.SYNC_UPDATES_AVAILABLE", EC, {}),
    "google-pubsub": ("OBJECT_FINALIZE", RSA, PUSH),
    "paypal": ("PAYMENT.CAPTURE.COMPLETED", RSA, WEBHOOK),
    "aws-sns": ("Notification", RSA, TOPIC),
}
FIXTURES = Path(__file__).parents[3] / "fixtures"


def body_of(preset: str) -> bytes:
    return (FIXTURES / preset / f"{PRIVATE[preset][0]}.json").read_bytes()


# ── signing ──


@pytest.mark.parametrize("preset", PRIVATE)
def test_what_a_private_key_signs_is_accepted(preset: str) -> None:
    type, key, keys = PRIVATE[preset]
    source = source_of(preset, {**keys, "secrets": [f"literal:{pem(key)}"]})
    signed = sent(source, body_of(preset), NOW, id="msg_1", type=type)
    request = request_of(source, signed.headers, signed.body)
    assert received(source, request, NOW).verdict == "accepted"
    assert received(source, request, NOW + 100_000).verdict == "timestamp_stale"


@pytest.mark.parametrize("preset", PRIVATE)
def test_what_is_signed_for_the_public_half_is_accepted_by_it(preset: str) -> None:
    type, key, keys = PRIVATE[preset]
    signing = source_of(preset, {**keys, "secrets": [f"literal:{pem(key)}"]})
    signed = sent(signing, body_of(preset), NOW, id="msg_1", type=type)
    checking = source_of(preset, {**keys, "public_keys": [f"literal:{pem(key.public_key())}"]})
    assert received(checking, request_of(checking, signed.headers, signed.body), NOW).verdict == "accepted"


@pytest.mark.parametrize("preset", PRIVATE)
def test_a_public_key_signs_nothing_and_says_what_does(preset: str) -> None:
    type, key, keys = PRIVATE[preset]
    source = source_of(preset, {**keys, "public_keys": [f"literal:{pem(key.public_key())}"]})
    with pytest.raises(UserError, match="a public key, which signs nothing") as caught:
        sent(source, body_of(preset), NOW, id="msg_1", type=type)
    assert "private key" in (caught.value.fix or "")


# ── forms ──


def jwk(**members: str) -> str:
    return json.dumps(members)


X, Y = (
    base64url(number.to_bytes(32))
    for number in (EC.public_key().public_numbers().x, EC.public_key().public_numbers().y)
)
N = base64url(RSA.public_key().public_numbers().n.to_bytes(256))
FORMS: dict[str, tuple[Any, str]] = {
    "Ed25519 in hex": (ED, raw(ED.public_key()).hex()),
    "Ed25519 in capitals": (ED, raw(ED.public_key()).hex().upper()),
    "Ed25519 in base64": (ED, b64encode(raw(ED.public_key())).decode()),
    "Ed25519 without padding": (ED, b64encode(raw(ED.public_key())).decode().rstrip("=")),
    "Ed25519 of Standard Webhooks": (ED, f"whpk_{b64encode(raw(ED.public_key())).decode()}"),
    "Ed25519's private one": (ED, f"whsk_{b64encode(ED.private_bytes_raw()).decode()}"),
    "Ed25519's private one as libsodium has it": (
        ED, f"whsk_{b64encode(ED.private_bytes_raw() + raw(ED.public_key())).decode()}",
    ),
    "Ed25519 in PEM": (ED, pem(ED.public_key())),
    "Ed25519 as a JWK": (ED, jwk(kty="OKP", crv="Ed25519", x=base64url(raw(ED.public_key())))),
    "P-256 in base64": (EC, der64(EC.public_key())),
    "P-256 in lines": (EC, "\n".join(der64(EC.public_key())[at : at + 64] for at in (0, 64))),
    "P-256 in PEM": (EC, pem(EC.public_key())),
    "P-256 in private PEM": (EC, pem(EC)),
    "P-256 as a JWK": (EC, jwk(kty="EC", crv="P-256", x=X, y=Y, use="sig", alg="ES256")),
    "P-256 as an API answers it": (EC, f'{{"key": {jwk(kty="EC", crv="P-256", x=X, y=Y)}, "request_id": "x"}}'),
    "RSA in PEM": (RSA, pem(RSA.public_key())),
    "RSA in a certificate": (RSA, pem(certificate("a", RSA))),
    "RSA as a JWK": (RSA, jwk(kty="RSA", e="AQAB", n=N)),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_key_is_read_in_each_form(form: str) -> None:
    key, text = FORMS[form]
    assert read_material(f"\n{text}\n".encode()).public == key.public_key()


NO_KEYS = {
    "nothing": "",
    "a word": "hunter2",
    "a shared secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "31 bytes": raw(ED.public_key()).hex()[:-2],
    "hex with a space": f" {raw(ED.public_key()).hex()[:-1]} ",
    "half a PEM": pem(EC.public_key())[:90],
    "a PEM of something else": "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----",
    "a broken certificate": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    "a symmetric JWK": jwk(kty="oct", k="c2VjcmV0"),
    "a JWK for something else": jwk(kty="EC", crv="P-256", x=X, y=Y, use="enc"),
    "a JWK off the curve": jwk(kty="EC", crv="P-256", x=X, y=X),
    "a JWK on another curve": jwk(kty="EC", crv="P-384", x=X, y=Y),
    "a JWK without a part": jwk(kty="EC", crv="P-256", x=X),
    "a JWK with a number for a text": '{"kty": "RSA", "e": 65537, "n": 7}',
    "JSON that is no object": "[]",
    "JSON that is broken": '{"kty"',
    "a short RSA key": pem(rsa_key("short", 1024).public_key()),
    "libsodium's private key, cut short": "whsk_AAAA",
}


@pytest.mark.parametrize("form", NO_KEYS)
def test_what_is_no_key_is_refused_and_not_repeated(form: str) -> None:
    with pytest.raises(ValueError, match="key") as caught:
        read_material(NO_KEYS[form].encode())
    assert not NO_KEYS[form] or NO_KEYS[form] not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("preset", "fix"),
    [
        ("discord", "write an Ed25519 key in hex (64 digits), in base64, in PEM or as a JWK"),
        ("sendgrid", "write a P-256 key in base64, in PEM or as a JWK"),
    ],
)
def test_what_is_no_key_says_which_forms_are_taken(preset: str, fix: str) -> None:
    with pytest.raises(UserError, match="not a key") as caught:
        source_of(preset, {"public_keys": ["literal:hunter2"]})
    assert caught.value.fix == fix


@pytest.mark.parametrize(("preset", "key"), [("discord", EC), ("sendgrid", ED), ("paypal", ED), ("plaid", RSA)])
def test_a_key_of_another_kind_stops_its_source(preset: str, key: Any) -> None:
    with pytest.raises(UserError, match="a key of another kind") as caught:
        source_of(preset, {"public_keys": [f"literal:{pem(key.public_key())}"]})
    assert str(caught.value).count(f"[sources.{preset}] public_keys[0]") == 1


def test_an_anchor_is_a_certificate() -> None:
    with pytest.raises(UserError, match="holds no certificate"):
        source_of("paypal", {"trust_anchors": [f"literal:{pem(RSA.public_key())}"]})


# ── whom to trust ──


@pytest.mark.parametrize(
    ("preset", "missing"),
    [
        ("paypal", "webhook_id"),
        ("aws-sns", "topic_arn"),
        ("google-pubsub", "audience"),
        ("google-pubsub", "service_account"),
    ],
)
def test_a_source_that_does_not_say_whom_it_trusts_accepts_nothing(preset: str, missing: str) -> None:
    type, key, keys = PRIVATE[preset]
    secrets = {"secrets": [f"literal:{pem(key)}"]}
    signed = sent(source_of(preset, {**keys, **secrets}), body_of(preset), NOW, type=type)
    source = source_of(preset, {name: text for name, text in keys.items() if name != missing} | secrets)
    with pytest.raises(Refused) as caught:
        source.scheme.verify(request_of(source, signed.headers, signed.body), source.keys, NOW)
    assert caught.value.detail.startswith(f"no_{missing}: ")


def test_a_signature_counts_for_one_body_where_it_covers_a_checksum_only() -> None:
    source = source_of("paypal", {**WEBHOOK, "secrets": [f"literal:{pem(RSA)}"]})
    signed = sent(source, body_of("paypal"), NOW)
    verified = source.scheme.verify(request_of(source, signed.headers, signed.body), source.keys, NOW)
    assert verified.nonce == dict(signed.headers)["PAYPAL-TRANSMISSION-ID"].encode()


CONFIRM = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f"


def confirmation(source: Source, address: str = CONFIRM) -> Signed:
    asks = {"Type": "SubscriptionConfirmation", "Token": "2336412f", "SubscribeURL": address}
    return sent(source, json.dumps(json.loads(body_of("aws-sns")) | asks).encode(), NOW)


def test_only_a_signed_subscription_has_its_confirmation_fetched_and_that_is_amazons_own() -> None:
    source = source_of("aws-sns", {**TOPIC, "secrets": [f"literal:{pem(RSA)}"]})
    signed = confirmation(source)
    outcome = received(source, request_of(source, signed.headers, signed.body), NOW)
    assert outcome.verdict == "answered"
    assert outcome.reply is not None
    assert outcome.reply.call == CONFIRM
    forged = request_of(source, signed.headers, signed.body.replace(b"2336412f", b"2336412e"))
    assert source.scheme.greet(forged, source.keys, verified=False) is None
    assert received(source, forged, NOW).verdict == "signature_mismatch"


@pytest.mark.parametrize("unsigned", ["https://[", "https://a]/", "", "https://sns.eu-west-1.amazonaws.com/a.pem"])
def test_with_a_key_of_our_own_nothing_follows_from_the_certificates_address(unsigned: str) -> None:
    source = source_of("aws-sns", {**TOPIC, "secrets": [f"literal:{pem(RSA)}"]})
    message = json.loads(confirmation(source).body) | {"SigningCertURL": unsigned}
    outcome = received(source, request_of(source, [], json.dumps(message).encode()), NOW)
    assert outcome.reply is not None
    assert outcome.reply.call == CONFIRM


@pytest.mark.parametrize("address", ["https://[", CONFIRM.replace("us-east-1", "eu-west-1"), f"{CONFIRM}\n"])
def test_a_confirmation_is_fetched_in_the_topics_region_only(address: str) -> None:
    source = source_of("aws-sns", {**TOPIC, "secrets": [f"literal:{pem(RSA)}"]})
    signed = confirmation(source, address)
    assert received(source, request_of(source, signed.headers, signed.body), NOW).verdict == "handshake_refused"
