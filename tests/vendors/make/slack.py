"""Slack's own library signs and verifies, and the documentation has an example."""

from slack_sdk.signature import SignatureVerifier

from tests.vendors.make.vectors import NOW, Vectors, by_bytes, fixture, package

# https://docs.slack.dev/authentication/verifying-requests-from-slack
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
EXAMPLE = {
    "X-Slack-Request-Timestamp": "1531420618",
    "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
}
EXAMPLE_BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
BODY = fixture("slack/app_mention")
HANDSHAKE = fixture("slack/url_verification")
LIBRARY = SignatureVerifier(SECRET)


def signed(body: bytes, at: int = NOW) -> dict[str, str]:
    signature = LIBRARY.generate_signature(timestamp=str(at), body=body)
    assert signature is not None
    return {"X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": signature}


def verify(headers: dict[str, str], body: bytes) -> bool:
    return LIBRARY.is_valid_request(body, headers)


def main() -> None:
    made_by = f"{package('slack_sdk')}, SignatureVerifier.generate_signature; documentation's example"
    vectors = Vectors("slack", made_by, secrets=[f"literal:{SECRET}"])
    vectors.add("a mention", signed(BODY), BODY, ids=["Ev0YHAD932R3"], types=["app_mention"])
    vectors.add("the documentation's example", EXAMPLE, EXAMPLE_BODY, at=1531420618 + 60,
                ids=[by_bytes(EXAMPLE_BODY)], types=["unknown"])  # fmt: skip
    vectors.verified_by(verify)
    vectors.forge("X-Slack-Signature", tolerance_s=300)
    vectors.add("the handshake", signed(HANDSHAKE), HANDSHAKE, verdict="answered", answer={"status": 200})
    unsigned = {"X-Slack-Request-Timestamp": str(NOW)}
    vectors.add("the handshake, unsigned", unsigned, HANDSHAKE, verdict="signature_missing")
    good = signed(BODY)
    for name, at, code in (
        ("another time", str(NOW + 1), "signature_mismatch"),
        ("a time that is none", "now", "timestamp_malformed"),
        ("an empty time", "", "timestamp_missing"),
    ):
        vectors.add(name, {**good, "X-Slack-Request-Timestamp": at}, BODY, verdict=code)
    vectors.write()


if __name__ == "__main__":
    main()
