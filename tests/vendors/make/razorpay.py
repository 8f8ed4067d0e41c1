"""Razorpay's own library verifies; it signs nothing."""

import hashlib
import hmac

from razorpay.utility import Utility

from tests.vendors.make.vectors import Vectors, by_bytes, fixture, package

SECRET = "larkspur made up"
EVENT = "RRf8yB7nPq2sTu"
BODY = fixture("razorpay/payment.captured")


def signed(body: bytes) -> dict[str, str]:
    signature = hmac.digest(SECRET.encode(), body, hashlib.sha256).hex()
    return {"X-Razorpay-Signature": signature, "x-razorpay-event-id": EVENT}


def verify(headers: dict[str, str], body: bytes) -> object:
    return Utility().verify_webhook_signature(body.decode(), headers["x-razorpay-signature"], SECRET)


def main() -> None:
    made_by = f"{package('razorpay')}, Utility.verify_webhook_signature"
    vectors = Vectors("razorpay", made_by, secrets=[f"literal:{SECRET}"])
    vectors.add("a payment", signed(BODY), BODY, ids=[EVENT], types=["payment.captured"])
    without = {"X-Razorpay-Signature": signed(BODY)["X-Razorpay-Signature"]}
    vectors.add("without an event id", without, BODY, ids=[by_bytes(BODY)], types=["payment.captured"])
    vectors.verified_by(verify, id=EVENT)
    vectors.forge("X-Razorpay-Signature")
    doubled = [*signed(BODY).items(), ("X-Razorpay-Event-Id", "other")]
    vectors.add("two event ids", doubled, BODY, verdict="signature_malformed")
    vectors.write()


if __name__ == "__main__":
    main()
