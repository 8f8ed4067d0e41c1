"""The vendors' own libraries sign and we accept; we sign and they verify. They share no line with us."""

import json
import time
from datetime import UTC, datetime

import pytest
import standardwebhooks
import stripe
from slack_sdk.signature import Clock, SignatureVerifier

from tests.receiver.schemes.deliveries import NOW, SECRETS, key_of, request, vendor

BODY = json.dumps(
    {
        "id": "evt_1",
        "object": "event",
        "type": "payment_intent.succeeded",
        "data": {"object": {"id": "pi_é"}},
    },
    ensure_ascii=False,
).encode()
TEXT = BODY.decode()


class StoppedClock(Clock):
    def now(self) -> float:
        return NOW


def test_what_stripes_library_signs_is_accepted() -> None:
    scheme = vendor("stripe")
    header = stripe.WebhookSignature.generate_signature_header(TEXT, SECRETS["stripe"].decode(), timestamp=int(NOW))
    taken = request([("Stripe-Signature", header)], BODY)
    assert scheme.verify(taken, [key_of(scheme, SECRETS["stripe"])], NOW).signed_at == NOW


def test_stripes_library_accepts_what_we_sign() -> None:
    scheme = vendor("stripe")
    headers = dict(
        scheme.sign(BODY, key_of(scheme, SECRETS["stripe"]), time.time(), url="", id="evt_1", type=None).headers
    )
    event = stripe.Webhook.construct_event(BODY, headers["Stripe-Signature"], SECRETS["stripe"].decode())
    assert event.id == "evt_1"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(BODY + b" ", headers["Stripe-Signature"], SECRETS["stripe"].decode())


def test_what_the_standard_webhooks_library_signs_is_accepted() -> None:
    scheme = vendor("standardwebhooks")
    library = standardwebhooks.Webhook(SECRETS["standardwebhooks"].decode())
    headers = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", str(int(NOW))),
        ("webhook-signature", library.sign("msg_1", datetime.fromtimestamp(NOW, UTC), TEXT)),
    ]
    verified = scheme.verify(request(headers, BODY), [key_of(scheme, SECRETS["standardwebhooks"])], NOW)
    assert verified.signed_at == NOW


@pytest.mark.parametrize("secret", [SECRETS["standardwebhooks"], b"whsec_c2hvcnQ", b"c2hvcnQ", b"c2hvcnQ="])
def test_the_standard_webhooks_library_accepts_what_we_sign(secret: bytes) -> None:
    scheme = vendor("standardwebhooks")
    headers = dict(scheme.sign(BODY, key_of(scheme, secret), time.time(), url="", id="msg_1", type=None).headers)
    library = standardwebhooks.Webhook(secret.decode())
    assert library.verify(BODY, headers) == json.loads(BODY)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        library.verify(BODY + b" ", headers)


def test_what_slacks_library_signs_is_accepted() -> None:
    scheme = vendor("slack")
    library = SignatureVerifier(SECRETS["slack"].decode())
    signature = library.generate_signature(timestamp=str(int(NOW)), body=BODY)
    assert signature
    headers = [("X-Slack-Request-Timestamp", str(int(NOW))), ("X-Slack-Signature", signature)]
    assert scheme.verify(request(headers, BODY), [key_of(scheme, SECRETS["slack"])], NOW).signed_at == NOW


def test_slacks_library_accepts_what_we_sign() -> None:
    scheme = vendor("slack")
    headers = dict(scheme.sign(BODY, key_of(scheme, SECRETS["slack"]), NOW, url="", id=None, type=None).headers)
    library = SignatureVerifier(SECRETS["slack"].decode(), StoppedClock())
    assert library.is_valid_request(BODY, headers)
    assert not library.is_valid_request(BODY + b" ", headers)
