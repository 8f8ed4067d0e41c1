"""GoCardless's own library verifies; it signs nothing. A webhook holds many events."""

import hashlib
import hmac

from gocardless_pro import webhooks

from tests.vendors.make.vectors import Vectors, fixture, package

SECRET = "larkspur-made-up-endpoint-secret"
BODY = fixture("gocardless/payments.confirmed")
EMPTY = b'{"events":[],"meta":{"webhook_id":"WB001K73G2XJKM"}}'


def signed(body: bytes) -> dict[str, str]:
    return {"Webhook-Signature": hmac.digest(SECRET.encode(), body, hashlib.sha256).hex()}


def verify(headers: dict[str, str], body: bytes) -> None:
    webhooks.parse(body, SECRET, headers["webhook-signature"])


def main() -> None:
    vectors = Vectors("gocardless", f"{package('gocardless_pro')}, webhooks.parse", secrets=[f"literal:{SECRET}"])
    ids, types = ["EV01K73G2XABCD", "EV01K73G2XEFGH"], ["payments.confirmed", "mandates.active"]
    vectors.add("two events", signed(BODY), BODY, ids=ids, types=types)
    vectors.add("no events", signed(EMPTY), EMPTY)
    vectors.verified_by(verify)
    vectors.forge("Webhook-Signature")
    vectors.write()


if __name__ == "__main__":
    main()
