"""Square's own library verifies; it signs nothing. The address is signed too."""

import hashlib
import hmac
from base64 import b64encode

from square.utils.webhooks_helper import verify_signature

from tests.vendors.make.vectors import Vectors, fixture, package

SECRET = "larkspur-made-up-3p8QbV"
URL = "https://hooks.larkspur.example/square"
BODY = fixture("square/payment.updated")
KNOWN = {"ids": ["6a8f5f28-54a1-4eb0-a98a-3111513fd4fc"], "types": ["payment.updated"]}


def signed(body: bytes, url: str = URL) -> dict[str, str]:
    mac = hmac.digest(SECRET.encode(), url.encode() + body, hashlib.sha256)
    return {"x-square-hmacsha256-signature": b64encode(mac).decode(), "square-environment": "Production"}


def verify(headers: dict[str, str], body: bytes) -> bool:
    is_right: bool = verify_signature(
        request_body=body.decode(),
        signature_header=headers["x-square-hmacsha256-signature"],
        signature_key=SECRET,
        notification_url=URL,
    )
    return is_right


def main() -> None:
    made_by = f"{package('squareup')}, utils.webhooks_helper.verify_signature"
    vectors = Vectors("square", made_by, public_url=URL, secrets=[f"literal:{SECRET}"])
    vectors.add("a payment", signed(BODY), BODY, **KNOWN)
    vectors.verified_by(verify)
    vectors.forge("x-square-hmacsha256-signature")
    with_query = signed(BODY, f"{URL}?shop=7")
    vectors.add("an address with a query", with_query, BODY, query="shop=7", **KNOWN)
    vectors.add("another query", with_query, BODY, query="shop=8", verdict="signature_mismatch")
    vectors.add("a query that was not signed", signed(BODY), BODY, query="shop=7", verdict="signature_mismatch")
    moved = {"source": {"public_url": "https://hooks.larkspur.example/other"}, "verdict": "signature_mismatch"}
    vectors.add("for another address", signed(BODY), BODY, **moved)
    vectors.write()


if __name__ == "__main__":
    main()
