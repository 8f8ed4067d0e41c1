"""Adyen's own library signs and verifies each item; of a batch it looks at the first only."""

import json
from typing import Any

from Adyen.util import generate_notification_sig, is_valid_hmac_notification

from tests.vendors.make.vectors import NOW, Vectors, fixture, package
from tests.vendors.sources import sent, source_of

KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"  # the one of Adyen's documentation
OTHER = "literal:" + "00" * 32
JSON = {"Content-Type": "application/json; charset=utf-8"}
ITEM: dict[str, Any] = json.loads(fixture("adyen/AUTHORISATION"))["notificationItems"][0]["NotificationRequestItem"]
REFUND = {
    **ITEM,
    "eventCode": "REFUND",
    "pspReference": "8825408195409506",
    "originalReference": ITEM["pspReference"],
    "merchantReference": "größer \\ : 😀",
}
KNOWN = {"ids": ["AUTHORISATION:8825408195409505"], "types": ["AUTHORISATION"]}


def signed(item: dict[str, Any]) -> dict[str, Any]:
    signature = generate_notification_sig(item, KEY).decode()
    made = {**item, "additionalData": {**item["additionalData"], "hmacSignature": signature}}
    assert is_valid_hmac_notification({"notificationItems": [{"NotificationRequestItem": made}]}, KEY)
    return made


def batch(*items: Any) -> bytes:
    body = {"live": "false", "notificationItems": [{"NotificationRequestItem": item} for item in items]}
    return json.dumps(body, ensure_ascii=False).encode()


def verify(body: bytes) -> bool:
    items = json.loads(body)["notificationItems"]
    return all(bool(is_valid_hmac_notification({"notificationItems": [item]}, KEY)) for item in items)


def add_good(vectors: Vectors) -> None:
    first, second = signed(ITEM), signed(REFUND)
    vectors.add("an authorisation", JSON, batch(first), **KNOWN)
    ids, types = [*KNOWN["ids"], "REFUND:8825408195409506"], ["AUTHORISATION", "REFUND"]
    vectors.add("two items", JSON, batch(first, second), ids=ids, types=types)
    report = {"eventCode": "REPORT_AVAILABLE", "pspReference": "report.csv", "originalReference": ""}
    nothing = {"amount": {"currency": "EUR", "value": 0}, "merchantReference": "", "success": "false"}
    ids, types = ["REPORT_AVAILABLE:report.csv"], ["REPORT_AVAILABLE"]
    vectors.add("empty values", JSON, batch(signed({**ITEM, **report, **nothing})), ids=ids, types=types)
    short = {name: value for name, value in ITEM.items() if name != "originalReference"}
    vectors.add("a reference that is not there", JSON, batch(signed(short)), **KNOWN)
    assert all(verify(request["body"].encode()) for request in vectors.requests)


def add_forged(vectors: Vectors) -> None:
    first, second = signed(ITEM), signed(REFUND)
    wrong = {**second, "amount": {"currency": "EUR", "value": 1}}
    mismatch = {
        "a changed amount": batch({**first, "amount": {"currency": "EUR", "value": 499000}}),
        "a changed success": batch({**first, "success": "false"}),
        "one wrong item, the second": batch(first, wrong),
        "one wrong item, the first": batch(wrong, first),
        "the signature of another item": batch({**first, "additionalData": second["additionalData"]}),
    }
    for name, body in mismatch.items():
        vectors.add(name, JSON, body, verdict="signature_mismatch")
    vectors.add("other secret", JSON, batch(first), verdict="signature_mismatch", source={"secrets": [OTHER]})
    bare = {name: value for name, value in ITEM.items() if name != "additionalData"}
    missing = {
        "no additionalData in the second": batch(first, bare),
        "no items": batch(),
        "no batch": b'{"live":"false"}',
        "no JSON": b"live=false",
        "an item that is none": b'{"notificationItems":[null]}',
    }
    for name, body in missing.items():
        vectors.add(name, JSON, body, verdict="signature_missing")
    malformed = {
        "an empty signature": batch({**ITEM, "additionalData": {"hmacSignature": ""}}),
        "a signature in hex": batch({**ITEM, "additionalData": {"hmacSignature": "ab" * 32}}),
        "a signature that is a number": batch({**ITEM, "additionalData": {"hmacSignature": 7}}),
        "a signature beyond ASCII": batch({**ITEM, "additionalData": {"hmacSignature": "é" * 44}}),
        "a value that is a list": batch({**first, "pspReference": ["8825408195409505"]}),
    }
    for name, body in malformed.items():
        vectors.add(name, JSON, body, verdict="signature_malformed")


def add_shifted(vectors: Vectors) -> None:
    """Nothing is escaped, so one signature fits other values: the library takes them."""
    item = {**ITEM, "merchantReference": "a:b"}
    account = item["merchantAccountCode"]
    shifted = {**signed(item), "originalReference": ":" + account, "merchantAccountCode": "a", "merchantReference": "b"}
    body = batch(shifted)
    assert verify(body)
    vectors.add("values shifted over a colon", JSON, body, verdict="signature_malformed")


def main() -> None:
    made_by = f"{package('Adyen')}, generate_notification_sig"
    vectors = Vectors("adyen", made_by, secrets=[f"literal:{KEY}"])
    add_good(vectors)
    # Not with `verified_by`: not all of an item is covered, and so neither are all changes of a body.
    assert verify(sent(source_of("adyen", vectors.source), batch(ITEM, REFUND), NOW).body)
    add_forged(vectors)
    add_shifted(vectors)
    vectors.write()


if __name__ == "__main__":
    main()
