"""What a verified request says of its events."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from receiver.schemes import Identity
from receiver.schemes.reader import MOST_ITEMS, Reader
from tests.receiver.schemes.deliveries import request


def reader(**keys: Any) -> Reader:
    return Reader(keys, "[sources.acme]")


def identify(body: bytes, **keys: Any) -> Identity:
    (identity,) = reader(**keys).identify(request([], body))
    return identity


@pytest.mark.parametrize(
    ("written", "external_id"),
    [
        ('"evt_1"', "evt_1"),
        ("7", "7"),
        ("9223372036854775808", "9223372036854775808"),
        ('"' + "x" * 255 + '"', "x" * 255),
        ('"été 1"', "été 1"),
    ],
)
def test_text_and_integers_are_ids(written: str, external_id: str) -> None:
    identity = identify(f'{{"id": {written}}}'.encode(), id="body:id")
    assert identity == Identity(external_id, "unknown", True, None)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"text", b'["id"]', b'{"id": "a"} x', b"[" * 100_000),
        *(b'{"id": ""}', b'{"id": null}', b'{"id": true}', b'{"id": ["a"]}', b'{"id": {"a": 1}}'),
        *(b'{"id": 1.5}', b'{"id": 1e999}', b'{"id": NaN}', b'{"id": ' + b"9" * 4000 + b"}"),
        *(b'{"id": "a\\u0000b"}', b'{"id": "a\\nb"}', b'{"id": "\\ud800"}', b'{"id": "\xc2\xa0"}'),
        *(b'\xef\xbb\xbf{"id": "a"}', '{"id": "a"}'.encode("utf-16"), b'{"id": "\xff"}'),
        b'{"id": "' + b"x" * 256 + b'"}',
    ],
)
def test_without_a_usable_id_the_bytes_name_the_event(body: bytes) -> None:
    identity = identify(body, id="body:id", type="body:id")
    assert identity == Identity(f"sha256:{hashlib.sha256(body).hexdigest()}", "unknown", False, None)


def test_a_source_that_names_no_id_is_known_by_its_bytes() -> None:
    assert identify(b"x").external_id == f"sha256:{hashlib.sha256(b'x').hexdigest()}"


def test_an_id_in_a_header_needs_no_json() -> None:
    taken = request([("X-Id", "d_1"), ("X-Type", "made.up")], b"not json")
    assert reader(id="header:X-Id", type="header:X-Type").identify(taken) == [Identity("d_1", "made.up", True, None)]


BATCH = b'{"events": [{"id": 1, "type": "a"}, {"type": "b", "x": [1, {"y": "\xc3\xa9"}]}, 3]}'


def test_each_item_of_a_batch_is_an_event() -> None:
    taken = request([("X-Type", "t")], BATCH)
    batch = reader(items="body:events[*]", id="body:id", type=["body:type", "header:X-Type"])
    items = (b'{"id":1,"type":"a"}', '{"type":"b","x":[1,{"y":"é"}]}'.encode(), b"3")
    one, two, three = (hashlib.sha256(item) for item in items)
    assert batch.identify(taken) == [
        Identity("1", "a", True, 0, one.digest()),
        Identity(f"sha256:{two.hexdigest()}", "b", False, 1, two.digest()),
        Identity(f"sha256:{three.hexdigest()}", "t", False, 2, three.digest()),
    ]


def test_what_has_its_id_in_a_header_is_no_batch() -> None:
    cloud = reader(items="body:[*]", id=["header:ce-id", "body:id"])
    assert cloud.identify(request([("ce-id", "7")], b"[1, 2]")) == [Identity("7", "unknown", True, None)]
    batch = cloud.identify(request([], b'[{"id": "a"}, {"id": "b"}]'))
    assert [identity.external_id for identity in batch] == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b'{"a":1}\n{"a":2}\n', [{"a": 1}, {"a": 2}]),
        (b'\r\n{"a":1}\r\n\n3', [{"a": 1}, 3]),
        (b'{"a":\n1}', {"a": 1}),
        (b'{"a":1}\n{"a":', None),
        (b"1\nnull", None),
        (b"\n \n", None),
    ],
)
def test_json_lines_are_a_list(body: bytes, payload: Any) -> None:
    assert reader(body_format="lines").payload(body, None) == payload


def test_an_empty_batch_has_no_event_and_what_is_no_batch_has_one() -> None:
    batch = reader(items="body:events[*]", id="body:id")
    assert batch.identify(request([], b'{"events": []}')) == []
    assert [identity.item for identity in batch.identify(request([], b'{"events": {}}'))] == [None]
    assert [identity.item for identity in batch.identify(request([], b"junk"))] == [None]


def test_a_batch_beyond_all_measure_is_one_event_of_its_bytes() -> None:
    batch = reader(items="body:[*]", id=["body:id", "query:id"], type=["body:type", "header:X-Type"])
    most, more = (json.dumps([0] * number).encode() for number in (MOST_ITEMS, MOST_ITEMS + 1))
    assert len(batch.identify(request([], most))) == MOST_ITEMS
    digest = f"sha256:{hashlib.sha256(more).hexdigest()}"
    [identity] = batch.identify(request([("X-Type", "t")], more))
    assert identity == Identity(digest, "t", vendor_id=False, item=None)
    assert batch.payload(more, identity.item) == [0] * (MOST_ITEMS + 1)


def test_the_payload_is_the_body_or_the_item() -> None:
    batch = reader(items="body:events[*]")
    assert batch.payload(BATCH, None) == json.loads(BATCH)
    assert batch.payload(BATCH, 0) == {"id": 1, "type": "a"}
    assert batch.payload(BATCH, 3) is None
    assert reader().payload(BATCH, 0) is None


@pytest.mark.parametrize(
    "body", [b"a=1&b=2", b'{"a": NaN}', b'{"a": Infinity}', b"\xef\xbb\xbf{}", b"{} {}", b"\xff", b""]
)
def test_a_body_that_is_not_strictly_json_has_no_payload(body: bytes) -> None:
    assert reader().payload(body, None) is None


def test_the_data_is_the_payload_where_nothing_else_is_said() -> None:
    assert reader().data({"a": 1}) == {"a": 1}
    assert reader(data="body:a").data({"a": 1}) == 1
    assert reader(data=["body:b", "body:"]).data({"a": 1}) == {"a": 1}
    assert reader(data="body:b").data({"a": 1}) is None


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (1700000000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (1700000000.5, datetime(2023, 11, 14, 22, 13, 20, 500000, tzinfo=UTC)),
        ("1700000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (1700000000250, datetime(2023, 11, 14, 22, 13, 20, 250000, tzinfo=UTC)),
        ("1700000000250", datetime(2023, 11, 14, 22, 13, 20, 250000, tzinfo=UTC)),
        ("2023-11-14T22:13:20Z", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("2023-11-15T00:13:20.25+02:00", datetime(2023, 11, 14, 22, 13, 20, 250000, tzinfo=UTC)),
    ],
)
def test_when_it_happened_is_read_as_a_time_in_utc(value: Any, at: datetime) -> None:
    assert reader(occurred_at="body:at").occurred_at({"at": value}) == at


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, -1, 1e300, float("inf"), 10**400, "", "now", "１７", "9" * 15, "9" * 16, [], {}),
        *("2023-11-14T22:13:20", "2023-13-14T22:13:20Z", "2023-11-14T22:13:20+99:99"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    ],
)
def test_when_it_happened_is_unknown_where_a_datetime_could_not_hold_it(value: Any) -> None:
    assert reader(occurred_at="body:at").occurred_at({"at": value}) is None


def test_when_it_happened_is_unknown_where_no_key_says_it() -> None:
    assert reader().occurred_at({"at": 1700000000}) is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"cut \ud83d", "cut �"),
        (r"\uDE00 cut", "� cut"),
        (r"\ud83d\ud83d\ude00 \ude00", "�\U0001f600 �"),
        (r"\\ud83d \\\ud83d", "\\ud83d \\�"),
        (r"\n\u00e9\ud83d", "\né�"),
    ],
)
def test_half_a_surrogate_pair_costs_one_character_and_not_the_event(written: str, read: str) -> None:
    body = f'{{"id": "evt_1", "type": "a.b", "note": "{written}"}}'.encode()
    assert identify(body, id="body:id", type="body:type") == Identity("evt_1", "a.b", True, None)
    assert reader().payload(body, None)["note"] == read


@pytest.mark.parametrize("body", [rb'{"a": "\ud8"}"}', rb'{"a": "\ud83d"', rb'{"a": "\ud83d\x"}', b'{"a": "\\ud83d\\'])
def test_half_a_surrogate_pair_makes_nothing_else_legal(body: bytes) -> None:
    assert reader().payload(body, None) is None
