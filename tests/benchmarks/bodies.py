"""Requests as Stripe would send them, unique and signed, ready as the bytes that go on the wire.

The signature is made here with nothing of Postern's, so that the load comes from a stranger.
"""

import hmac
import json
import secrets
import time
from itertools import cycle, islice

SECRET = b"whsec_bench"
TYPES = ("payment_intent.succeeded", "charge.updated", "customer.subscription.updated")

_EVENT = {
    "id": "@id",
    "object": "event",
    "api_version": "2025-06-30.basil",
    "created": "@created",
    "data": {
        "object": {
            "id": "pi_@id",
            "object": "payment_intent",
            "amount": 4200,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 4200,
            "application": None,
            "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": "automatic_async",
            "client_secret": "pi_@id_secret",
            "confirmation_method": "automatic",
            "currency": "eur",
            "customer": "cus_bench",
            "description": "Order 6735 of the spring catalogue, two parcels",
            "invoice": None,
            "last_payment_error": None,
            "latest_charge": "ch_bench",
            "livemode": False,
            "metadata": {"order": "6735", "parcels": "2", "shop": "north"},
            "next_action": None,
            "payment_method": "pm_bench",
            "payment_method_types": ["card", "link", "sepa_debit"],
            "receipt_email": "someone@example.com",
            "shipping": None,
            "statement_descriptor": None,
            "status": "succeeded",
            "transfer_group": None,
        }
    },
    "livemode": False,
    "pending_webhooks": 1,
    "request": {"id": "req_bench", "idempotency_key": "@id"},
    "type": "@type",
}
_BODY = json.dumps(_EVENT, indent=2).encode()
_HEAD = (
    b"POST /webhooks/stripe HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Stripe/1.0\r\nAccept: */*\r\n"
    b"Cache-Control: no-cache\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Content-Length: %d\r\nStripe-Signature: t=%d,v1=%s\r\n\r\n"
)


def signed(external_id: str, event_type: str, now: int) -> bytes:
    sent = body(external_id, event_type, now)
    signature = hmac.digest(SECRET, b"%d.%s" % (now, sent), "sha256").hex().encode()
    return _HEAD % (len(sent), now, signature) + sent


def pool(size: int) -> list[bytes]:
    """Signed before the clock starts, so that the generator only sends; good while the tolerance lasts."""
    now = int(time.time())
    return [signed(new_id(), event_type, now) for event_type in islice(cycle(TYPES), size)]


def new_id() -> str:
    return f"evt_{secrets.token_hex(12)}"


def body(external_id: str, event_type: str, now: int) -> bytes:
    body = _BODY.replace(b"@id", external_id.encode()).replace(b"@type", event_type.encode())
    return body.replace(b'"@created"', b"%d" % now)
