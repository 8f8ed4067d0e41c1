"""Signatures that vendors themselves published: nobody here computed them."""

from receiver.schemes import Refused
from tests.receiver.schemes.deliveries import SECRETS, key_of, refusal, request, vendor, with_header

# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
GITHUB = [("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")]
# https://docs.slack.dev/authentication/verifying-requests-from-slack
SLACK = [
    ("X-Slack-Request-Timestamp", "1531420618"),
    ("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
]
SLACK_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
# https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/go/webhook_test.go
STANDARD = [
    ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
    ("webhook-timestamp", "1614265330"),
    ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
]
STANDARD_BODY = b'{"test": 2432232314}'


def test_githubs_documented_signature_verifies() -> None:
    scheme = vendor("github")
    key = key_of(scheme, b"It's a Secret to Everybody")
    assert scheme.verify(request(GITHUB, b"Hello, World!"), [key], 0).signed_at is None
    assert refusal(scheme, key, GITHUB, b"Hello, World?").code == "signature_mismatch"


def test_slacks_documented_request_verifies_at_its_time_and_not_today() -> None:
    scheme = vendor("slack")
    key = key_of(scheme, SECRETS["slack"])
    assert scheme.verify(request(SLACK, SLACK_BODY), [key], 1531420618 + 60).signed_at == 1531420618
    assert refusal(scheme, key, SLACK, SLACK_BODY).code == "timestamp_stale"


def test_slacks_documented_request_is_no_json_and_still_an_event() -> None:
    identity = vendor("slack").identify(request(SLACK, SLACK_BODY))[0]
    assert (identity.type, identity.vendor_id) == ("unknown", False)


def test_the_standard_webhooks_vector_verifies() -> None:
    scheme = vendor("standardwebhooks")
    key = key_of(scheme, SECRETS["standardwebhooks"])
    assert scheme.verify(request(STANDARD, STANDARD_BODY), [key], 1614265330).signed_at == 1614265330
    assert scheme.identify(request(STANDARD, STANDARD_BODY))[0].external_id == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_the_standard_webhooks_vector_is_what_we_sign() -> None:
    scheme = vendor("standardwebhooks")
    key = key_of(scheme, SECRETS["standardwebhooks"])
    headers = scheme.sign(STANDARD_BODY, key, 1614265330, url="", id=STANDARD[0][1], type=None)
    assert sorted(headers) == sorted(STANDARD)


def test_the_standard_webhooks_vector_covers_its_id() -> None:
    scheme = vendor("standardwebhooks")
    key = key_of(scheme, SECRETS["standardwebhooks"])
    altered = with_header(STANDARD, "webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJeK")
    assert isinstance(refusal(scheme, key, altered, STANDARD_BODY, 1614265330), Refused)
