"""Mailgun's own library verifies; it signs nothing, and never looks at the event."""

import hashlib
import hmac
import json
from typing import Any

import time_machine
from mailgun.security import SecurityGuard

from tests.vendors.make.vectors import NOW, OTHER_SECRET, Vectors, fixture, package
from tests.vendors.sources import sent, source_of

KEY, PARENT = "larkspur-made-up-signing-key", "larkspur-made-up-parent-key"
TOKEN = "9b1f0c7e5a3d48f2b6c4e8a0d1f3b5c7e9a1b3c5d7e9f0a2b4"
TOLERANCE_S = 900
JSON = {"Content-Type": "application/json"}
EVENT: dict[str, Any] = json.loads(fixture("mailgun/delivered"))["event-data"]
KNOWN: dict[str, Any] = {"ids": [EVENT["id"]], "types": ["delivered"]}


def mac(key: str, at: Any = NOW, token: str = TOKEN) -> str:
    return hmac.digest(key.encode(), f"{at}{token}".encode(), hashlib.sha256).hex()


def body(*, event: Any = EVENT, **signature: Any) -> bytes:
    """Signed as Mailgun does; `signature` is what differs."""
    signed = {"timestamp": str(NOW), "token": TOKEN, "signature": mac(KEY), **signature}
    present = {name.replace("_", "-"): value for name, value in signed.items() if value is not None}
    return json.dumps({"signature": present, "event-data": event}, ensure_ascii=False).encode()


def at(moment: Any) -> bytes:
    return body(timestamp=str(moment), signature=mac(KEY, moment))


def verify(content: bytes) -> bool:
    said = json.loads(content)["signature"]
    with time_machine.travel(NOW, tick=False):
        said = said["token"], said["timestamp"], said["signature"]
        return bool(SecurityGuard.verify_webhook(KEY, *said, TOLERANCE_S))


def add_good(vectors: Vectors) -> None:
    vectors.add("a delivery", JSON, body(), **KNOWN)
    vectors.add("a time that is a number", JSON, body(timestamp=NOW), **KNOWN)
    beyond = {**EVENT, "id": "größe-😀", "event": "opened"}
    vectors.add("beyond ASCII", JSON, body(event=beyond), ids=["größe-😀"], types=["opened"])
    assert all(verify(request["body"].encode()) for request in vectors.requests)
    assert verify(sent(source_of("mailgun", vectors.source), fixture("mailgun/delivered"), NOW).body)
    parent = {"source": {"secrets": [f"literal:{PARENT}"]}, **KNOWN}
    vectors.add("a subaccount's, with the parent's key", JSON, body(parent_signature=mac(PARENT)), **parent)


def add_times(vectors: Vectors) -> None:
    for name, moment, verdict in (
        ("just not stale", NOW - TOLERANCE_S + 1, "accepted"),
        ("stale", NOW - TOLERANCE_S - 2, "timestamp_stale"),
        ("just not of the future", NOW + TOLERANCE_S - 1, "accepted"),
        ("of the future", NOW + TOLERANCE_S + 2, "timestamp_future"),
    ):
        assert verify(at(moment)) is (verdict == "accepted")
        vectors.add(name, JSON, at(moment), verdict=verdict, **KNOWN)
    for name, text in (("a time in full-width digits", "１７６００００００００"), ("a time with a space", f" {NOW}")):
        vectors.add(name, JSON, at(text), verdict="timestamp_malformed")
    vectors.add("without a time", JSON, body(timestamp=None), verdict="timestamp_missing")


def add_forged(vectors: Vectors) -> None:
    other = {"secrets": [OTHER_SECRET]}
    vectors.add("other secret", JSON, body(), verdict="signature_mismatch", source=other)
    moved = body(timestamp=str(NOW)[:-1], token=str(NOW)[-1] + TOKEN)
    vectors.add("a digit moved into the token", JSON, moved, verdict="timestamp_stale")
    for name, content, verdict in (
        ("another token", body(token=TOKEN[::-1]), "signature_mismatch"),
        ("another time", body(timestamp=str(NOW + 1)), "signature_mismatch"),
        ("without a token", body(token=None), "signature_missing"),
        ("without a signature", body(signature=None), "signature_missing"),
        ("an empty signature", body(signature=""), "signature_malformed"),
        ("a signature of a byte less", body(signature=mac(KEY)[:-2]), "signature_malformed"),
        ("a signature beyond ASCII", body(signature="é" * 64), "signature_malformed"),
        ("a signature that is a list", body(signature=[mac(KEY)]), "signature_malformed"),
        ("no object", b"[]", "signature_missing"),
        ("no JSON", b"timestamp=1760000000&token=1", "signature_missing"),
        ("nothing", b"", "signature_missing"),
    ):
        vectors.add(name, JSON, content, verdict=verdict)


def main() -> None:
    vectors = Vectors("mailgun", f"{package('mailgun')}, SecurityGuard.verify_webhook", secrets=[f"literal:{KEY}"])
    add_good(vectors)
    add_times(vectors)
    add_forged(vectors)
    vectors.write()


if __name__ == "__main__":
    main()
