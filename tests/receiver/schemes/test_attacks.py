"""One test for each way to get in, or to make us fail, without a secret: on one preset of each form that HMACs have.

The same on every preset, with what vendors' libraries sign: `tests/vendors`.
"""

import pytest

from receiver.schemes import Key, Refused
from tests.receiver.schemes.deliveries import (
    NOW,
    SECRETS,
    SIGNATURES,
    TIMES,
    acme,
    key_of,
    refusal,
    request,
    signed,
    vendor,
    verified,
    with_header,
)

BODY = b'{"id": "evt_1", "type": "a.b"}'
TIMED = ["stripe", "standardwebhooks", "slack"]
every_preset = pytest.mark.parametrize("name", SECRETS)
every_timed = pytest.mark.parametrize("name", TIMED)


@every_preset
def test_an_altered_byte_is_refused(name: str) -> None:
    scheme = vendor(name)
    key = key_of(scheme, SECRETS[name])
    headers = signed(scheme, key, BODY)
    assert verified(scheme, key, headers, BODY).key is key
    assert refusal(scheme, key, headers, BODY.replace(b"evt_1", b"evt_2")).code == "signature_mismatch"


@every_preset
def test_a_wrong_secret_is_refused_and_the_detail_names_what_was_tried_but_not_what_was_expected(
    name: str,
) -> None:
    scheme = vendor(name)
    forged = signed(scheme, Key("env:OTHER", b"made up"), BODY)
    key = key_of(scheme, SECRETS[name])
    refused = refusal(scheme, key, forged, BODY)
    assert refused.code == "signature_mismatch"
    assert key.shown in refused.detail
    expected = dict(signed(scheme, key, BODY))[SIGNATURES[name]]
    assert expected.rstrip("=")[-20:] not in f"{refused!r} {refused.detail}"


@every_preset
def test_a_missing_signature_is_refused(name: str) -> None:
    scheme = vendor(name)
    key = key_of(scheme, SECRETS[name])
    headers = [(n, v) for n, v in signed(scheme, key, BODY) if n != SIGNATURES[name]]
    assert refusal(scheme, key, headers, BODY).code == "signature_missing"


@every_preset
def test_an_empty_signature_is_refused(name: str) -> None:
    scheme = vendor(name)
    key = key_of(scheme, SECRETS[name])
    headers = with_header(signed(scheme, key, BODY), SIGNATURES[name], "")
    assert refusal(scheme, key, headers, BODY).code == "signature_missing"


@every_preset
@pytest.mark.parametrize("junk", ["é".encode(), b"\xff\xfe", b"\x00", "１".encode(), b" "])
def test_a_signature_that_is_not_ascii_is_refused_and_nothing_breaks(name: str, junk: bytes) -> None:
    scheme = vendor(name)
    key = key_of(scheme, SECRETS[name])
    headers = signed(scheme, key, BODY)
    honest = dict(headers)[SIGNATURES[name]].encode()
    for value in (junk, honest[:-1] + junk, honest[:-9] + junk + honest[-8:]):
        altered = with_header(headers, SIGNATURES[name], value)
        assert refusal(scheme, key, altered, BODY).code == "signature_malformed"


@every_preset
def test_a_doubled_signature_header_is_refused_even_when_both_are_right(name: str) -> None:
    scheme = vendor(name)
    key = key_of(scheme, SECRETS[name])
    headers = signed(scheme, key, BODY)
    twice = [*headers, (SIGNATURES[name], dict(headers)[SIGNATURES[name]])]
    assert refusal(scheme, key, twice, BODY).code == "signature_malformed"


@pytest.mark.parametrize(
    ("name", "header"),
    [("github", "X-GitHub-Delivery"), ("github", "X-GitHub-Event"), ("standardwebhooks", "webhook-id")],
)
def test_a_doubled_header_that_names_the_event_is_refused(name: str, header: str) -> None:
    scheme = vendor(name)
    key = key_of(scheme, SECRETS[name])
    headers = [*signed(scheme, key, BODY), (header, "one"), (header, "two")]
    assert refusal(scheme, key, headers, BODY).code == "signature_malformed"


@pytest.mark.parametrize("header", ["webhook-timestamp", "Webhook-Timestamp"])
def test_a_doubled_timestamp_header_is_refused(header: str) -> None:
    scheme = vendor("standardwebhooks")
    key = key_of(scheme, SECRETS["standardwebhooks"])
    headers = [*signed(scheme, key, BODY), (header, str(int(NOW)))]
    assert refusal(scheme, key, headers, BODY).code == "timestamp_malformed"


@every_timed
def test_an_old_request_is_refused_with_both_clocks(name: str) -> None:
    scheme = vendor(name)
    key = key_of(scheme, SECRETS[name])
    headers = signed(scheme, key, BODY)
    assert scheme.verify(request(headers, BODY), [key], NOW + 300).signed_at == NOW
    refused = refusal(scheme, key, headers, BODY, NOW + 301)
    assert (refused.code, refused.claimed_at) == ("timestamp_stale", NOW)
    assert "301 s" in refused.detail


@every_timed
def test_a_request_from_the_future_is_refused(name: str) -> None:
    scheme = vendor(name)
    key = key_of(scheme, SECRETS[name])
    headers = signed(scheme, key, BODY)
    assert scheme.verify(request(headers, BODY), [key], NOW - 300).signed_at == NOW
    refused = refusal(scheme, key, headers, BODY, NOW - 301)
    assert (refused.code, refused.claimed_at) == ("timestamp_future", NOW)
    assert "301 s ahead" in refused.detail


@every_timed
def test_a_stranger_learns_nothing_of_our_clock(name: str) -> None:
    scheme = vendor(name)
    forged = signed(scheme, Key("env:OTHER", b"made up"), BODY, now=1.0)
    refused = refusal(scheme, key_of(scheme, SECRETS[name]), forged, BODY)
    assert (refused.code, refused.claimed_at) == ("signature_mismatch", 1.0)


BAD_TIMES = [
    *("9" * 400, "9" * 5000, "9" * 13, "999999999999", "-1", "+1700000000", "1700000000.0", "1e9", "0x10", "nan"),
    *("１７００００００００", "²", " 1700000000", "1700000000 ", "1700000000\n", "1_700_000_000"),
]


@pytest.mark.parametrize("text", BAD_TIMES)
def test_a_time_in_the_signature_that_is_not_plain_digits_is_refused(text: str) -> None:
    scheme = vendor("stripe")
    key = key_of(scheme, SECRETS["stripe"])
    headers = [("Stripe-Signature", f"t={text},v1={'0' * 64}")]
    code = "signature_malformed" if len(text) == 5000 else "timestamp_malformed"
    assert refusal(scheme, key, headers, BODY).code == code


@pytest.mark.parametrize("text", [*BAD_TIMES, "é"])
@pytest.mark.parametrize("name", TIMES)
def test_a_time_in_a_header_that_is_not_plain_digits_is_refused(name: str, text: str) -> None:
    scheme = vendor(name)
    key = key_of(scheme, SECRETS[name])
    headers = with_header(signed(scheme, key, BODY), TIMES[name], text)
    assert refusal(scheme, key, headers, BODY).code == "timestamp_malformed"


def test_a_time_that_is_no_utf8_is_refused() -> None:
    scheme = vendor("slack")
    key = key_of(scheme, SECRETS["slack"])
    headers = with_header(signed(scheme, key, BODY), "X-Slack-Request-Timestamp", b"\xff")
    assert refusal(scheme, key, headers, BODY).code == "timestamp_malformed"


def test_a_missing_time_is_refused() -> None:
    stripe, slack = vendor("stripe"), vendor("slack")
    without = [("Stripe-Signature", f"v1={'0' * 64}")]
    assert refusal(stripe, key_of(stripe), without, BODY).code == "timestamp_missing"
    without = [("X-Slack-Signature", f"v0={'0' * 64}")]
    assert refusal(slack, key_of(slack), without, BODY).code == "timestamp_missing"


def test_a_missing_id_is_refused_where_it_is_signed() -> None:
    scheme = vendor("standardwebhooks")
    key = key_of(scheme, SECRETS["standardwebhooks"])
    headers = [(n, v) for n, v in signed(scheme, key, BODY) if n != "webhook-id"]
    assert refusal(scheme, key, headers, BODY).code == "id_missing"


def test_a_second_time_in_the_signature_is_refused() -> None:
    scheme = vendor("stripe")
    key = key_of(scheme, SECRETS["stripe"])
    value = dict(signed(scheme, key, BODY))["Stripe-Signature"]
    for doubled in (f"t=1,{value}", f"{value},t=1", f"{value},t={int(NOW)}"):
        assert refusal(scheme, key, [("Stripe-Signature", doubled)], BODY).code == "timestamp_malformed"


def test_another_version_of_the_signature_does_not_count() -> None:
    scheme = vendor("stripe")
    key = key_of(scheme, SECRETS["stripe"])
    value = dict(signed(scheme, key, BODY))["Stripe-Signature"].replace("v1=", "v0=")
    assert refusal(scheme, key, [("Stripe-Signature", value)], BODY).code == "signature_malformed"


def test_a_signature_without_its_prefix_is_refused() -> None:
    scheme = vendor("github")
    key = key_of(scheme, SECRETS["github"])
    value = dict(signed(scheme, key, BODY))["X-Hub-Signature-256"]
    for bare in (value.removeprefix("sha256="), value.replace("sha256", "sha1"), value.replace("=", " =")):
        assert refusal(scheme, key, [("X-Hub-Signature-256", bare)], BODY).code == "signature_malformed"


def test_hex_is_read_strictly() -> None:
    scheme = vendor("github")
    key = key_of(scheme, SECRETS["github"])
    value = dict(signed(scheme, key, BODY))["X-Hub-Signature-256"].removeprefix("sha256=")
    junk = (value[:-2], f"{value}00", f" {value}", f"{value[:10]} {value[11:]}", f"{value[:10]} {value[10:]}")
    for other in junk:
        headers = [("X-Hub-Signature-256", f"sha256={other}")]
        assert refusal(scheme, key, headers, BODY).code == "signature_malformed"


def test_hex_may_be_in_capital_letters() -> None:
    scheme = vendor("github")
    key = key_of(scheme, SECRETS["github"])
    value = dict(signed(scheme, key, BODY))["X-Hub-Signature-256"].removeprefix("sha256=")
    assert verified(scheme, key, [("X-Hub-Signature-256", f"sha256={value.upper()}")], BODY).key is key


def test_base64_is_read_strictly() -> None:
    scheme = vendor("shopify")
    key = key_of(scheme, SECRETS["shopify"])
    value = dict(signed(scheme, key, BODY))["X-Shopify-Hmac-Sha256"]
    junk = (
        value[:-1],
        value + "=",
        f"{value[:4]}!{value[4:]}",
        f"{value[:4]}\n{value[4:]}",
        f" {value}",
        "====",
    )
    for other in junk:
        assert refusal(scheme, key, [("X-Shopify-Hmac-Sha256", other)], BODY).code == "signature_malformed"


def test_base64_with_stray_bits_in_its_last_letter_is_another_signature() -> None:
    scheme = vendor("shopify")
    key = key_of(scheme, SECRETS["shopify"])
    value = dict(signed(scheme, key, BODY))["X-Shopify-Hmac-Sha256"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    stray = value[:-2] + alphabet[alphabet.index(value[-2]) + 1] + "="
    assert refusal(scheme, key, [("X-Shopify-Hmac-Sha256", stray)], BODY).code == "signature_mismatch"


def test_sixteen_signatures_are_tried_and_seventeen_refused() -> None:
    scheme = vendor("stripe")
    key = key_of(scheme, SECRETS["stripe"])
    value = dict(signed(scheme, key, BODY))["Stripe-Signature"]
    wrong = f",v1={'0' * 64}"
    assert verified(scheme, key, [("Stripe-Signature", value + wrong * 15)], BODY).key is key
    assert refusal(scheme, key, [("Stripe-Signature", value + wrong * 16)], BODY).code == "signature_malformed"


def test_a_signature_header_of_64_kib_is_refused_unread() -> None:
    scheme = vendor("stripe")
    refused = refusal(scheme, key_of(scheme), [("Stripe-Signature", "," * 65536)], BODY)
    assert refused.code == "signature_malformed"


def test_elements_come_in_any_order_and_unknown_ones_are_skipped() -> None:
    scheme = vendor("stripe")
    key = key_of(scheme, SECRETS["stripe"])
    time, signature = dict(signed(scheme, key, BODY))["Stripe-Signature"].split(",")
    value = f"v0=old,{signature},,x,future=é,{time}"
    assert verified(scheme, key, [("Stripe-Signature", value)], BODY).signed_at == NOW


def test_the_ed25519_signature_of_standard_webhooks_is_skipped() -> None:
    scheme = vendor("standardwebhooks")
    key = key_of(scheme, SECRETS["standardwebhooks"])
    headers = signed(scheme, key, BODY)
    value = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
    both = with_header(headers, "webhook-signature", f"{value} {dict(headers)['webhook-signature']}")
    assert verified(scheme, key, both, BODY).key is key
    alone = with_header(headers, "webhook-signature", value)
    assert refusal(scheme, key, alone, BODY).code == "signature_malformed"


def test_what_is_signed_for_one_address_is_refused_at_another() -> None:
    scheme = acme(content="{method}{url}{body}")
    key = key_of(scheme)
    headers = signed(scheme, key, BODY)
    assert verified(scheme, key, headers, BODY).key is key
    with pytest.raises(Refused) as caught:
        scheme.verify(request(headers, BODY, "https://hooks.example.com/webhooks/acme?x=1"), [key], NOW)
    assert caught.value.code == "signature_mismatch"


def test_a_source_without_secrets_accepts_nothing() -> None:
    scheme = vendor("github")
    headers = signed(scheme, Key("literal:…", b""), BODY)
    with pytest.raises(Refused) as caught:
        scheme.verify(request(headers, BODY), [], NOW)
    assert caught.value.code == "signature_mismatch"
    assert caught.value.detail.startswith("no_keys")


def test_the_body_is_not_parsed_before_the_signature_is_right() -> None:
    scheme = acme(timestamp="body:at", timestamp_unit="ms")
    key = key_of(scheme)
    body = b'{"at":1700000000000}'
    assert refusal(scheme, key, [("X-Acme-Signature", "0" * 64)], b"no time in it").code == "signature_mismatch"
    assert scheme.verify(request(signed(scheme, key, body), body), [key], NOW).signed_at == NOW
    assert refusal(scheme, key, signed(scheme, key, body), body, NOW + 400).code == "timestamp_stale"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", "timestamp_missing"),
        (b"[" * 100_000, "timestamp_missing"),
        (b'{"at": true}', "timestamp_malformed"),
        (b'{"at": 1e999}', "timestamp_malformed"),
        (b'{"at": [1700000000000]}', "timestamp_malformed"),
        (b'{"at": 9223372036854775808}', "timestamp_malformed"),
        (b'{"at": ' + b"9" * 4000 + b"}", "timestamp_malformed"),
    ],
)
def test_a_bad_time_in_a_signed_body_is_refused(body: bytes, code: str) -> None:
    timed, plain = acme(timestamp="body:at", timestamp_unit="ms"), acme()
    key = key_of(timed)
    assert refusal(timed, key, signed(plain, key, body), body).code == code
