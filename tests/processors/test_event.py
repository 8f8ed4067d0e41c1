"""The event as a handler sees it, made of stored bytes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from processors.event import Readings, read_event, read_headers
from receiver.store.runs import Claimed
from tests.processors.bench import settings_of

SOURCES = """
[sources.pay]
preset = "stripe"
[sources.batch]
scheme = "hmac"
signature = "header:X-Signature"
items = "body:events[*]"
data = "body:thing"
"""
ANY = TypeAdapter(object).validate_python


def claimed(source: str, body: bytes, item: int | None = None) -> Claimed:
    headers = b"x-one: 1\nx-two: a: b\nx-one: 2"
    return Claimed(1, 2, "book", 1, 0, 0, 0, 3, source, "paid", "evt_1", item, 1_700_000_000_000_001, headers, body)


def test_an_event_carries_what_was_received_and_what_it_is_about(tmp_path: Path) -> None:
    body = b'{"created": 1700000000, "data": {"object": {"id": "pi_1"}}}'
    event = read_event(claimed("pay", body), Readings(settings_of(tmp_path, SOURCES)).of("pay"), ANY)
    assert (event.id, event.source, event.type, event.external_id) == ("ev_0000000000003", "pay", "paid", "evt_1")
    assert event.received_at == datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=UTC)
    assert event.occurred_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert event.raw == body
    assert event.payload["created"] == 1700000000
    assert event.data == {"id": "pi_1"}
    assert event.headers == {"x-one": "1, 2", "x-two": "a: b"}


def test_of_a_batch_the_payload_is_the_events_own_item(tmp_path: Path) -> None:
    body = b'{"events": [{"thing": 1}, {"thing": 2}]}'
    event = read_event(claimed("batch", body, 1), Readings(settings_of(tmp_path, SOURCES)).of("batch"), ANY)
    assert (event.payload, event.data, event.raw) == ({"thing": 2}, 2, body)


def test_the_body_of_a_source_that_is_gone_is_read_whole(tmp_path: Path) -> None:
    reading = Readings(settings_of(tmp_path, "")).of("gone")
    event = read_event(claimed("gone", b'{"a": 1}'), reading, ANY)
    assert (event.payload, event.data, event.occurred_at) == ({"a": 1}, {"a": 1}, None)


def test_a_body_that_is_no_json_is_still_an_event(tmp_path: Path) -> None:
    event = read_event(claimed("pay", b"\xff\x00"), Readings(settings_of(tmp_path, SOURCES)).of("pay"), ANY)
    assert (event.payload, event.data, event.raw) == (None, None, b"\xff\x00")


def test_data_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    reading = Readings(settings_of(tmp_path, SOURCES)).of("pay")
    with pytest.raises(ValidationError):
        read_event(claimed("pay", b"{}"), reading, TypeAdapter(int).validate_python)


def test_headers_are_read_as_they_were_written() -> None:
    assert read_headers(b"") == {}
    assert read_headers(b"a: \xe9\nb: ") == {"a": "é", "b": ""}
