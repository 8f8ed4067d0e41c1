"""Signs as vendors' own code does, written anew from their documentation: what signs here must not be what verifies."""

import hashlib
import hmac
import json
import time
from typing import Any

SECRET = "whsec_of_the_tests"  # literal text to Stripe
OTHER_SECRET = "whsec_of_somebody_else"

Pairs = list[tuple[str, str]]


def stripe(body: bytes, secret: str = SECRET, at: float | None = None) -> Pairs:
    """The headers of a Stripe delivery. https://docs.stripe.com/webhooks#verify-manually"""
    seconds = int(time.time() if at is None else at)
    signature = hmac.new(secret.encode(), b"%d." % seconds + body, hashlib.sha256).hexdigest()
    return [("Content-Type", "application/json"), ("Stripe-Signature", f"t={seconds},v1={signature}")]


def github(body: bytes, delivery: str, event: str = "ping", secret: str = SECRET) -> Pairs:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return [("X-Hub-Signature-256", f"sha256={signature}"), ("X-GitHub-Delivery", delivery), ("X-GitHub-Event", event)]


def stripe_event(id: str, type: str = "payment_intent.succeeded", **data: Any) -> bytes:
    """An event's body, with `data` as the object it is about."""
    return json.dumps({"id": id, "object": "event", "type": type, "data": {"object": {"id": "pi_1", **data}}}).encode()
