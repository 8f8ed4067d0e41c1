"""Vendors without a public library that signs or verifies: after the description in their documentation."""

import hashlib
import hmac
from base64 import b64encode

from tests.vendors.make.vectors import NOW, Vectors, by_bytes, fixture

SECRET = "larkspur-made-up-secret"
AT = "2025-10-09T08:53:20Z"


def vectors_of(preset: str, address: str) -> Vectors:
    return Vectors(preset, f"documentation's description, {address}", secrets=[f"literal:{SECRET}"])


def mac(content: bytes, hash: str = "sha256") -> bytes:
    return hmac.digest(SECRET.encode(), content, hash)


def lemonsqueezy() -> None:
    vectors = vectors_of("lemonsqueezy", "https://docs.lemonsqueezy.com/help/webhooks/signing-requests")
    body = fixture("lemonsqueezy/order_created")
    headers = {"X-Event-Name": "order_created", "X-Signature": mac(body).hex()}
    vectors.add("an order", headers, body, ids=[by_bytes(body)], types=["order_created"])
    renamed = {**headers, "X-Event-Name": "order_refunded"}
    vectors.add("another event name, which nobody signs", renamed, body, ids=[by_bytes(body)], types=["order_created"])
    vectors.forge("X-Signature")
    vectors.write()


def checkout() -> None:
    vectors = vectors_of("checkout.com", "https://www.checkout.com/docs/workflows/set-up-your-webhook-receiver")
    body = fixture("checkout.com/payment_approved")
    headers = {"Cko-Signature": mac(body).hex()}
    vectors.add("a payment", headers, body, ids=["evt_k2v5zq4d7mzuxhq3n6w8r1t0ya"], types=["payment_approved"])
    vectors.forge("Cko-Signature")
    vectors.write()


def intercom() -> None:
    vectors = vectors_of("intercom", "https://developers.intercom.com/docs/webhooks/setting-up-webhooks")
    body = fixture("intercom/conversation.user.created")
    headers = {"X-Hub-Signature": f"sha1={mac(body, 'sha1').hex()}"}
    known = {"ids": ["notif_78c122d0-23ba-11e4-9464-79b01267cc2e"], "types": ["conversation.user.created"]}
    vectors.add("a conversation", headers, body, **known)
    vectors.forge("X-Hub-Signature")
    sha256 = {"X-Hub-Signature": f"sha256={mac(body).hex()}"}
    vectors.add("SHA-256", sha256, body, verdict="signature_malformed")
    vectors.write()


def zendesk() -> None:
    vectors = vectors_of("zendesk", "https://developer.zendesk.com/documentation/webhooks/verifying/")
    body = fixture("zendesk/zen%3Aevent-type%3Auser.created")
    known = {"ids": ["cbe4028c-7239-495d-b020-f22348516046"], "types": ["zen:event-type:user.created"]}
    signature, timestamp = "X-Zendesk-Webhook-Signature", "X-Zendesk-Webhook-Signature-Timestamp"

    def signed(body: bytes, at: str = AT) -> dict[str, str]:
        made = hmac.digest(SECRET.encode(), at.encode() + body, hashlib.sha256)
        return {timestamp: at, signature: b64encode(made).decode()}

    vectors.add("a user", signed(body), body, **known)
    vectors.forge(signature, tolerance_s=300)
    vectors.add("no body", signed(b""), b"", ids=[by_bytes(b"")], types=["unknown"])
    for name, headers, code in (
        ("another time", {**signed(body), timestamp: "2025-10-09T08:53:21Z"}, "signature_mismatch"),
        ("a time without a zone", signed(body, AT.removesuffix("Z")), "timestamp_malformed"),
        ("a time in seconds", signed(body, str(NOW)), "timestamp_malformed"),
        ("without a time", {**signed(body), timestamp: ""}, "timestamp_missing"),
    ):
        vectors.add(name, headers, body, verdict=code)
    vectors.write()


if __name__ == "__main__":
    lemonsqueezy()
    checkout()
    intercom()
    zendesk()
