"""What `POST /webhooks/{source}` answers, over real sockets. The HTTP below it is tests/receiver/test_server.py's."""

import hashlib
import hmac
import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from receiver.wellformed import Limits
from tests.support import sender
from tests.support.inside import PATH, STRIPE, Inside, inside
from tests.support.rows import count, rows
from tests.support.until import until
from tests.support.wire import Answer, ask, get, post, request, wire

SOURCES = f"""
admin_token = "literal:operators"
{STRIPE}
[sources.github]
preset = "github"
secrets = ["literal:{sender.SECRET}"]
max_body_bytes = 2000

[sources.rotating]
preset = "stripe"
secrets = ["literal:whsec_new", "literal:whsec_old"]

[sources.nobody]
preset = "stripe"

[sources.slack]
preset = "slack"
secrets = ["literal:{sender.SECRET}"]

[sources.telegram]
preset = "telegram"
secrets = ["literal:hush"]

[sources.azure]
preset = "azure-eventgrid"
secrets = ["literal:hush"]

[sources.batches]
preset = "github"
secrets = ["literal:{sender.SECRET}"]
items = "body:events[*]"
id = "body:id"
type = "body:type"
"""


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    with inside(tmp_path_factory.mktemp("ingest"), SOURCES) as it:
        yield it


def send(receiver: Inside, body: bytes, headers: sender.Pairs | None = None, path: str = PATH) -> Answer:
    return post(receiver.port, path, body, sender.stripe(body) if headers is None else headers)


def stored(receiver: Inside, external_id: str) -> list[tuple[Any, ...]]:
    return rows(receiver.file, "SELECT id, source, type, sha256 FROM event WHERE external_id = ?", external_id)


# ── accepted ──


def test_a_signed_delivery_is_stored_byte_for_byte_and_answered_with_its_id(receiver: Inside) -> None:
    body = b'{"id": "evt_bytes",  "type":"a.b", "text": "\xc3\xa9\\u0000\\ud83d\\ude00"}\n'
    answer = send(receiver, body)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["status"] == "accepted"
    assert answer.json()["id"].startswith("ev_")
    [(number, source, kind, digest)] = stored(receiver, "evt_bytes")
    assert (source, kind, digest) == ("stripe", "a.b", hashlib.sha256(body).digest())
    sql = "SELECT body FROM delivery JOIN event ON delivery.id = event.delivery_id WHERE event.id = ?"
    assert rows(receiver.file, sql, number) == [(body,)]


def test_a_second_copy_is_a_duplicate_with_the_first_ones_id(receiver: Inside) -> None:
    body = sender.stripe_event("evt_twice")
    first, second = send(receiver, body), send(receiver, body)
    assert second.status == 200
    assert second.json() == {"id": first.json()["id"], "status": "duplicate"}
    assert len(stored(receiver, "evt_twice")) == 1


def test_one_id_of_two_sources_is_two_events(receiver: Inside) -> None:
    body = sender.stripe_event("evt_shared")
    headers = sender.stripe(body, secret="whsec_new")
    answers = [send(receiver, body), send(receiver, body, headers, "/webhooks/rotating")]
    assert [answer.json()["status"] for answer in answers] == ["accepted", "accepted"]


def test_other_bytes_under_a_known_id_are_told_apart_and_the_first_stay(receiver: Inside) -> None:
    first, other = sender.stripe_event("evt_differs", amount=1), sender.stripe_event("evt_differs", amount=2)
    send(receiver, first)
    answer = send(receiver, other)
    assert answer.json()["status"] == "duplicate"
    receiver.store.flush()
    [(number, _, _, digest)] = stored(receiver, "evt_differs")
    assert digest == hashlib.sha256(first).digest()
    [(kind, text)] = rows(receiver.file, "SELECT kind, text FROM history WHERE event_id = ?", number)
    assert kind == "differing"
    assert hashlib.sha256(other).hexdigest() in text
    assert rows(receiver.file, "SELECT duplicates FROM event WHERE id = ?", number) == [(1,)]
    assert rows(receiver.file, "SELECT differing > 0 FROM source WHERE name = 'stripe'") == [(1,)]


@pytest.mark.parametrize("body", [b"not json", b"", b"[" * 100_000, b'{"id": 1e999}', b'{"id": "a", ', b"\xff\xfe{}"])
def test_a_signed_body_that_says_nothing_is_stored_under_its_digest(receiver: Inside, body: bytes) -> None:
    answer = send(receiver, body)
    assert (answer.status, answer.json()["status"]) == (200, "accepted")
    assert stored(receiver, "sha256:" + hashlib.sha256(body).hexdigest())[0][1:3] == ("stripe", "unknown")


@pytest.mark.parametrize("id", ["x" * 256, "a\x00b", "a\nb", "\u2028", "", " \t", None, True, 1.5, {}, ["evt"]])
def test_an_id_that_is_no_id_counts_as_none(receiver: Inside, id: Any) -> None:
    body = json.dumps({"id": id, "type": "odd"}).encode()
    assert send(receiver, body).status == 200
    assert len(stored(receiver, "sha256:" + hashlib.sha256(body).hexdigest())) == 1


def test_every_event_of_a_batch_is_answered_and_a_known_one_is_a_duplicate(receiver: Inside) -> None:
    body = b'{"events": [{"id": "b1", "type": "x"}, {"id": "b2", "type": "y"}, {"id": "b1", "type": "x"}]}'
    answer = send(receiver, body, sender.github(body, "d1"), "/webhooks/batches")
    events = answer.json()["events"]
    assert [event["status"] for event in events] == ["accepted", "accepted", "duplicate"]
    assert events[0]["id"] == events[2]["id"] != events[1]["id"]
    assert rows(receiver.file, "SELECT item FROM event WHERE source = 'batches' ORDER BY item") == [(0,), (1,)]
    again = send(receiver, body, sender.github(body, "d2"), "/webhooks/batches")
    assert {event["status"] for event in again.json()["events"]} == {"duplicate"}


def test_an_empty_batch_is_fine_and_stores_nothing(receiver: Inside) -> None:
    body = b'{"events": []}'
    before = count(receiver.file, "event")
    answer = send(receiver, body, sender.github(body, "d3"), "/webhooks/batches")
    assert (answer.status, answer.json()) == (200, {"events": []})
    assert count(receiver.file, "event") == before


def test_a_signed_handshake_is_echoed_and_stores_nothing(receiver: Inside) -> None:
    body = b'{"type": "url_verification", "challenge": "<b>3eZbrw</b>"}'
    at = str(int(time.time()))
    signature = hmac.new(sender.SECRET.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
    headers = [("X-Slack-Request-Timestamp", at), ("X-Slack-Signature", f"v0={signature}")]
    before = count(receiver.file, "event")
    answer = send(receiver, body, headers, "/webhooks/slack")
    assert (answer.status, answer.body) == (200, b"<b>3eZbrw</b>")
    assert answer.headers["content-type"] == "text/plain"  # and never HTML: the text is the sender's
    assert count(receiver.file, "event") == before
    unsigned = send(receiver, body, [], "/webhooks/slack")
    assert (unsigned.status, unsigned.code) == (401, "signature_missing")


ADDRESSED = f"""
[server]
trusted_proxies = [%s]

[sources.addressed]
scheme = "hmac"
secrets = ["literal:{sender.SECRET}"]
signature = "header:X-Signature"
content = "{{url}}{{body}}"
"""


@pytest.mark.parametrize(
    ("proxies", "said", "scheme"),
    [
        ('"127.0.0.1"', ["https"], "https"),
        ('"127.0.0.0/8"', ["http", "https"], "https"),
        ('"127.0.0.1"', ["gopher"], "http"),
        ('"127.0.0.1"', [], "http"),
        ('"192.0.2.1"', ["https"], "http"),
        ("", ["https"], "http"),
    ],
)
def test_the_address_that_was_signed_begins_as_a_trusted_proxy_says(
    tmp_path: Path, proxies: str, said: list[str], scheme: str
) -> None:
    with inside(tmp_path, ADDRESSED % proxies) as receiver:
        url = f"{scheme}://localhost/webhooks/addressed?a=%20b"
        signature = hmac.new(sender.SECRET.encode(), url.encode() + b"{}", hashlib.sha256).hexdigest()
        headers = [("X-Signature", signature), *(("X-Forwarded-Proto", one) for one in said)]
        assert send(receiver, b"{}", headers, "/webhooks/addressed?a=%20b").status == 200


def test_a_delivery_whose_sender_went_away_is_stored_and_counted(tmp_path: Path) -> None:
    body = sender.stripe_event("evt_gone")
    with inside(tmp_path) as receiver:
        with closing(sqlite3.connect(receiver.file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with wire(receiver.port) as connection:
                connection.send(request(PATH, body, sender.stripe(body)))
                assert get(receiver.port, "/healthz").status == 200
        until(lambda: stored(receiver, "evt_gone"), what="the event")
        metrics = 'postern_events_total{source="stripe",status="accepted"} 1.0'
        until(lambda: metrics in get(receiver.port, "/metrics").body.decode(), what="the count")


# ── refused: one for each attack ──


def altered(body: bytes, headers: sender.Pairs) -> tuple[bytes, sender.Pairs]:
    return body.replace(b"1", b"2", 1), headers


def forged(body: bytes, headers: sender.Pairs) -> tuple[bytes, sender.Pairs]:
    return body, sender.stripe(body, secret=sender.OTHER_SECRET)


def stale(body: bytes, headers: sender.Pairs) -> tuple[bytes, sender.Pairs]:
    return body, sender.stripe(body, at=time.time() - 400)


def ahead(body: bytes, headers: sender.Pairs) -> tuple[bytes, sender.Pairs]:
    return body, sender.stripe(body, at=time.time() + 400)


def unsigned(body: bytes, headers: sender.Pairs) -> tuple[bytes, sender.Pairs]:
    return body, headers[:1]


def non_ascii(body: bytes, headers: sender.Pairs) -> tuple[bytes, sender.Pairs]:
    return body, [("Stripe-Signature", headers[1][1].replace("v1=", "v1=\xe9"))]


def endless_time(body: bytes, headers: sender.Pairs) -> tuple[bytes, sender.Pairs]:
    return body, [("Stripe-Signature", headers[1][1].replace("t=", "t=" + "1" * 400))]


def wide_digits(body: bytes, headers: sender.Pairs) -> tuple[bytes, sender.Pairs]:
    return body, [("Stripe-Signature", headers[1][1].replace("t=1", "t=\xb9"))]


def doubled(body: bytes, headers: sender.Pairs) -> tuple[bytes, sender.Pairs]:
    return body, [*headers, headers[1]]


def no_time(body: bytes, headers: sender.Pairs) -> tuple[bytes, sender.Pairs]:
    return body, [("Stripe-Signature", headers[1][1].partition(",")[2])]


def empty(body: bytes, headers: sender.Pairs) -> tuple[bytes, sender.Pairs]:
    return body, [("Stripe-Signature", "")]


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        (altered, "signature_mismatch"),
        (forged, "signature_mismatch"),
        (stale, "timestamp_stale"),
        (ahead, "timestamp_future"),
        (unsigned, "signature_missing"),
        (non_ascii, "signature_malformed"),
        (endless_time, "timestamp_malformed"),
        (wide_digits, "timestamp_malformed"),
        (doubled, "signature_malformed"),
        (no_time, "timestamp_missing"),
        (empty, "signature_missing"),
    ],
)
def test_an_attack_is_refused_and_nothing_of_it_is_stored_but_one_rejection(
    receiver: Inside, attack: Any, code: str
) -> None:
    external_id = f"evt_1_{attack.__name__}"
    body, headers = attack(sender.stripe_event(external_id), sender.stripe(sender.stripe_event(external_id)))
    receiver.store.flush()
    before, events = count(receiver.file, "rejection"), count(receiver.file, "event")
    answer = send(receiver, body, headers)
    receiver.store.flush()
    assert (answer.status, answer.code) == (401, code)
    assert answer.headers["www-authenticate"]
    assert not answer.closes
    assert sender.SECRET.encode() not in answer.body
    assert count(receiver.file, "event") == events
    assert count(receiver.file, "rejection") == before + 1
    sql = "SELECT source, code, detail, body, size_bytes FROM rejection ORDER BY id DESC LIMIT 1"
    [(source, kept_code, detail, kept, size)] = rows(receiver.file, sql)
    assert (source, kept_code, kept, size) == ("stripe", code, body, len(body))
    assert detail
    assert detail.encode() not in answer.body


def test_a_stale_request_tells_operators_both_clocks_and_the_difference(receiver: Inside) -> None:
    body = sender.stripe_event("evt_clock")
    at = int(time.time()) - 1000
    send(receiver, body, sender.stripe(body, at=at))
    receiver.store.flush()
    sql = "SELECT claimed_at, received_at, detail FROM rejection ORDER BY id DESC LIMIT 1"
    [(claimed, received, detail)] = rows(receiver.file, sql)
    assert claimed == at * 1_000_000
    assert 1000 <= (received - claimed) / 1e6 < 1010
    assert "1000 s ago" in detail or "1001 s ago" in detail


def test_the_expected_signature_is_kept_nowhere(receiver: Inside) -> None:
    body = sender.stripe_event("evt_oracle")
    at = time.time()
    right = sender.stripe(body, at=at)[1][1].rpartition("=")[2]
    answer = send(receiver, body, sender.stripe(body, secret=sender.OTHER_SECRET, at=at))
    receiver.store.flush()
    kept = rows(receiver.file, "SELECT detail, headers, body FROM rejection ORDER BY id DESC LIMIT 1")
    assert right not in str(answer) + str(kept)


def test_credentials_that_are_no_signature_are_not_kept(receiver: Inside) -> None:
    body = sender.stripe_event("evt_cookie")
    secrets = [("Authorization", "Bearer hush"), ("Cookie", "hush=1"), ("Proxy-Authorization", "Basic hush")]
    send(receiver, body, sender.stripe(body) + secrets)
    send(receiver, body, [*secrets, ("X-Plain", "kept")])
    receiver.store.flush()
    sql = "SELECT headers FROM delivery JOIN event ON event.delivery_id = delivery.id WHERE external_id = 'evt_cookie'"
    [(accepted,)] = rows(receiver.file, sql)
    [(refused,)] = rows(receiver.file, "SELECT headers FROM rejection ORDER BY id DESC LIMIT 1")
    assert b"hush" not in accepted + refused
    assert b"authorization: [not kept]" in accepted
    assert b"x-plain: kept" in refused


def test_a_token_in_a_header_of_the_vendors_own_is_not_kept_either(receiver: Inside) -> None:
    token, path = "X-Telegram-Bot-Api-Secret-Token", "/webhooks/telegram"
    assert send(receiver, b'{"update_id": 1}', [(token, "hush")], path).status == 200
    assert send(receiver, b'{"update_id": 2}', [(token, "hushed"), ("Cookie", "hush")], path).status == 401
    receiver.store.flush()
    sql = "SELECT headers FROM delivery JOIN event ON event.delivery_id = delivery.id WHERE source = 'telegram'"
    [(accepted,)] = rows(receiver.file, sql)
    [(refused,)] = rows(receiver.file, "SELECT headers FROM rejection WHERE source = 'telegram'")
    assert b"hush" not in accepted + refused
    assert accepted.count(b"[not kept]") == 1
    assert refused.count(b"[not kept]") == 2


def test_a_token_in_the_query_is_not_kept_either(receiver: Inside) -> None:
    query = "a=%20+&code=hush&%63ode=hush&b"
    encoded = [("Content-Encoding", "gzip")]
    assert send(receiver, b"[]", encoded, f"/webhooks/azure?{query}").status == 415
    receiver.store.flush()
    [(target,)] = rows(receiver.file, "SELECT target FROM rejection WHERE source = 'azure'")
    assert target == "/webhooks/azure?a=%20+&code=[not kept]&%63ode=[not kept]&b"


def test_each_live_secret_verifies_while_a_secret_is_rotated(receiver: Inside) -> None:
    for secret, status in (("whsec_new", 200), ("whsec_old", 200), ("whsec_older", 401)):
        body = sender.stripe_event(f"evt_{secret}")
        assert send(receiver, body, sender.stripe(body, secret=secret), "/webhooks/rotating").status == status
    receiver.store.flush()
    [(key, refused)] = rows(receiver.file, "SELECT key, refused_since_accepted FROM source WHERE name = 'rotating'")
    assert "whsec" not in key
    assert refused == 1


def test_a_key_verifies_until_its_end_and_no_moment_longer(tmp_path: Path) -> None:
    end = datetime.now(UTC) + timedelta(seconds=1)
    old = f'{{ref = "literal:whsec_old", not_after = {end.isoformat()}}}'
    config = STRIPE.replace(f'"literal:{sender.SECRET}"', f'"literal:whsec_new", {old}')
    body = sender.stripe_event("evt_end")
    with inside(tmp_path, config) as receiver:
        assert send(receiver, body, sender.stripe(body, "whsec_old")).status == 200
        until(lambda: send(receiver, body, sender.stripe(body, "whsec_old")).status == 401, what="its end")
        assert datetime.now(UTC) >= end
        assert send(receiver, body, sender.stripe(body, "whsec_new")).status == 200


def test_a_rejection_keeps_all_that_was_signed(receiver: Inside) -> None:
    body = b'{"id": "evt_kept"}\r\n'
    headers = [("X-Twice", "1"), ("Stripe-Signature", "t=1,v1=00"), ("X-Twice", "2 : 3")]
    before_us = time.time_ns() // 1000
    assert send(receiver, body, headers, f"{PATH}?b=%C3%A9&a=1&b").status == 401
    receiver.store.flush()
    sql = "SELECT method, scheme, target, headers, body, received_at FROM rejection WHERE body = ?"
    [(method, scheme, target, head, kept, at_us)] = rows(receiver.file, sql, body)
    assert (method, scheme, target, kept) == ("POST", "http", f"{PATH}?b=%C3%A9&a=1&b", body)
    assert head.split(b"\n") == [
        b"host: localhost", b"x-twice: 1", b"stripe-signature: t=1,v1=00", b"x-twice: 2 : 3", b"content-length: 20",
    ]  # fmt: skip
    assert before_us <= at_us <= time.time_ns() // 1000


def test_a_source_without_a_secret_accepts_nothing(receiver: Inside) -> None:
    body = sender.stripe_event("evt_nobody")
    for secret in ("", "None", sender.SECRET):
        answer = send(receiver, body, sender.stripe(body, secret=secret), "/webhooks/nobody")
        assert (answer.status, answer.code) == (401, "signature_mismatch")


# ── refused: not a delivery ──


def test_an_unknown_source_is_counted_and_nothing_more(receiver: Inside) -> None:
    receiver.store.flush()
    before = [count(receiver.file, table) for table in ("event", "rejection", "source")]
    for name in ("", "nope", "made-up-by-strangers", "%ff", "STRIPE", "stripe%20", "%2e%2e"):
        answer = send(receiver, b"{}", [], f"/webhooks/{name}")
        assert (answer.status, answer.code) == (404, "unknown_source")
    receiver.store.flush()
    assert [count(receiver.file, table) for table in ("event", "rejection", "source")] == before
    metrics = get(receiver.port, "/metrics").body.decode()
    assert 'postern_refused_total{code="unknown_source",source=""}' in metrics
    assert "strangers" not in metrics


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "PURGE"])
def test_another_method_is_not_answered(receiver: Inside, method: str) -> None:
    answer = ask(receiver.port, request(PATH, method=method), head=method == "HEAD")
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"
    assert not answer.closes
    if method != "HEAD":
        assert answer.code == "method_not_allowed"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "gzip, identity", "x"])
def test_an_encoded_body_is_refused(receiver: Inside, encoding: str) -> None:
    body = sender.stripe_event("evt_encoded")
    answer = send(receiver, body, [*sender.stripe(body), ("Content-Encoding", encoding)])
    assert (answer.status, answer.code) == (415, "encoded_body")
    assert send(receiver, body, [*sender.stripe(body), ("Content-Encoding", "Identity")]).status == 200


def test_a_body_may_be_as_large_as_the_cap_and_not_a_byte_more(receiver: Inside) -> None:
    for size, status in ((2000, 200), (2001, 413)):
        body = b'{"a": "' + b"x" * (size - 9) + b'"}'
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
        headers = sender.github(body, f"d{size}")
        assert send(receiver, body, headers, "/webhooks/github").status == status
        lines = request("/webhooks/github", headers=[*headers, ("Transfer-Encoding", "chunked")]).split(b"\r\n")
        head = b"\r\n".join(line for line in lines if not line.startswith(b"Content-Length"))
        assert ask(receiver.port, head + chunked).status == status


def test_what_is_too_large_is_refused_before_it_is_sent(receiver: Inside) -> None:
    with wire(receiver.port) as connection:
        connection.send(request(PATH, headers=sender.stripe(b"")).replace(b"Length: 0", b"Length: 300000000"))
        answer = connection.answer()
        assert (answer.status, answer.code, answer.closes) == (413, "too_large", True)
        assert connection.ended()


def test_a_slow_body_is_given_up(tmp_path: Path) -> None:
    with inside(tmp_path, limits=Limits(body_s=0.2)) as receiver, wire(receiver.port) as connection:
        connection.send(request(PATH, b"x" * 10)[:-1])
        answer = connection.answer()
        assert (answer.status, answer.code, answer.closes) == (408, "too_slow", True)
        assert connection.ended()
        receiver.store.flush()
        assert rows(receiver.file, "SELECT code, body FROM rejection") == [("too_slow", b"x" * 9)]


@pytest.mark.parametrize("body", [sender.stripe_event("evt_slow"), b""], ids=["event", "empty"])
def test_a_slow_store_is_our_trouble_and_not_the_sender_s(tmp_path: Path, body: bytes) -> None:
    with inside(tmp_path, limits=Limits(store_s=0.2)) as receiver:
        with closing(sqlite3.connect(receiver.file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = send(receiver, body)
            assert (answer.status, answer.code, answer.closes) == (503, "store_slow", False)
        until(lambda: send(receiver, body).status == 200, what="the end of the lock")
        receiver.store.flush()
        assert (count(receiver.file, "event"), count(receiver.file, "rejection")) == (1, 0)


def test_too_much_at_once_is_our_trouble_and_soon_over(tmp_path: Path) -> None:
    body = b"x" * 60_000
    with inside(tmp_path, limits=Limits(reading_bytes=100_000)) as receiver:
        with wire(receiver.port) as first, wire(receiver.port) as second:
            for connection in (first, second):
                connection.send(request(PATH, body, sender.stripe(body))[:-1])
            [unlucky] = until(lambda: [one for one in (first, second) if one.has_answer()], what="a refusal")
            refused = unlucky.answer()
            assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "overloaded", "5")
            lucky = second if unlucky is first else first
            lucky.send(b"x")
            assert lucky.answer().status == 200
        assert send(receiver, body).status == 200
        assert count(receiver.file, "rejection") == 0


def test_a_sender_that_goes_away_leaves_nothing(receiver: Inside) -> None:
    body = sender.stripe_event("evt_gone")
    receiver.store.flush()
    before = count(receiver.file, "rejection")
    with wire(receiver.port) as connection:
        connection.send(request(PATH, body, sender.stripe(body))[:-5])
        connection.half_close()
        assert connection.ended()
    assert send(receiver, sender.stripe_event("evt_after_gone")).status == 200
    receiver.store.flush()
    assert stored(receiver, "evt_gone") == []
    assert count(receiver.file, "rejection") == before


# ── a flood ──


def test_a_flood_keeps_the_newest_thousand_of_its_source_and_leaves_the_others_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with inside(tmp_path, SOURCES) as receiver:
        send(receiver, b"{}", [], "/webhooks/slack")
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda number: flood(receiver, number), range(8)))
        body = sender.stripe_event("evt_through")
        assert send(receiver, body).status == 200
        receiver.store.close()
        assert rows(receiver.file, "SELECT source, count(*) FROM rejection GROUP BY 1") == [
            ("slack", 1),
            ("stripe", 1000),
        ]
        assert rows(receiver.file, "SELECT refused FROM source WHERE name = 'stripe'") == [(2000,)]
        kept = {body for (body,) in rows(receiver.file, "SELECT body FROM rejection WHERE source = 'stripe'")}
        assert {b"%d.249" % number for number in range(8)} <= kept  # each sender's last
        assert b"0.0" not in kept
        told = [record for record in caplog.records if record.name == "postern.intake"]
        assert len(told) <= 4  # a line for each source and code, and another after ten seconds
        assert "postern rejections list --source" in str(told[0].__dict__["next"])


def flood(receiver: Inside, sender_number: int) -> None:
    with wire(receiver.port) as connection:
        for number in range(250):
            body = b"%d.%d" % (sender_number, number)
            connection.send(request(PATH, body, sender.stripe(body, secret=sender.OTHER_SECRET)))
            assert connection.answer().status == 401
