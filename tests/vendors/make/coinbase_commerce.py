"""Coinbase Commerce, by its own library, which signs and verifies."""

from typing import Any

from coinbase_commerce.webhook import Webhook, WebhookSignature

from tests.vendors.make.macs import compact
from tests.vendors.make.vectors import Vectors, package

SECRET = "10d5f3ee-a46b-4df5-ab3d-6c2d1bd3f6a1"
EVENT = {
    "id": "24934862-d980-46cb-9402-43c81b0cdba6",
    "resource": "event",
    "type": "charge:confirmed",
    "api_version": "2018-03-22",
    "created_at": "2025-10-09T08:53:16Z",
    "data": {"id": "2aee9dd1-67b8-43ef-8dfe-977959850f27", "code": "XA6G6ZFR", "name": "Mühle"},
}


def signed(attempt: int) -> tuple[dict[str, str], bytes]:
    body = compact({"attempt_number": attempt, "event": EVENT, "id": "a-delivery-of-it"})
    signature = WebhookSignature._compute_signature(body.decode(), SECRET)
    Webhook.construct_event(body.decode(), signature, SECRET)
    return {"Content-Type": "application/json", "X-CC-Webhook-Signature": signature}, body


def main() -> None:
    vectors = Vectors("coinbase-commerce", made_by=package("coinbase-commerce"), secrets=[f"literal:{SECRET}"])
    said: dict[str, Any] = {"ids": [str(EVENT["id"])], "types": ["charge:confirmed"]}
    vectors.add("a charge", *signed(1), **said)
    vectors.forge("X-CC-Webhook-Signature")
    vectors.add("the charge, tried again", *signed(2), **said)
    vectors.write()


if __name__ == "__main__":
    main()
