"""Vendors' handshakes over real HTTP: exact answers, refused forms, and what a stranger gets out of them: nothing.

The language they are written in is tests/receiver/schemes/test_handshake.py's. HMACs are made here by hand.
"""

import hmac
import json
import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.inside import Inside, inside
from tests.support.rows import count, rows
from tests.support.wire import Answer, ask, get, request

SECRET = "the secret of all of them"
DISCORD = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = DISCORD.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
ALIKE = (
    *("slack", "zoom", "x-twitter", "asana", "microsoft-graph", "cloudevents", "azure-eventgrid", "okta"),
    *("dropbox", "notion", "intercom", "woocommerce", "xero", "github"),
)
ONE = """
[sources."{0}"]
preset = "{0}"
secrets = ["literal:{1}"]
"""
SOURCES = f"""
{"".join(ONE.format(name, SECRET) for name in ALIKE)}
[sources.meta]
preset = "meta"
secrets = ["literal:{SECRET}"]
verify_token = "literal:meaty ham/hock"

[sources.forgetful]
preset = "meta"
secrets = ["literal:{SECRET}"]

[sources.braintree]
preset = "braintree"
secrets = ["literal:integration_private_key"]
public_key_id = "integration_public_key"

[sources.discord]
preset = "discord"
public_keys = ["literal:{PUBLIC}"]

[sources.keyless]
preset = "x-twitter"
"""


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with inside(tmp_path_factory.mktemp("handshakes"), SOURCES) as it:
        yield it
        assert count(it.file, "event") == 0  # none of this is an event


Pairs = list[tuple[str, str]]


def send(
    receiver: Inside, target: str, body: bytes = b"", headers: Pairs | None = None, method: str = "POST"
) -> Answer:
    sent = request(f"/webhooks/{target}", body, headers or [], method=method)
    return ask(receiver.port, sent, head=method == "HEAD")


def mac(text: bytes, secret: bytes = SECRET.encode()) -> bytes:
    return hmac.digest(secret, text, "sha256")


def is_plain(answer: Answer, text: bytes) -> bool:
    """And never HTML: the text may be a stranger's."""
    guarded = answer.headers["content-type"] == "text/plain" and answer.headers["x-content-type-options"] == "nosniff"
    return guarded and answer.body == text and "set-cookie" not in answer.headers


# ── signed by the vendor: verified first ──


def slack(body: bytes, secret: str = SECRET) -> Pairs:
    at = str(int(time.time()))
    signature = mac(f"v0:{at}:".encode() + body, secret.encode()).hex()
    return [("X-Slack-Request-Timestamp", at), ("X-Slack-Signature", f"v0={signature}")]


def zoom(body: bytes, secret: str = SECRET) -> Pairs:
    return [(name.replace("X-Slack", "x-zm"), value) for name, value in slack(body, secret)]


def discord(body: bytes, secret: str = SECRET) -> Pairs:
    at = str(int(time.time()))
    key = DISCORD if secret == SECRET else Ed25519PrivateKey.from_private_bytes(bytes(32))
    return [("X-Signature-Timestamp", at), ("X-Signature-Ed25519", key.sign(at.encode() + body).hex())]


URL_VERIFICATION = b'{"token": "t", "challenge": "3eZbrw1a<b>", "type": "url_verification"}'
URL_VALIDATION = (
    b'{"payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}, "event_ts": 1654503849680,'
    b' "event": "endpoint.url_validation"}'
)
PING = b'{"id": "1", "application_id": "2", "type": 1, "version": 1}'
EVENT_PING = b'{"version": 1, "application_id": "2", "type": 0}'


def test_slack_gets_its_challenge_back(receiver: Inside) -> None:
    answer = send(receiver, "slack", URL_VERIFICATION, slack(URL_VERIFICATION))
    assert answer.status == 200
    assert is_plain(answer, b"3eZbrw1a<b>")


def test_zoom_gets_its_token_and_the_hmac_of_it(receiver: Inside) -> None:
    answer = send(receiver, "zoom", URL_VALIDATION, zoom(URL_VALIDATION))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    token = "qgg8vlvZRS6UYooatFL8Aw"
    assert answer.json() == {"plainToken": token, "encryptedToken": mac(token.encode()).hex()}


def test_discords_ping_gets_a_pong_and_that_of_its_events_nothing(receiver: Inside) -> None:
    answer = send(receiver, "discord", PING, discord(PING))
    assert (answer.status, answer.headers["content-type"], answer.json()) == (200, "application/json", {"type": 1})
    answer = send(receiver, "discord", EVENT_PING, discord(EVENT_PING))
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers


@pytest.mark.parametrize(
    ("source", "sign", "body"),
    [("slack", slack, URL_VERIFICATION), ("zoom", zoom, URL_VALIDATION), ("discord", discord, PING)],
)
def test_a_handshake_that_the_vendor_signs_needs_its_signature(
    receiver: Inside, source: str, sign: Any, body: bytes
) -> None:
    assert send(receiver, source, body).code == "signature_missing"
    forged = send(receiver, source, body, sign(body, "another secret"))
    assert (forged.status, forged.code) == (401, "signature_mismatch")
    changed = send(receiver, source, body.replace(b"1", b"2"), sign(body))
    assert (changed.status, changed.code) == (401, "signature_mismatch")


@pytest.mark.parametrize("challenge", ["", "x" * 2049, "a\r\nSet-Cookie: a=b", "\u2028", 5.5, [], {}, None])
def test_a_signed_handshake_without_a_proper_challenge_is_malformed(receiver: Inside, challenge: Any) -> None:
    body = json.dumps({"type": "url_verification", "challenge": challenge}).encode()
    answer = send(receiver, "slack", body, slack(body))
    assert (answer.status, answer.code) == (400, "handshake_malformed")


@pytest.mark.parametrize(
    "body", [b'{"events": [], "firstEventSequence": 0, "lastEventSequence": 0, "entropy": "S0m3r4Nd0mt3xt"}']
)
def test_xeros_intent_to_receive_is_answered_without_a_body_whatever_the_answer(receiver: Inside, body: bytes) -> None:
    signature = b64encode(mac(body)).decode()
    right = send(receiver, "xero", body, [("x-xero-signature", signature)])
    wrong = send(receiver, "xero", body + b" ", [("x-xero-signature", signature)])
    none = send(receiver, "xero", body)
    elsewhere = get(receiver.port, "/webhooks/xero")
    assert [answer.status for answer in (right, wrong, none, elsewhere)] == [200, 401, 401, 405]
    for answer in (right, wrong, none, elsewhere):
        assert answer.body == b""
        assert not answer.headers.keys() & {"content-type", "set-cookie"}
        assert answer.headers["content-length"] == "0"


# ── not signed: whoever asks is answered, and has nothing of it ──


def test_dropbox_gets_its_challenge_back_as_plain_text(receiver: Inside) -> None:
    answer = get(receiver.port, "/webhooks/dropbox?challenge=abc%3Cscript%3E%26123")
    assert answer.status == 200
    assert is_plain(answer, b"abc<script>&123")


def test_graph_gets_its_token_back_decoded(receiver: Inside) -> None:
    token = "Validation: Testing client application reachability for subscription Request-Id: 5246-aa+b/c=="
    answer = send(receiver, f"microsoft-graph?validationToken={quote(token, safe='')}", b"")
    assert answer.status == 200
    assert is_plain(answer, token.encode())
    plus = send(receiver, "microsoft-graph?validationToken=Validation%3a+Testing", b"")
    assert is_plain(plus, b"Validation: Testing")


def test_okta_gets_its_challenge_back_as_json(receiver: Inside) -> None:
    answer = get(receiver.port, "/webhooks/okta", [("X-Okta-Verification-Challenge", 'my "verification" value')])
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"verification": 'my "verification" value'}


def test_x_gets_the_hmac_of_its_token(receiver: Inside) -> None:
    token = "9b4507b3-9040-4669-9ca3-6b94edb50553"
    answer = get(receiver.port, f"/webhooks/x-twitter?crc_token={token}&nonce=abc")
    assert answer.status == 200
    assert answer.json() == {"response_token": f"sha256={b64encode(mac(token.encode())).decode()}"}


def test_braintree_gets_the_hmac_of_its_challenge_with_the_key_that_made_it(receiver: Inside) -> None:
    challenge = "20f9f8ed05f77439fe955c977e4c8a53"
    answer = get(receiver.port, f"/webhooks/braintree?bt_challenge={challenge}")
    assert answer.status == 200
    # The example of the vendor's own libraries: spec/unit/braintree/webhook_notification_spec of braintree_ruby.
    assert is_plain(answer, b"integration_public_key|d9b899556c966b3f06945ec21311865d35df3ce4")


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ([("WebHook-Request-Rate", "120")], "120"),
        ([], "*"),
        ([("WebHook-Request-Callback", "http://127.0.0.1:1/confirm?id=1")], "*"),
    ],
)
@pytest.mark.parametrize("source", ["cloudevents", "azure-eventgrid"])
def test_a_cloudevents_sender_is_allowed_to_send(receiver: Inside, source: str, asked: Pairs, granted: str) -> None:
    headers = [("WebHook-Request-Origin", "eventemitter.example.com"), *asked]
    answer = send(receiver, source, b"", headers, "OPTIONS")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["webhook-allowed-origin"] == "eventemitter.example.com"
    assert answer.headers["webhook-allowed-rate"] == granted
    assert answer.headers["allow"] == "POST"


def test_event_grid_gets_its_code_back(receiver: Inside) -> None:
    event = {
        "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6", "validationUrl": "http://127.0.0.1:1/"},
    }
    headers = [("aeg-event-type", "SubscriptionValidation")]
    answer = send(receiver, "azure-eventgrid", json.dumps([event]).encode(), headers)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}


def test_intercom_only_looks_whether_somebody_is_there(receiver: Inside) -> None:
    answer = send(receiver, "intercom", method="HEAD")
    assert (answer.status, answer.headers["content-length"]) == (200, "0")


def test_woocommerces_ping_is_a_form_and_no_event(receiver: Inside) -> None:
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    answer = send(receiver, "woocommerce", b"webhook_id=12", form)
    assert (answer.status, answer.body) == (200, b"")
    assert send(receiver, "woocommerce", b"webhook_id=12&x=y", [*form, ("X-WC-Webhook-Signature", "a")]).status == 401


@pytest.mark.parametrize(
    ("source", "body", "headers"),
    [
        ("notion", b'{"verification_token": "secret_a"}', [("X-Notion-Signature", "sha256=00")]),
        ("asana", b'{"events": []}', [("X-Hook-Secret", "a"), ("X-Hook-Signature", "00")]),
        ("microsoft-graph?validationToken=a", b'{"value": [{"clientState": "b"}]}', []),
    ],
)
def test_what_is_signed_is_no_unsigned_handshake(receiver: Inside, source: str, body: bytes, headers: Pairs) -> None:
    answer = send(receiver, source, body, headers)
    assert answer.status == 401
    assert answer.code in ("signature_mismatch", "signature_malformed")


# ── what the operator has to know ──


def offered(receiver: Inside, source: str) -> tuple[Any, ...]:
    receiver.store.flush()
    sql = "SELECT code, headers, body FROM rejection WHERE source = ? ORDER BY id DESC LIMIT 1"
    [row] = rows(receiver.file, sql, source)
    return row


def test_the_secret_that_asana_offers_is_echoed_and_kept_for_the_operator_and_not_logged(
    receiver: Inside, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "postern.intake")
    secret = "b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81"
    answer = send(receiver, "asana", b"{}", [("X-Hook-Secret", secret)])
    assert (answer.status, answer.body, answer.headers["x-hook-secret"]) == (200, b"", secret)
    code, headers, _ = offered(receiver, "asana")
    assert code == "secret_offered"
    assert secret.encode() in headers
    [line] = [record for record in caplog.records if "handshake" in record.getMessage()]
    assert "postern rejections" in vars(line)["next"]
    assert secret not in str(vars(line))


def test_the_secret_that_notion_offers_is_kept_for_the_operator(receiver: Inside) -> None:
    body = b'{"verification_token": "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}'
    answer = send(receiver, "notion", body)
    assert (answer.status, answer.body) == (200, b"")
    assert offered(receiver, "notion")[::2] == ("secret_offered", body)


# ── Meta's shared word ──

CHALLENGE = "hub.challenge=1158201444"


def test_meta_gets_its_challenge_back_if_it_knows_the_word(receiver: Inside) -> None:
    answer = get(receiver.port, f"/webhooks/meta?hub.mode=subscribe&{CHALLENGE}&hub.verify_token=meaty%20ham%2Fhock")
    assert answer.status == 200
    assert is_plain(answer, b"1158201444")


@pytest.mark.parametrize(
    "query",
    [
        f"hub.mode=subscribe&{CHALLENGE}&hub.verify_token=other",
        f"hub.mode=subscribe&{CHALLENGE}&hub.verify_token=",
        f"hub.mode=subscribe&{CHALLENGE}&hub.verify_token=%C3%A9%FF",
        f"hub.mode=subscribe&{CHALLENGE}",
        f"hub.mode=unsubscribe&{CHALLENGE}&hub.verify_token=meaty%20ham%2Fhock",
        f"{CHALLENGE}&hub.verify_token=meaty%20ham%2Fhock",
    ],
)
def test_meta_without_the_word_is_refused(receiver: Inside, query: str) -> None:
    answer = get(receiver.port, f"/webhooks/meta?{query}")
    assert (answer.status, answer.code) == (403, "handshake_refused")


@pytest.mark.parametrize("refused", ["hub.mode=unsubscribe&hub.challenge=1", "hub.mode=subscribe"])
def test_the_word_is_not_kept_with_what_was_refused(receiver: Inside, refused: str) -> None:
    get(receiver.port, f"/webhooks/meta?{refused}&hub.verify%5Ftoken=meaty%20ham%2Fhock&last=1")
    receiver.store.flush()
    [row] = rows(receiver.file, "SELECT target FROM rejection WHERE source = 'meta' ORDER BY id DESC LIMIT 1")
    assert row == (f"/webhooks/meta?{refused}&hub.verify%5Ftoken=[not kept]&last=1",)


def test_a_source_that_has_no_word_knows_none(receiver: Inside) -> None:
    for word in ("", "None", "%7Bverify_token%7D"):
        answer = get(receiver.port, f"/webhooks/forgetful?hub.mode=subscribe&{CHALLENGE}&hub.verify_token={word}")
        assert (answer.status, answer.code) == (403, "handshake_refused")


# ── attacks ──


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("x-twitter", "crc_token=%7B%22a%22%3A1%7D"),
        ("x-twitter", "crc_token=[]"),
        ("x-twitter", "crc_token=%22a%22"),
        ("x-twitter", "crc_token=a%20b"),
        ("x-twitter", "crc_token=a%0Ab"),
        ("x-twitter", "crc_token=" + "a" * 129),
        ("braintree", "bt_challenge=20f9f8ed05f77439fe955c977e4c8a53%0A"),
        ("braintree", "bt_challenge=20F9F8ED05F77439FE955C977E4C8A53"),
        ("braintree", "bt_challenge=PG5vdGlmaWNhdGlvbj4"),
        ("braintree", "bt_challenge=20f9f8ed05f77439fe9"),
        ("braintree", "bt_challenge=" + "a" * 33),
    ],
)
def test_nobody_gets_a_signature_of_what_could_be_a_delivery(receiver: Inside, source: str, target: str) -> None:
    answer = get(receiver.port, f"/webhooks/{source}?{target}")
    assert (answer.status, answer.code) == (400, "handshake_malformed")


@pytest.mark.parametrize("body", ["1", "true", "null", "a-token", "1700000000.1"])
def test_a_delivery_that_is_what_anybody_can_have_signed_is_refused(receiver: Inside, body: str) -> None:
    token = get(receiver.port, f"/webhooks/x-twitter?crc_token={body}").json()["response_token"]
    answer = send(receiver, "x-twitter", body.encode(), [("x-twitter-webhooks-signature", token)])
    assert (answer.status, answer.code) == (401, "signature_mismatch")


def test_a_challenge_of_braintree_is_no_signed_payload(receiver: Inside) -> None:
    challenge = "20f9f8ed05f77439fe955c977e4c8a53"
    signature = get(receiver.port, f"/webhooks/braintree?bt_challenge={challenge}").body.decode()
    for payload in (challenge, f"{challenge}%0A"):
        body = f"bt_signature={quote(signature)}&bt_payload={payload}".encode()
        answer = send(receiver, "braintree", body, [("Content-Type", "application/x-www-form-urlencoded")])
        assert answer.status == 401


def test_a_source_without_a_secret_signs_nothing(receiver: Inside) -> None:
    answer = get(receiver.port, "/webhooks/keyless?crc_token=abc")
    assert (answer.status, answer.code) == (403, "handshake_refused")


@pytest.mark.parametrize(
    "target", ["dropbox?challenge=a%0D%0ASet-Cookie:%20b=c", "dropbox?challenge=%00", "dropbox?challenge=%C3%A9"]
)
def test_what_is_not_printable_is_not_echoed(receiver: Inside, target: str) -> None:
    answer = get(receiver.port, f"/webhooks/{target}")
    assert (answer.status, answer.code) == (400, "handshake_malformed")


@pytest.mark.parametrize("origin", ["a\tb", "http://a.example/", "a b", "\xe9.example", "x" * 256])
def test_an_origin_that_is_none_is_not_allowed(receiver: Inside, origin: str) -> None:
    answer = send(receiver, "cloudevents", b"", [("WebHook-Request-Origin", origin)], "OPTIONS")
    assert (answer.status, answer.code) == (400, "handshake_malformed")
    assert "webhook-allowed-origin" not in answer.headers


def test_an_unsigned_body_is_looked_into_only_if_it_is_short(receiver: Inside) -> None:
    body = json.dumps({"verification_token": "secret_a", "more": "x" * 4096}).encode()
    assert send(receiver, "notion", body).code == "signature_missing"


@pytest.mark.parametrize(
    "target", ["dropbox", "dropbox?challenge=", "dropbox?other=1", "okta", "x-twitter", "meta?hub.mode=subscribe"]
)
def test_a_get_that_is_no_handshake_is_malformed(receiver: Inside, target: str) -> None:
    answer = get(receiver.port, f"/webhooks/{target}")
    assert (answer.status, answer.code) == (400, "handshake_malformed")


@pytest.mark.parametrize(
    ("source", "method", "allow"),
    [
        ("github", "GET", "POST"),
        ("github", "OPTIONS", "POST"),
        ("dropbox", "HEAD", "GET, POST"),
        ("dropbox", "PUT", "GET, POST"),
        ("intercom", "GET", "HEAD, POST"),
        ("azure-eventgrid", "DELETE", "OPTIONS, POST"),
        ("slack", "GET", "POST"),
    ],
)
def test_a_method_for_which_a_vendor_has_no_handshake_is_not_allowed(
    receiver: Inside, source: str, method: str, allow: str
) -> None:
    answer = send(receiver, source, method=method)
    assert (answer.status, answer.headers["allow"]) == (405, allow)


def test_handshakes_are_counted_for_each_source(receiver: Inside) -> None:
    get(receiver.port, "/webhooks/dropbox?challenge=count-me")
    assert 'postern_handshakes_total{source="dropbox"}' in get(receiver.port, "/metrics").body.decode()
