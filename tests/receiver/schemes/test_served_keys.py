"""Which keys a request may have us ask its vendor for, and what is made of the answer. Asking: test_key_provider.py."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from receiver.schemes import AsksVendor, Refused, Wanted
from receiver.schemes.material import base64url
from tests.vendors.make.made_up_keys import certificate, ec_key, pem, rsa_key
from tests.vendors.sources import request_of, source_of

SNS = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem"
TOPIC = "arn:aws:sns:us-east-1:123456789012:larkspur-orders"
PAYPAL = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77"
CREDENTIALS: dict[str, Any] = {"secrets": ["literal:sandbox:5f3b2c1d9e8a7b6c5d4e3f2a:0a1b2c3d4e5f60718293a4b5c6d7e8"]}


def wanted(
    preset: str, headers: Mapping[str, str], message: Mapping[str, Any] | None = None, **keys: Any
) -> Wanted | None:
    source = source_of(preset, keys)
    assert isinstance(source.scheme, AsksVendor)
    request = request_of(source, headers.items(), json.dumps(message or {}).encode())
    return source.scheme.wants(request, source.keys)


def sns(address: str, topic: str = TOPIC, **keys: Any) -> Wanted | None:
    message = {"Type": "Notification", "Signature": "x", "SigningCertURL": address, "TopicArn": topic}
    return wanted("aws-sns", {}, message, **{"topic_arn": TOPIC, **keys})


def paypal(address: str, **keys: Any) -> Wanted | None:
    return wanted("paypal", {"PAYPAL-CERT-URL": address}, **keys)


def token(**header: Any) -> str:
    return ".".join((base64url(json.dumps(header).encode()), base64url(b"{}"), "AA"))


# ── which ──


@pytest.mark.parametrize(
    "host",
    [
        *("us-east-1.amazonaws.com", "us-gov-west-1.amazonaws.com", "us-iso-east-1.amazonaws.com"),
        *("ap-southeast-2.amazonaws.com", "il-central-1.amazonaws.com", "mx-central-1.amazonaws.com"),
        "cn-north-1.amazonaws.com.cn",
    ],
)
def test_a_certificate_of_amazons_may_be_fetched(host: str) -> None:
    address = f"https://sns.{host}/SimpleNotificationService-0a1b.pem"
    assert sns(address) == Wanted(address, address)


@pytest.mark.parametrize(
    "region", ["s3-us-west-2", "s3", "s3-website-us-east-1", "s3-accelerate", "us-east-1.s3", "s3.us-east-1", "us-1"]
)
def test_a_bucket_called_sns_is_not_asked(region: str) -> None:
    with pytest.raises(Refused, match="signature_malformed"):
        sns(SNS.replace("us-east-1", region))


@pytest.mark.parametrize("keys", [{}, {"topic_arn": []}])
def test_who_does_not_know_the_topic_makes_us_ask_nothing(keys: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="signature_mismatch"):
        sns(SNS, f"{TOPIC}-evil", **keys)


@pytest.mark.parametrize("host", ["api.paypal.com", "api.sandbox.paypal.com", "api-m.paypal.com"])
def test_a_certificate_of_paypals_may_be_fetched(host: str) -> None:
    address = f"https://{host}/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77"
    assert paypal(address) == Wanted(address, address)


TRICKS: dict[str, Callable[[str, str], str]] = {
    "another host": lambda text, host: text.replace(host, "evil.example"),
    "a host that ends alike": lambda text, host: text.replace(host, f"evil{host}"),
    "a host below another": lambda text, host: text.replace(host, f"{host}.evil.example"),
    "a user": lambda text, host: text.replace("https://", "https://evil.example@"),
    "our host as the user": lambda text, host: text.replace(host, f"{host}@evil.example"),
    "our host as the user and a password": lambda text, host: text.replace(host, f"{host}:x@evil.example"),
    "a port": lambda text, host: text.replace(host, f"{host}:8443"),
    "an empty port": lambda text, host: text.replace(host, f"{host}:"),
    "http": lambda text, host: text.replace("https", "http"),
    "no scheme": lambda text, host: text.replace("https:", ""),
    "a scheme in capitals": lambda text, host: text.replace("https", "HTTPS"),
    "a host in capitals": lambda text, host: text.replace(host, host.upper()),
    "a dot behind the host": lambda text, host: text.replace(host, f"{host}."),
    "a backslash": lambda text, host: text.replace("https://", "https://evil.example\\@"),
    "backslashes for slashes": lambda text, host: text.replace("/", "\\"),
    "a step up": lambda text, host: text.replace(f"{host}/", f"{host}/../"),
    "an escaped step up": lambda text, host: text.replace(f"{host}/", f"{host}/%2e%2e/"),
    "a doubled slash": lambda text, host: text.replace(f"{host}/", f"{host}//"),
    "an escaped slash": lambda text, host: text.replace(f"{host}/", f"{host}%2f"),
    "a query": lambda text, host: f"{text}?a=.pem",
    "a fragment": lambda text, host: f"{text}#.pem",
    "a space": lambda text, host: f" {text}",
    "a tab in it": lambda text, host: text.replace(host, f"\t{host}"),
    "a letter that looks alike": lambda text, host: text.replace("a", "а", 1),  # a Cyrillic one
    "nothing": lambda text, host: "x",
}


@pytest.mark.parametrize("trick", TRICKS)
def test_no_other_address_is_asked_for_amazons(trick: str) -> None:
    with pytest.raises(Refused, match="signature_malformed"):
        sns(TRICKS[trick](SNS, "sns.us-east-1.amazonaws.com"))


@pytest.mark.parametrize("trick", TRICKS)
def test_no_other_address_is_asked_for_paypals(trick: str) -> None:
    with pytest.raises(Refused, match="signature_malformed"):
        paypal(TRICKS[trick](PAYPAL, "api.sandbox.paypal.com").encode().decode("latin-1"))


@pytest.mark.parametrize("address", [f"{SNS}\n", f"{SNS}\r\nHost: evil.example", f"{SNS}\0"])
def test_a_line_break_or_a_zero_in_the_body_ends_no_address(address: str) -> None:
    with pytest.raises(Refused, match="signature_malformed"):
        sns(address)


def test_who_has_keys_of_its_own_asks_nobody() -> None:
    key = rsa_key("sns")
    leaf, public = f"literal:{pem(certificate('sns', key))}", f"literal:{pem(key.public_key())}"
    assert sns("https://evil.example/", keys={SNS: leaf}) is None
    assert sns(SNS, public_keys=[public]) is None
    assert sns(SNS, secrets=[f"literal:{pem(key)}"]) is None
    assert (
        wanted("google-pubsub", {"Authorization": f"Bearer {token(kid='a', alg='RS256')}"}, keys={"b": public}) is None
    )
    es256 = {"a": f"literal:{pem(ec_key('plaid').public_key())}"}
    assert wanted("plaid", {"Plaid-Verification": token(kid="a" * 8, alg="ES256")}, keys=es256) is None


def test_anchors_alone_are_no_keys() -> None:
    root = certificate("root", rsa_key("root"), authority=True)
    assert sns(SNS, trust_anchors=[f"literal:{pem(root)}"]) == Wanted(SNS, SNS)


def test_googles_keys_are_all_in_one_place() -> None:
    asked = wanted("google-pubsub", {"Authorization": f"Bearer {token(kid='7d68', alg='RS256')}"})
    assert asked == Wanted("7d68", "https://www.googleapis.com/oauth2/v3/certs")


def test_nothing_that_a_token_says_of_its_key_is_asked() -> None:
    headers = {
        "Authorization": f"Bearer {token(kid='7d68', alg='RS256', jku='https://evil.example', x5u='https://e/')}"
    }
    asked = wanted("google-pubsub", headers)
    assert asked is not None
    assert asked.url == "https://www.googleapis.com/oauth2/v3/certs"


@pytest.mark.parametrize("header", [{"alg": "RS256"}, {"alg": "RS256", "kid": 7}, {"alg": "none", "kid": "a"}])
def test_a_token_without_a_key_id_or_of_another_algorithm_asks_for_nothing(header: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="signature_malformed"):
        wanted("google-pubsub", {"Authorization": f"Bearer {token(**header)}"})


def test_plaid_is_asked_with_the_accounts_credentials() -> None:
    kid = "bfbd5111-8e33-4643-8ced-b2e642a72f3c"
    asked = wanted("plaid", {"Plaid-Verification": token(kid=kid, alg="ES256")}, **CREDENTIALS)
    assert asked is not None
    assert asked.url == "https://sandbox.plaid.com/webhook_verification_key/get"
    assert json.loads(asked.post or b"") == {
        "client_id": "5f3b2c1d9e8a7b6c5d4e3f2a", "secret": "0a1b2c3d4e5f60718293a4b5c6d7e8", "key_id": kid,
    }  # fmt: skip


@pytest.mark.parametrize("kid", [None, 7, "", "short", "../../x-y-z", "a" * 65, 'x", "a": "b'])
def test_plaid_is_not_asked_for_what_is_no_key_id(kid: Any) -> None:
    with pytest.raises(Refused, match="signature_malformed"):
        wanted("plaid", {"Plaid-Verification": token(kid=kid, alg="ES256")}, **CREDENTIALS)


def test_without_credentials_plaid_is_not_asked() -> None:
    assert wanted("plaid", {"Plaid-Verification": token(kid="a" * 8, alg="ES256")}) is None


# ── what is made of the answer ──


@pytest.mark.parametrize("preset", ["aws-sns", "paypal", "google-pubsub", "plaid"])
@pytest.mark.parametrize("document", [b"", b"<html>", b"{}", b"[]", b'{"keys": 7, "key": 7}', b"\xff\xfe", b"null"])
def test_an_answer_without_a_key_is_our_trouble(preset: str, document: bytes) -> None:
    scheme = source_of(preset, {}).scheme
    assert isinstance(scheme, AsksVendor)
    with pytest.raises(ValueError, match=r".+"):
        scheme.served(Wanted("a", "https://a/"), document)


@pytest.mark.parametrize("preset", ["aws-sns", "paypal"])
def test_a_bare_key_is_no_certificate(preset: str) -> None:
    scheme = source_of(preset, {}).scheme
    assert isinstance(scheme, AsksVendor)
    with pytest.raises(ValueError, match="not a certificate"):
        scheme.served(Wanted("a", "https://a/"), pem(rsa_key("sns").public_key()).encode())
