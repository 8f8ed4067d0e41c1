"""SendGrid's own library verifies, and its own test has a request that SendGrid signed."""

import json
from base64 import b64encode
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sendgrid import EventWebhook

from tests.vendors.make.made_up_keys import der64, ec_key
from tests.vendors.make.vectors import NOW, Vectors, fixture, package

KEY, OTHER = ec_key("sendgrid"), ec_key("somebody else")
SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIME = "X-Twilio-Email-Event-Webhook-Timestamp"

# https://github.com/sendgrid/sendgrid-python/blob/main/test/unit/test_eventwebhook.py
THEIR_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6w"
    "EA3F+g=="
)
THEIR_SIGNATURE = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
THEIR_TIME = 1600112502
THEIR_EVENT = {
    "email": "hello@world.com",
    "event": "dropped",
    "reason": "Bounced Address",
    "sg_event_id": "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
    "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",
    "smtp-id": "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",
    "timestamp": 1600112492,
}


def headers(body: bytes, at: int = NOW) -> dict[str, str]:
    made = KEY.sign(str(at).encode() + body, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    signature = b64encode(made).decode()
    assert EventWebhook(der64(KEY.public_key())).verify_signature(body.decode(), signature, str(at))
    return {SIGNATURE: signature, TIME: str(at)}


def main() -> None:
    made_by = f"{package('sendgrid')}, EventWebhook.verify_signature, and its own test's request"
    vectors = Vectors("sendgrid", made_by, public_keys=[f"literal:{der64(KEY.public_key())}"])
    body = fixture("sendgrid/delivered")
    events = json.loads(body)
    ids: Any = {"ids": [event["sg_event_id"] for event in events], "types": [event["event"] for event in events]}
    vectors.add("three events", headers(body), body, **ids)
    theirs = json.dumps([THEIR_EVENT], sort_keys=True, separators=(",", ":")) + "\r\n"
    vectors.add(
        "the library's own test",
        {SIGNATURE: THEIR_SIGNATURE, TIME: str(THEIR_TIME)},
        theirs,
        at=THEIR_TIME,
        source={"public_keys": [f"literal:{THEIR_KEY}"]},
        ids=[str(THEIR_EVENT["sg_event_id"])],
        types=["dropped"],
    )
    vectors.add("an empty batch", headers(b"[]"), b"[]")
    vectors.forge(
        SIGNATURE, tolerance_s=300, other={"public_keys": [f"literal:{der64(OTHER.public_key())}"]},
    )  # fmt: skip
    good: Any = headers(body)
    vectors.add("without the line break at the end", good, body.rstrip(), verdict="signature_mismatch")
    changed = body.replace(b'"event":"bounce"', b'"event":"opened"')
    vectors.add("one wrong item", good, changed, verdict="signature_mismatch")
    vectors.add("another time", {**good, TIME: str(NOW + 1)}, body, verdict="signature_mismatch")
    vectors.add("without a time", {SIGNATURE: good[SIGNATURE]}, body, verdict="timestamp_missing")
    broken = b64encode(b"\x30\x06\x02\x01\x00\x02\x01\x00").decode()
    vectors.add("the signature of two zeros", {**good, SIGNATURE: broken}, body, verdict="signature_malformed")
    vectors.write()


if __name__ == "__main__":
    main()
