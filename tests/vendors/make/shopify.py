"""Shopify's own library verifies both kinds of its headers; it signs nothing."""

import hashlib
import hmac
from base64 import b64encode

from tests.vendors.make.vectors import Vectors, fixture, node, npm_package

SECRET = "shpss_larkspur_made_up_8b2d"
WEBHOOK = "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"
EVENT = "98880550-7158-44d4-b7cd-2c97c8a091b5"
BODY = fixture("shopify/orders/create")
SUBJECT = {"ids": [EVENT], "types": ["orders/create"]}


def signature(body: bytes) -> str:
    return b64encode(hmac.digest(SECRET.encode(), body, hashlib.sha256)).decode()


def verify(headers: dict[str, str], body: bytes) -> bool:
    # We sign with the event's id only, and the library wants a delivery's as well.
    all_headers = {"x-shopify-webhook-id": WEBHOOK, "shopify-webhook-id": WEBHOOK, **headers}
    return bool(node("shopify.mjs", {"secret": SECRET, "headers": all_headers, "body": body.decode()}))


def webhooks(made_by: str) -> None:
    vectors = Vectors("shopify", made_by, secrets=[f"literal:{SECRET}"])
    headers = {
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Hmac-Sha256": signature(BODY),
        "X-Shopify-Shop-Domain": "larkspur.myshopify.com",
        "X-Shopify-API-Version": "2025-01",
        "X-Shopify-Webhook-Id": WEBHOOK,
        "X-Shopify-Triggered-At": "2025-10-09T08:53:18.123456789Z",
        "X-Shopify-Event-Id": EVENT,
    }
    vectors.add("an order", headers, BODY, **SUBJECT)
    without = {name: value for name, value in headers.items() if name != "X-Shopify-Event-Id"}
    vectors.add("without an event id", without, BODY, ids=[WEBHOOK], types=["orders/create"])
    forge(vectors, "X-Shopify-Hmac-Sha256", id=EVENT)


def events(made_by: str) -> None:
    vectors = Vectors("shopify-events", made_by, secrets=[f"literal:{SECRET}"])
    headers = {
        "shopify-topic": "orders/create",
        "shopify-hmac-sha256": signature(BODY),
        "shopify-shop-domain": "larkspur.myshopify.com",
        "shopify-api-version": "2026-01",
        "shopify-webhook-id": WEBHOOK,
        "shopify-triggered-at": "2025-10-09T08:53:18.123456789Z",
    }
    vectors.add("an order", headers, BODY, ids=[WEBHOOK], types=["orders/create"])
    vectors.add("with an event id", {**headers, "shopify-event-id": EVENT}, BODY, **SUBJECT)
    forge(vectors, "shopify-hmac-sha256", id=EVENT)


def forge(vectors: Vectors, header: str, *, id: str) -> None:
    good = dict(vectors.requests[0]["headers"])
    vectors.verified_by(verify, id=id, type="orders/create")
    vectors.forge(header)
    in_hex = hmac.digest(SECRET.encode(), BODY, hashlib.sha256).hex()
    vectors.add("in hex", {**good, header: in_hex}, BODY, verdict="signature_malformed")
    empty = {**good, header: signature(b"")}
    # The library refuses it; to us it is signed, and what a signed request says is its vendor's business.
    known = {key: vectors.requests[0][key] for key in ("ids", "types")}
    vectors.add("an empty body, signed", empty, b"", **known)
    vectors.write()


if __name__ == "__main__":
    by = f"{npm_package('@shopify/shopify-api')}, webhooks.validate"
    webhooks(by)
    events(by)
