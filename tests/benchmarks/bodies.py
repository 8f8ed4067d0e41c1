"""Requests as Stripe would send them, unique and signed, ready as the bytes that go on the wire.

The signature is made here with nothing of Postern's, so that the load comes from a stranger. Whoever cannot check
Stripe's gets one over the body alone.
"""

import hmac
import json
import secrets
import time
from collections.abc import Callable
from itertools import cycle, islice
from random import Random

SECRET = b"whsec_bench"
PATH = "/webhooks/stripe"
BODY_SIGNATURE = b"X-Hub-Signature-256"
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
    b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Stripe/1.0\r\nAccept: */*\r\n"
    b"Cache-Control: no-cache\r\nContent-Type: application/json; charset=utf-8\r\n"
    b"Content-Length: %d\r\n%s\r\n\r\n"
)


Signature = Callable[[bytes, int], bytes]
"""The whole header for a body sent at that second."""


def stripe_signature(body: bytes, now: int) -> bytes:
    return b"Stripe-Signature: t=%d,v1=%s" % (now, _mac(b"%d.%s" % (now, body)))


def body_signature(body: bytes, now: int) -> bytes:
    return b"%s: sha256=%s" % (BODY_SIGNATURE, _mac(body))


def _mac(content: bytes) -> bytes:
    return hmac.digest(SECRET, content, "sha256").hex().encode()


def signed(external_id: str, event_type: str, now: int, signature: Signature = stripe_signature) -> bytes:
    sent = body(external_id, event_type, now)
    return _HEAD % (len(sent), signature(sent, now)) + sent


def pool(size: int, signature: Signature = stripe_signature) -> list[bytes]:
    """Signed before the clock starts, so that the generator only sends; good while the tolerance lasts."""
    now = int(time.time())
    return [signed(new_id(), event_type, now, signature) for event_type in islice(cycle(TYPES), size)]


def storm(size: int) -> list[bytes]:
    """Each tenth is new; what stands between has been sent before."""
    fresh = pool(-(-size // 10))
    known = Random(1)
    return [fresh[n // 10 if n % 10 == 0 else known.randrange(n // 10 + 1)] for n in range(size)]


def new_id() -> str:
    return f"evt_{secrets.token_hex(12)}"


def body(external_id: str, event_type: str, now: int) -> bytes:
    body = _BODY.replace(b"@id", external_id.encode()).replace(b"@type", event_type.encode())
    return body.replace(b'"@created"', b"%d" % now)
