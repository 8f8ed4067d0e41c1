"""Vendors that sign into the body, through the receiver: every item counts, and a signature is good for one body."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from receiver.settings import load
from receiver.sources import build_source
from receiver.wellformed import Limits
from tests.support.inside import Inside, inside
from tests.support.rows import count
from tests.support.wire import Answer, post

CONFIG = f"""
[sources.mailgun]
preset = "mailgun"
secrets = ["literal:hush"]
[sources.adyen]
preset = "adyen"
secrets = ["literal:{"5a" * 32}"]
"""
EVENT: dict[str, Any] = {"signature": {}, "event-data": {"id": "a", "event": "delivered"}}


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Inside, Any]]:
    folder = tmp_path_factory.mktemp("signed")
    with inside(folder, CONFIG) as it:
        yield it, load(folder / "postern.toml", {})


def signed(settings: Any, name: str, body: Any) -> bytes:
    source = build_source(name, settings)
    made: bytes = source.scheme.sign(
        json.dumps(body).encode(), source.keys[0], time.time(), url="", id=None, type=None
    ).body
    return made


def send(it: Inside, name: str, body: bytes) -> Answer:
    return post(it.port, f"/webhooks/{name}", body, [])


def test_a_signature_that_does_not_cover_the_body_is_good_for_one_body(receiver: tuple[Inside, Any]) -> None:
    it, settings = receiver
    body = signed(settings, "mailgun", EVENT)
    assert send(it, "mailgun", body).json()["status"] == "accepted"
    assert send(it, "mailgun", body).json()["status"] == "duplicate"
    forged = body.replace(b'"id":"a"', b'"id":"b"')
    assert forged != body
    answer = send(it, "mailgun", forged)
    assert (answer.status, answer.code) == (401, "nonce_reused")
    assert count(it.file, "event", "source = 'mailgun'") == 1
    again = signed(settings, "mailgun", {**EVENT, "event-data": {"id": "b", "event": "opened"}})
    assert send(it, "mailgun", again).json()["status"] == "accepted"


def test_each_item_is_checked_and_all_are_answered_with_one_word(receiver: tuple[Inside, Any]) -> None:
    it, settings = receiver
    items = [{"NotificationRequestItem": {"pspReference": str(n), "eventCode": "REFUND"}} for n in range(2)]
    body = signed(settings, "adyen", {"live": "false", "notificationItems": items})
    answer = send(it, "adyen", body)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"[accepted]", "text/plain")
    assert count(it.file, "event", "source = 'adyen'") == 2
    assert (
        send(it, "adyen", body.replace(b'"pspReference":"1"', b'"pspReference":"7"')).json()["code"]
        == "signature_mismatch"
    )
    assert count(it.file, "event", "source = 'adyen'") == 2


def test_what_was_not_stored_did_not_use_it_up(tmp_path: Path) -> None:
    with inside(tmp_path, CONFIG, limits=Limits(store_s=0.2)) as it:
        body = signed(load(tmp_path / "postern.toml", {}), "mailgun", EVENT)
        with closing(sqlite3.connect(it.file)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            assert send(it, "mailgun", body).status == 503
            connection.rollback()
        assert send(it, "mailgun", body.replace(b"delivered", b"opened")).status == 200
