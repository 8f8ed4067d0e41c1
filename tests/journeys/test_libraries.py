"""Vendors' own libraries sign requests, and a real server accepts them; altered by a byte, it does not."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import standardwebhooks
import stripe
from slack_sdk.signature import SignatureVerifier

from tests.support.inside import Inside, inside
from tests.support.rows import rows
from tests.support.sender import Pairs
from tests.support.wire import post

SECRETS = {
    "stripe": "whsec_literal_text",
    "standardwebhooks": "whsec_" + base64.b64encode(b"twenty-four random bytes").decode(),
    "slack": "8f742231b10e8888abcd99yyyzzz85a5",
}
CONFIG = "".join(
    f'[sources.{name}]\npreset = "{name}"\nsecrets = ["literal:{secret}"]\n' for name, secret in SECRETS.items()
)
TEXT = json.dumps(
    {
        "id": "evt_1",
        "event_id": "Ev1",
        "type": "invoice.paid",
        "event": {"type": "app_mention"},
        "data": {"object": {"text": "é"}},
    },
    ensure_ascii=False,
)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with inside(tmp_path_factory.mktemp("libraries"), CONFIG) as it:
        yield it


def by_stripe() -> Pairs:
    return [("Stripe-Signature", stripe.WebhookSignature.generate_signature_header(TEXT, SECRETS["stripe"]))]


def by_standardwebhooks() -> Pairs:
    now = datetime.now(UTC)
    signature = standardwebhooks.Webhook(SECRETS["standardwebhooks"]).sign("msg_1", now, TEXT)
    at = str(int(now.timestamp()))
    return [("webhook-id", "msg_1"), ("webhook-timestamp", at), ("webhook-signature", signature)]


def by_slack() -> Pairs:
    at = str(int(time.time()))
    signature = SignatureVerifier(SECRETS["slack"]).generate_signature(timestamp=at, body=TEXT)
    assert signature is not None
    return [("X-Slack-Request-Timestamp", at), ("X-Slack-Signature", signature)]


@pytest.mark.parametrize(
    ("source", "headers", "external_id", "type"),
    [
        ("stripe", by_stripe, "evt_1", "invoice.paid"),
        ("standardwebhooks", by_standardwebhooks, "msg_1", "invoice.paid"),
        ("slack", by_slack, "Ev1", "app_mention"),
    ],
)
def test_what_a_vendor_s_library_signs_is_accepted_by_a_real_server(
    receiver: Inside, source: str, headers: Callable[[], Pairs], external_id: str, type: str
) -> None:
    answer = post(receiver.port, f"/webhooks/{source}", TEXT.encode(), headers())
    assert (answer.status, answer.json()["status"]) == (200, "accepted")
    sql = "SELECT external_id, type, body FROM event JOIN delivery ON delivery.id = delivery_id WHERE source = ?"
    assert rows(receiver.file, sql, source) == [(external_id, type, TEXT.encode())]
    altered = post(receiver.port, f"/webhooks/{source}", TEXT.encode() + b" ", headers())
    assert (altered.status, altered.code) == (401, "signature_mismatch")
