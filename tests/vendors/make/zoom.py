"""Zoom's own library receives what was signed as its documentation says, and answers the handshake."""

import hashlib
import hmac
import json

from tests.vendors.make.vectors import NOW, Vectors, by_bytes, fixture, node, npm_package

SECRET = "larkspur-made-up-Zq3V7w"
BODY = fixture("zoom/meeting.ended")
TOKEN = b"qgg8vlvZRS6UYooatFL8Aw"
HANDSHAKE = b'{"payload":{"plainToken":"%b"},"event_ts":1760000000000,"event":"endpoint.url_validation"}' % TOKEN


def signed(body: bytes, at: int = NOW) -> dict[str, str]:
    mac = hmac.digest(SECRET.encode(), b"v0:%d:%b" % (at, body), hashlib.sha256).hex()
    return {"x-zm-request-timestamp": str(at), "x-zm-signature": f"v0={mac}"}


def answer(headers: dict[str, str], body: bytes) -> tuple[int, str]:
    status, text = node("zoom.mjs", {"secret": SECRET, "headers": headers, "body": body.decode()})
    return status, text


def main() -> None:
    vectors = Vectors("zoom", f"{npm_package('@zoom/rivet')}, AwsLambdaReceiver", secrets=[f"literal:{SECRET}"])
    vectors.add("a meeting", signed(BODY), BODY, ids=[by_bytes(BODY)], types=["meeting.ended"])
    vectors.verified_by(lambda headers, body: answer(headers, body)[0] == 200)
    vectors.forge("x-zm-signature", tolerance_s=300)
    good = signed(BODY)
    moved = {**good, "x-zm-request-timestamp": str(NOW + 1)}
    vectors.add("another time", moved, BODY, verdict="signature_mismatch")
    vectors.add("in milliseconds", signed(BODY, NOW * 1000), BODY, verdict="timestamp_malformed")
    status, text = answer(signed(HANDSHAKE), HANDSHAKE)
    as_the_library = {"status": status, "json": json.loads(text), "headers": [["content-type", "application/json"]]}
    vectors.add("the handshake", signed(HANDSHAKE), HANDSHAKE, verdict="answered", answer=as_the_library)
    forged = {**signed(HANDSHAKE), "x-zm-signature": f"v0={'0' * 64}"}
    vectors.add("the handshake of somebody else", forged, HANDSHAKE, verdict="signature_mismatch")
    vectors.write()


if __name__ == "__main__":
    main()
