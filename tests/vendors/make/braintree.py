"""Braintree's own library signs, with its testing gateway, and parses."""

import base64
from typing import Any
from urllib.parse import parse_qs, urlencode

import time_machine
from braintree import BraintreeGateway, Configuration, Environment
from braintree.util.crypto import Crypto

from tests.vendors.make.vectors import NOW, OTHER_SECRET, Vectors, by_bytes, fixture, package

PUBLIC, PRIVATE = "larkspur_public", "larkspur_made_up_private_key"
GATEWAY = BraintreeGateway(Configuration(Environment.Sandbox, "merchant", PUBLIC, PRIVATE))
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PINNED = {"public_key_id": PUBLIC}
PAYLOAD: str = parse_qs(fixture("braintree/subscription_went_past_due").decode())["bt_payload"][0]
XML_BOMB = '<!DOCTYPE n [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;">]><notification><kind>&b;</kind></notification>'
XML_FILE = '<!DOCTYPE n [<!ENTITY a SYSTEM "file:///etc/passwd">]><notification><kind>&a;</kind></notification>'


def pair(payload: str, public: str = PUBLIC, private: str = PRIVATE) -> str:
    return f"{public}|{Crypto.sha1_hmac_hash(private, payload)}"


def form(signature: str, payload: str, *more: tuple[str, str]) -> bytes:
    return urlencode([("bt_signature", signature), ("bt_payload", payload), *more]).encode()


def signed(payload: str) -> bytes:
    return form(pair(payload), payload)


def xml(text: str) -> str:
    return base64.encodebytes(text.encode()).decode()


def verify(headers: dict[str, str], body: bytes) -> None:
    fields = parse_qs(body.decode())
    GATEWAY.webhook_notification.parse(fields["bt_signature"][0], fields["bt_payload"][0])


def sample(kind: str) -> bytes:
    with time_machine.travel(NOW, tick=False):
        made: dict[str, Any] = GATEWAY.webhook_testing.sample_notification(kind, "larkspur-42")
    return form(made["bt_signature"], made["bt_payload"].decode())


def add(vectors: Vectors, name: str, body: bytes, kind: str = "subscription_went_past_due", **more: Any) -> None:
    vectors.add(name, FORM, body, ids=[by_bytes(body)], types=[kind], **more)


def add_good(vectors: Vectors) -> None:
    add(vectors, "a subscription", signed(PAYLOAD))
    for kind in ("check", "dispute_opened", "transaction_settled", "account_updater_daily_report"):
        add(vectors, f"the library's sample {kind}", sample(kind), kind)
    older = pair(PAYLOAD, "older_public", "older_private")
    add(vectors, "two pairs", form(f"{older}&{pair(PAYLOAD)}", PAYLOAD))
    add(vectors, "a payload that lost its last line feed", form(pair(PAYLOAD), PAYLOAD.removesuffix("\n")))


def add_xml(vectors: Vectors) -> None:
    """What is signed is taken, whatever stands in it; what is no harmless XML stays unread."""
    for name, text in (
        ("XML that grows", XML_BOMB),
        ("XML that names a file", XML_FILE),
        ("XML that is deep", "<a>" * 5000 + "</a>" * 5000),
        ("no XML", "{}"),
    ):
        add(vectors, name, signed(xml(text)), "unknown")
    add(vectors, "base64 that is none", signed("===="), "unknown")
    other = xml("<notification><kind>größe</kind><timestamp>x</timestamp></notification>")
    add(vectors, "beyond ASCII", signed(other), "größe")


def add_forged(vectors: Vectors) -> None:
    elsewhere = {"secrets": [OTHER_SECRET]}
    good, bad = pair(PAYLOAD), f"{PUBLIC}|{'0' * 40}"
    doubled = form(good, PAYLOAD, ("bt_payload", xml("<notification><kind>check</kind></notification>")))
    for name, body, verdict, source in (
        ("other secret", signed(PAYLOAD), "signature_mismatch", elsewhere),
        ("changed payload", form(good, xml("<notification/>")), "signature_mismatch", None),
        ("a wrong signature", form(bad, PAYLOAD), "signature_mismatch", None),
        ("another public key", form(good.replace(PUBLIC, "other"), PAYLOAD), "signature_mismatch", PINNED),
        ("no pair", form(good.partition("|")[2], PAYLOAD), "signature_malformed", None),
        ("three parts", form(f"{good}|x", PAYLOAD), "signature_malformed", None),
        ("many pairs", form("&".join([good] * 17), PAYLOAD), "signature_malformed", None),
        ("a short signature", form(good[:-1], PAYLOAD), "signature_malformed", None),
        ("beyond ASCII", form(f"{PUBLIC}|{'é' * 40}", PAYLOAD), "signature_malformed", None),
        ("a payload with a space", form(pair(PAYLOAD), PAYLOAD + " "), "signature_malformed", None),
        ("two payloads", doubled, "signature_malformed", None),
        ("two signatures", form(good, PAYLOAD, ("bt_signature", good)), "signature_malformed", None),
        ("no signature", urlencode({"bt_payload": PAYLOAD}).encode(), "signature_missing", None),
        ("no payload", urlencode({"bt_signature": good}).encode(), "signature_malformed", None),
        ("nothing", b"", "signature_missing", None),
        ("bytes that are no form", b"\xff\xfe", "signature_malformed", None),
    ):
        vectors.add(
            name if name != "beyond ASCII" else "a signature beyond ASCII", FORM, body, verdict=verdict, source=source
        )


def add_challenges(vectors: Vectors) -> None:
    challenge = "20f9f8ed05f77439fe955c977e4c8a53"
    answer = {"status": 200, "body": GATEWAY.webhook_notification.verify(challenge)}
    asked: dict[str, Any] = {"method": "GET", "query": f"bt_challenge={challenge}", "source": PINNED}
    vectors.add("a challenge", {}, verdict="answered", answer=answer, **asked)
    malformed = {**asked, "query": "bt_challenge=" + xml("<notification/>").strip()}
    vectors.add("a challenge that is a payload", {}, verdict="handshake_malformed", **malformed)
    given = challenge[:20]
    vectors.add("a challenge's answer as a signature", FORM, signed(given), verdict="signature_mismatch")


def main() -> None:
    made_by = f"{package('braintree')}, WebhookTestingGateway and Crypto.sha1_hmac_hash"
    vectors = Vectors("braintree", made_by, secrets=[f"literal:{PRIVATE}"], **PINNED)
    add_good(vectors)
    vectors.verified_by(verify)
    add_xml(vectors)
    add_forged(vectors)
    add(vectors, "without a public key", form(pair(PAYLOAD, "any"), PAYLOAD), source={"public_key_id": None})
    add_challenges(vectors)
    vectors.write()


if __name__ == "__main__":
    main()
