"""Every store: a batch is kept once, and each of its events is deduped, compared and run by itself.

Through real sockets, presets and handlers: what one of them does with its vendor's requests is tests/vendors'.
"""

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processors.event import read_event
from receiver.schemes.reader import MOST_ITEMS
from receiver.settings import load
from receiver.sources import Source, describe_source
from receiver.store import ids
from receiver.store.runs import Claimed
from tests.conformance.bench import ask, claim, finish
from tests.support.inside import Inside, inside
from tests.support.wire import Answer, post

SECRET = "of-the-channel"
CONFIG = f"""
[store]
url = "%s"
[sources.line]
preset = "line"
secrets = ["literal:{SECRET}"]
[sources.asana]
preset = "asana"
secrets = ["literal:{SECRET}"]
[sources.auth0]
preset = "auth0-logstream"
secrets = ["literal:{SECRET}"]
"""


@pytest.fixture
def receiver(store_url: str, tmp_path: Path) -> Iterator[Inside]:
    with inside(tmp_path, CONFIG % store_url) as it:
        yield it


def message(id: str, text: str = "hello") -> dict[str, Any]:
    return {"type": "message", "webhookEventId": id, "message": {"type": "text", "text": text}}


def body_of(*items: Any, separators: tuple[str, str] = (",", ":")) -> bytes:
    return json.dumps({"destination": "U1", "events": items}, separators=separators).encode()


def send(receiver: Inside, body: bytes, path: str = "/webhooks/line") -> Answer:
    mac = hmac.new(SECRET.encode(), body, hashlib.sha256)
    signed = {"x-line-signature": b64encode(mac.digest()).decode(), "x-hook-signature": mac.hexdigest()}
    return post(receiver.port, path, body, [*signed.items(), ("Authorization", SECRET)])


def said(answer: Answer) -> list[tuple[str, str]]:
    assert answer.status == 200
    return [(event["id"], event["status"]) for event in answer.json()["events"]]


def statuses(answer: Answer) -> list[str]:
    return [status for _, status in said(answer)]


def counted(receiver: Inside, *tables: str) -> tuple[int, ...]:
    return tuple(ask(receiver.store, f"SELECT count(*) FROM {table}")[0][0] for table in tables)


def source(name: str, folder: Path) -> Source:
    return describe_source(name, load(folder / "postern.toml", {}))


def payload(run: Claimed, folder: Path) -> Any:
    return read_event(run, source(run.source, folder).scheme, lambda data: data).payload


def test_a_batch_is_kept_once_and_its_events_are_many(receiver: Inside) -> None:
    body = body_of(message("e1"), message("e2"), message("e3"))
    assert statuses(send(receiver, body)) == ["accepted"] * 3
    assert counted(receiver, "delivery", "event", "run") == (1, 3, 3)
    found = ask(receiver.store, "SELECT external_id, item, sha256, delivery_id FROM event ORDER BY item")
    assert [(external_id, item) for external_id, item, *_ in found] == [("e1", 0), ("e2", 1), ("e3", 2)]
    assert {bytes(sha256) for *_, sha256, _ in found} == {hashlib.sha256(body).digest()}
    assert len({delivery_id for *_, delivery_id in found}) == 1


def test_each_event_is_run_by_itself_on_its_own_item_with_the_whole_request_as_raw(
    receiver: Inside, tmp_path: Path
) -> None:
    body = body_of(message("e1", "one"), message("e2", "two"))
    send(receiver, body)
    first, second = sorted(claim(receiver.store, "talk"), key=lambda run: run.item or 0)
    assert [payload(run, tmp_path)["message"]["text"] for run in (first, second)] == ["one", "two"]
    assert first.body == second.body == body
    assert finish(receiver.store, second)
    states = ask(
        receiver.store, "SELECT e.external_id, r.state FROM run r JOIN event e ON e.id = r.event_id ORDER BY 1"
    )
    assert states == [("e1", "running"), ("e2", "succeeded")]


def test_what_comes_again_beside_new_ones_is_a_duplicate_and_its_work_is_not_done_again(
    receiver: Inside, tmp_path: Path
) -> None:
    [(e1, _), (e2, _)] = said(send(receiver, body_of(message("e1"), message("e2"))))
    for run in claim(receiver.store, "talk"):
        assert finish(receiver.store, run)
    overlapping = send(receiver, body_of(message("e3"), message("e2"), message("e1")))
    [(e3, status), *known] = said(overlapping)
    assert (status, known) == ("accepted", [(e2, "duplicate"), (e1, "duplicate")])
    assert counted(receiver, "delivery", "event", "run", "history") == (2, 3, 3, 0)
    [run] = claim(receiver.store, "talk")
    assert (ids.text("ev", run.event_id), payload(run, tmp_path)["webhookEventId"]) == (e3, "e3")


def test_a_batch_of_known_events_stores_nothing(receiver: Inside) -> None:
    body = body_of(message("e1"), message("e2"))
    first = said(send(receiver, body))
    assert said(send(receiver, body)) == [(id, "duplicate") for id, _ in first]
    assert counted(receiver, "delivery", "event", "run", "history") == (1, 2, 2, 0)


def test_an_item_is_compared_by_what_it_says_and_not_by_the_bytes_around_it(receiver: Inside) -> None:
    send(receiver, body_of(message("e1"), message("e2")))
    spaced = body_of(message("e9"), message("e2"), separators=(", ", ": "))
    assert statuses(send(receiver, spaced)) == ["accepted", "duplicate"]
    assert counted(receiver, "history") == (0,)


def test_an_item_that_says_something_else_under_a_known_id_is_told_and_the_first_stays(
    receiver: Inside, tmp_path: Path
) -> None:
    [_, (e2, _)] = said(send(receiver, body_of(message("e1"), message("e2", "first"))))
    other = message("e2", "other")
    assert statuses(send(receiver, body_of(message("e1"), other))) == ["duplicate"] * 2
    [(event_id, kind, text)] = ask(receiver.store, "SELECT event_id, kind, text FROM history")
    assert (ids.text("ev", event_id), kind) == (e2, "differing")
    sha256 = hashlib.sha256(json.dumps(other, separators=(",", ":")).encode()).hexdigest()
    assert sha256 in text
    assert "item 1 of a batch" in text
    runs = {run.external_id: payload(run, tmp_path)["message"]["text"] for run in claim(receiver.store, "talk")}
    assert runs == {"e1": "hello", "e2": "first"}


def test_of_two_items_with_one_id_in_one_batch_the_first_stays_and_the_difference_is_told(receiver: Inside) -> None:
    answer = send(receiver, body_of(message("e1", "first"), message("e1", "second"), message("e1", "first")))
    assert statuses(answer) == ["accepted", "duplicate", "duplicate"]
    assert ask(receiver.store, "SELECT item FROM event") == [(0,)]
    assert counted(receiver, "history") == (1,)


def test_equal_items_of_a_batch_are_the_first_one_whatever_became_of_it(receiver: Inside) -> None:
    [(e1, _)] = said(send(receiver, body_of(message("e1", "first"))))
    others = [message("e1", "second"), message("e2")] * 500
    known, fresh, *rest = said(send(receiver, body_of(*others)))
    assert (known, fresh[1]) == ((e1, "duplicate"), "accepted")
    assert rest == [(e1, "duplicate"), (fresh[0], "duplicate")] * 499
    assert counted(receiver, "delivery", "event", "history") == (2, 2, 1)


def test_as_many_items_as_no_vendor_sends_are_one_event(receiver: Inside, tmp_path: Path) -> None:
    body = body_of(*range(MOST_ITEMS + 1))
    first = send(receiver, body)
    assert (first.status, first.json()["status"]) == (200, "accepted")
    assert send(receiver, body).json() == {"id": first.json()["id"], "status": "duplicate"}
    [run] = claim(receiver.store, "talk")
    assert len(payload(run, tmp_path)["events"]) == MOST_ITEMS + 1


def test_items_without_ids_are_told_apart_by_what_they_say(receiver: Inside) -> None:
    added, changed = ({"action": action, "resource": {"resource_type": "task"}} for action in ("added", "changed"))
    first = json.dumps({"events": [added, changed, added]}).encode()
    assert statuses(send(receiver, first, "/webhooks/asana")) == ["accepted", "accepted", "duplicate"]
    second = json.dumps({"events": [changed]}, indent=1).encode()
    assert statuses(send(receiver, second, "/webhooks/asana")) == ["duplicate"]
    assert counted(receiver, "event", "history") == (2, 0)


def test_json_lines_are_a_batch_and_one_of_them_alone_is_the_same_event(receiver: Inside, tmp_path: Path) -> None:
    lines = [b'{"log_id":"l%d","data":{"type":"s"}}' % number for number in range(2)]
    assert statuses(send(receiver, b"\n".join(lines), "/webhooks/auth0")) == ["accepted"] * 2
    alone = send(receiver, lines[1], "/webhooks/auth0").json()
    assert alone["status"] == "duplicate"
    runs = claim(receiver.store, "audit")
    assert {payload(run, tmp_path)["log_id"] for run in runs} == {"l0", "l1"}
    assert counted(receiver, "history") == (0,)


def test_an_empty_batch_is_answered_and_leaves_nothing(receiver: Inside) -> None:
    assert said(send(receiver, body_of())) == []
    assert counted(receiver, "delivery", "event", "run") == (0, 0, 0)
