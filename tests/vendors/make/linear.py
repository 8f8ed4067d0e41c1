"""Linear's own library verifies; it signs nothing. Its time stands in the body."""

import hashlib
import hmac
import time

from tests.vendors.make.vectors import Vectors, fixture, node, npm_package

SECRET = "lin_wh_larkspur_made_up_51c0"
DELIVERY = "234d1a4e-b617-4388-90fe-adc3633d6b72"
BODY = fixture("linear/Issue.create")


def signed(body: bytes) -> dict[str, str]:
    signature = hmac.digest(SECRET.encode(), body, hashlib.sha256).hex()
    return {"Linear-Delivery": DELIVERY, "Linear-Event": "Issue", "Linear-Signature": signature}


def verify(headers: dict[str, str], body: bytes) -> bool:
    at, signature = time.time() * 1000, headers["linear-signature"]
    return bool(node("linear.mjs", {"secret": SECRET, "signature": signature, "body": body.decode(), "at": at}))


def main() -> None:
    made_by = f"{npm_package('@linear/sdk')}, LinearWebhookClient.verify"
    vectors = Vectors("linear", made_by, secrets=[f"literal:{SECRET}"])
    vectors.add("an issue", signed(BODY), BODY, ids=[DELIVERY], types=["Issue.create"])
    vectors.verified_by(verify, id=DELIVERY)
    vectors.forge("Linear-Signature", tolerance_s=60)
    for name, text, code in (
        ("no time", b'"other":1760000000000', "timestamp_missing"),
        ("a time that is text and no number", b'"webhookTimestamp":"now"', "timestamp_malformed"),
        ("a time with a point", b'"webhookTimestamp":1760000000000.5', "timestamp_malformed"),
        ("a time in seconds", b'"webhookTimestamp":1760000000', "timestamp_stale"),
    ):
        body = BODY.replace(b'"webhookTimestamp":1760000000000', text)
        vectors.add(f"{name}, signed", signed(body), body, verdict=code)
    late = BODY.replace(b'"webhookTimestamp":1760000000000', b'"webhookTimestamp":1759999000000')
    honest = {**signed(late), "Linear-Timestamp": "1760000000000"}
    vectors.add("stale, with a fresh time in a header that nobody signs", honest, late, verdict="timestamp_stale")
    vectors.add("no JSON, signed", signed(b"hello"), b"hello", verdict="timestamp_missing")
    vectors.write()


if __name__ == "__main__":
    main()
