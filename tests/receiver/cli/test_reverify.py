"""`postern rejections reverify`: what was refused with a wrong secret passes with the right one, and becomes events."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.store.ids import number
from tests.receiver.cli.conftest import Ended
from tests.support import sender
from tests.support.inside import STRIPE, Inside, inside
from tests.support.sender import OTHER_SECRET, SECRET
from tests.support.stored import Stored, steady, stored
from tests.support.wire import ask, post, request

Typed = Callable[..., Ended]
WRONG = STRIPE.replace(SECRET, OTHER_SECRET)
NOT_KEPT = b"host: localhost\nauthorization: [not kept]"
TOKEN = f"""
[sources.shop]
scheme = "token"
signature = "header:Authorization"
secrets = ["literal:{SECRET}"]
docs = "https://shop.example/docs"
"""
AZURE = f"""
[sources.azure]
preset = "azure-eventgrid"
secrets = ["literal:{SECRET}"]
"""
SIGNS_URL = f"""
[sources.acme]
scheme = "hmac"
secrets = ["literal:{SECRET}"]
signature = "header:X-Signature"
content = "{{method}} {{url}} {{header:X-Twice}} {{body}}"
items = "body:items[*]"
id = "body:id"
"""


@pytest.fixture
def wrong(tmp_path: Path) -> Iterator[Inside]:
    """A receiver with a secret that is not the vendor's."""
    with inside(tmp_path, WRONG) as receiver:
        yield receiver


def refused(receiver: Inside, *external_ids: str, secret: str = SECRET) -> None:
    for external_id in external_ids:
        body = sender.stripe_event(external_id)
        assert post(receiver.port, "/webhooks/stripe", body, sender.stripe(body, secret)).status == 401
    receiver.store.flush()


def repair(folder: Path, config: str = STRIPE) -> None:
    (folder / "postern.toml").write_text(config)


def reverified(typed: Typed, folder: Path, *options: str, source: str = "stripe") -> list[dict[str, Any]]:
    ended = typed(folder, "rejections", "reverify", "--source", source, "--json", *options)
    assert ended.code == 0, ended.err
    return ended.rows


def events(typed: Typed, folder: Path) -> list[tuple[str, str]]:
    return [(row["external_id"], row["received_at"]) for row in typed(folder, "events", "list", "--json").rows]


def test_it_shows_what_would_pass_oldest_first_and_changes_nothing(tmp_path: Path, wrong: Inside, typed: Typed) -> None:
    refused(wrong, "evt_1", "evt_2")
    refused(wrong, "evt_3", secret="whsec_of_a_stranger")
    repair(tmp_path)
    first, second, third = reverified(typed, tmp_path)
    assert [row["passes"] for row in (first, second, third)] == [True, True, False]
    assert first["events"] == [{"external_id": "evt_1", "type": "payment_intent.succeeded", "id": None, "status": None}]
    assert (first["promoted"], first["why_not"]) == (False, None)
    assert first["key"].startswith("literal:… (")
    assert third["why_not"].startswith("signature_mismatch: signed with none of literal:… (")
    assert events(typed, tmp_path) == []
    assert len(reverified(typed, tmp_path)) == 3


def test_without_a_terminal_it_says_what_to_add(tmp_path: Path, wrong: Inside, typed: Typed) -> None:
    refused(wrong, "evt_1")
    assert typed(tmp_path, "rejections", "reverify", "--source", "stripe").err == ""
    repair(tmp_path)
    ended = typed(tmp_path, "rejections", "reverify", "--source", "stripe")
    assert (ended.code, ended.err) == (0, "postern: 1 rejection would pass\n  Add --yes to promote it\n")
    assert "  passes, literal:… (" in ended.out
    assert ended.out.endswith("  evt_1\n")


def test_with_yes_what_passes_becomes_events_as_of_its_receipt_and_never_twice(
    tmp_path: Path, wrong: Inside, typed: Typed
) -> None:
    refused(wrong, "evt_1", "evt_2")
    refused(wrong, "evt_3", secret="whsec_of_a_stranger")
    repair(tmp_path)
    before = reverified(typed, tmp_path)
    done = reverified(typed, tmp_path, "--yes")
    assert [(row["promoted"], [event["status"] for event in row["events"]]) for row in done] == [
        (True, ["accepted"]), (True, ["accepted"]), (False, []),
    ]  # fmt: skip
    assert events(typed, tmp_path) == [("evt_2", before[1]["received_at"]), ("evt_1", before[0]["received_at"])]
    [row] = typed(tmp_path, "events", "show", done[0]["events"][0]["id"], "--json").rows
    assert (row["status"], row["sha256"]) == ("pending", row["sha256"])
    story = typed(tmp_path, "events", "explain", "stripe:evt_1").out
    assert f"was promoted, refused at its receipt and kept as {before[0]['id']}; verified again with literal:…" in story
    [source] = [row for row in typed(tmp_path, "status", "--json").rows if row["kind"] == "source"]
    assert (source["accepted"], source["last_accepted_at"]) == (2, before[1]["received_at"])
    assert source["key"] == done[1]["key"]
    [left] = reverified(typed, tmp_path, "--yes")
    assert (left["id"], left["promoted"]) == (before[2]["id"], False)


def test_what_the_vendor_has_sent_again_meanwhile_is_a_duplicate(tmp_path: Path, wrong: Inside, typed: Typed) -> None:
    refused(wrong, "evt_1", "evt_1")
    with inside(tmp_path) as right:
        body = sender.stripe_event("evt_1")
        stored = post(right.port, "/webhooks/stripe", body, sender.stripe(body)).json()["id"]
    done = reverified(typed, tmp_path, "--yes")
    assert [row["events"][0]["status"] for row in done] == ["duplicate", "duplicate"]
    assert {row["events"][0]["id"] for row in done} == {stored}
    assert len(events(typed, tmp_path)) == 1
    [row] = typed(tmp_path, "events", "list", "--json").rows
    assert row["duplicates"] == 2


def test_people_see_what_became_of_each(tmp_path: Path, wrong: Inside, typed: Typed) -> None:
    refused(wrong, "evt_1")
    repair(tmp_path)
    ended = typed(tmp_path, "rejections", "reverify", "--source", "stripe", "--yes")
    [row] = typed(tmp_path, "events", "list", "--json").rows
    header, line = steady(ended.out).splitlines()
    assert header.split() == ["rejection", "received", "refused", "as", "now", "events"]
    assert "  signature_mismatch  promoted, literal:… (" in line
    assert line.endswith(f"  accepted {row['id']}")
    assert ended.err == ""


def test_a_limit_takes_the_newest(tmp_path: Path, wrong: Inside, typed: Typed) -> None:
    refused(wrong, "evt_1", "evt_2", "evt_3")
    repair(tmp_path)
    rows = reverified(typed, tmp_path, "--limit", "2", "--yes")
    assert [row["events"][0]["external_id"] for row in rows] == ["evt_2", "evt_3"]


def test_the_clock_is_that_of_the_receipt(tmp_path: Path, typed: Typed) -> None:
    repair(tmp_path)
    body = sender.stripe_event("evt_1")
    with stored(tmp_path) as shop:
        for signed_ago_s in (86400.0, 86400.0 + 299, 86400.0 + 302, 86400.0 - 302):
            headers = sender.stripe(body, at=time.time() - signed_ago_s)
            keep(shop, headers, body, ago_s=86400.0)
        rows = reverified(typed, tmp_path)
    assert [row["passes"] for row in rows] == [True, True, False, False]
    assert [str(row["why_not"]).partition(":")[0] for row in rows[2:]] == ["timestamp_stale", "timestamp_future"]


def keep(shop: Stored, headers: sender.Pairs, body: bytes, **more: Any) -> None:
    lines = "\n".join(f"{name.lower()}: {value}" for name, value in [("host", "localhost"), *headers])
    shop.refuse("signature_mismatch", "stripe", body, headers=lines.encode("latin-1"), **more)


def test_a_key_that_has_ended_verifies_nothing_any_more(tmp_path: Path, wrong: Inside, typed: Typed) -> None:
    refused(wrong, "evt_1")
    ended = f'{{ref = "literal:{SECRET}", not_after = 2020-01-01T00:00:00Z}}'
    repair(tmp_path, STRIPE.replace(f'"literal:{SECRET}"', ended))
    [row] = reverified(typed, tmp_path)
    assert not row["passes"]


def test_method_address_headers_and_bytes_are_verified_as_they_came(tmp_path: Path, typed: Typed) -> None:
    body = b'{"items": [{"id": "\xc3\xa9"}]}\r\n'
    url = "http://hooks.example:81/webhooks/acme?b=%C3%A9&a=1&b="
    signature = sender.github(f"POST {url} two {body.decode()}".encode(), "")[0][1].removeprefix("sha256=")
    headers = [("X-Signature", signature), ("X-Twice", "two"), ("X-Plain", " a: b")]
    with inside(tmp_path, SIGNS_URL.replace(SECRET, OTHER_SECRET)) as receiver:
        sent = request("/webhooks/acme?b=%C3%A9&a=1&b=", body, headers).replace(b": localhost", b": hooks.example:81")
        assert ask(receiver.port, sent).status == 401
        receiver.store.flush()
    repair(tmp_path, SIGNS_URL)
    [row] = reverified(typed, tmp_path, "--yes", source="acme")
    assert row["promoted"], row["why_not"]
    assert row["events"][0]["external_id"] == "é"


@pytest.mark.parametrize(
    ("config", "options", "why_not"),
    [
        (STRIPE, {"code": "too_large", "size_bytes": 1 << 21}, "it was refused as too_large, which no key changes"),
        (STRIPE, {"code": "handshake_refused"}, "it was refused as handshake_refused, which no key changes"),
        (STRIPE, {"code": "nonce_reused"}, "it was refused as nonce_reused, which no key changes"),
        (STRIPE, {"size_bytes": 70000}, "only 2 of its 70000 bytes are kept; redelivery: Dashboard, "),
        (TOKEN, {"source": "shop", "headers": NOT_KEPT},
         "its authorization header, which proves who sent it, is a credential and not kept; "
         "redelivery: have its vendor send it again, see https://shop.example/docs"),
        (AZURE, {"source": "azure", "target": "/webhooks/azure?a=1&code=[not kept]"},
         "its code in the query, which proves who sent it, is a credential and not kept; "),
        (STRIPE, {"headers": NOT_KEPT}, "signature_missing: there is no signature in Stripe-Signature"),
    ],
)  # fmt: skip
def test_what_cannot_be_promoted_says_why(
    tmp_path: Path, typed: Typed, config: str, options: dict[str, Any], why_not: str
) -> None:
    repair(tmp_path, config)
    options = {"source": "stripe", **options}
    with stored(tmp_path) as shop:
        shop.refuse(**options)
        [row] = reverified(typed, tmp_path, "--yes", source=options["source"])
    assert (row["passes"], row["promoted"]) == (False, False)
    assert row["why_not"].lower().startswith(why_not.lower())


def test_a_rejection_that_somebody_else_has_promoted_is_left_alone(
    tmp_path: Path, wrong: Inside, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(wrong, "evt_1")
    repair(tmp_path)
    [row] = reverified(typed, tmp_path)

    def answer(*_: Any, **__: Any) -> bool:
        wrong.store.write_from_thread(
            lambda tx: tx.run("DELETE FROM rejection WHERE id = :id", id=number("rej", row["id"]))
        )
        return True

    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("click.confirm", answer)
    ended = typed(tmp_path, "rejections", "reverify", "--source", "stripe")
    assert ended.code == 0
    assert "it is gone: somebody else has promoted it" in ended.out
    assert events(typed, tmp_path) == []


def test_a_handshake_is_never_promoted(tmp_path: Path, typed: Typed) -> None:
    slack = f'[sources.slack]\npreset = "slack"\nsecrets = ["literal:{SECRET}"]\n'
    body = json.dumps({"type": "url_verification", "challenge": "c"}).encode()
    at = int(time.time())
    signature = sender.github(b"v0:%d:" % at + body, "")[0][1].removeprefix("sha256=")
    repair(tmp_path, slack)
    with stored(tmp_path) as shop:
        lines = f"host: localhost\nx-slack-request-timestamp: {at}\nx-slack-signature: v0={signature}"
        shop.refuse("signature_mismatch", "slack", body, headers=lines.encode())
        [row] = reverified(typed, tmp_path, "--yes", source="slack")
    assert row["why_not"] == "handshake: it is a handshake, and those are answered at once or never"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "missing option '--source'"),
        (["--source", "strip"], 1, "there is no source 'strip'"),
        (["--source", "unset"], 1, "the variable NOT_THERE is not set"),
    ],
)
def test_a_source_is_needed_with_its_keys(
    tmp_path: Path, typed: Typed, arguments: list[str], code: int, said: str
) -> None:
    repair(tmp_path, STRIPE + '[sources.unset]\npreset = "github"\nsecrets = ["env:NOT_THERE"]\n')
    ended = typed(tmp_path, "rejections", "reverify", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
