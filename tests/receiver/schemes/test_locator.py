"""Where values stand, and what is not a place at all."""

from typing import Any

import pytest

from receiver.errors import UserError
from receiver.schemes import Headers
from receiver.schemes.locator import Part, compile_items, compile_locator, put, text_of

HEADERS = Headers([(b"x-event", b"pull_request"), (b"x-empty", b""), (b"x-bytes", b"\xff")])
PAYLOAD = {"a": {"b": [{"c": 1}, {"c": 2}]}, "action": "opened", "event-data": "e", "n": None, "t": "x.y"}


def find(text: str | list[str], payload: Any = PAYLOAD) -> Any:
    return compile_locator(text, "here").find(Part(HEADERS, payload))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("header:X-Event", b"pull_request"),
        ("header:x-event", b"pull_request"),
        ("header:X-Other", None),
        ("header:X-Empty", None),
        ("body:a.b[0].c", 1),
        ("body:a.b[1].c", 2),
        ("body:a.b[2].c", None),
        ("body:a.b.c", None),
        ("body:a[0]", None),
        ("body:event-data", "e"),
        ("body:n", None),
        ("body:n.more", None),
        ("body:", PAYLOAD),
    ],
)
def test_a_locator_finds_its_value_or_nothing(text: str, value: Any) -> None:
    assert find(text) == value


@pytest.mark.parametrize("payload", [None, [], "text", 7, 1.5, True])
def test_a_body_of_another_shape_holds_nothing(payload: Any) -> None:
    assert find("body:a.b[0]", payload) is None
    assert find("{body:a}.{body:b}", payload) is None


def test_a_list_at_the_top_is_reached_by_its_index() -> None:
    assert find("body:[1].id", [{"id": 1}, {"id": 2}]) == 2


def test_of_a_list_the_first_that_is_there_counts() -> None:
    assert find(["body:no", "header:X-Empty", "body:n", "body:action", "header:X-Event"]) == "opened"
    assert find(["body:no"]) is None


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{header:X-Event}.{body:action}", "pull_request.opened"),
        ("{header:X-Event}.{body:no}", "pull_request"),
        ("{header:X-No}.{body:action}", "opened"),
        ("{header:X-No}.{body:no}", None),
        ("{body:no}.{body:no}.{body:action}", "opened"),
        ("{header:X-Event}.{body:no}.{body:action}", "pull_request.opened"),
        ("v1.{body:action}", "v1.opened"),
        ("{body:a.b[0].c}:{body:a.b[1].c}", "1:2"),
        ("{body:a.b[0].c}:{body:no}", None),
        ("{header:X-Bytes}.{body:a}", None),
    ],
)
def test_a_template_leaves_out_a_missing_part_with_its_dot(template: str, text: str | None) -> None:
    assert find(template) == text


@pytest.mark.parametrize(("flag", "text"), [(True, "m1.true"), (False, "m1"), (None, "m1")])
def test_a_flag_counts_in_a_template_where_it_is_set(flag: bool | None, text: str) -> None:
    assert find("{body:id}.{body:gone}", {"id": "m1", "gone": flag}) == text
    assert find("{body:gone}", {"gone": 1}) == "1"


@pytest.mark.parametrize(
    "text",
    [
        *("", "X-Event", "header:", "header:X Event", "header:X\n", "header:é"),
        *("body", "body:.a", "body:a.", "body:a..b", "body:events[*]", "body:a[9999999999]"),
        *("body:a[", "body:a[]", "body:a[-1]", "body:a[x]", "body:a[1", "body:a]", "body:a[0]b"),
        *("{body:a", "body:a}", "{}", "{body:a}}", "{{body:a}}", "{a}"),
    ],
)
def test_what_is_no_place_is_an_error_that_names_the_key(text: str) -> None:
    with pytest.raises(UserError) as caught:
        compile_locator(text, "[sources.acme] id")
    assert caught.value.where == "[sources.acme] id"
    assert "header:NAME" in caught.value.fix


def test_a_list_of_nothing_is_an_error() -> None:
    with pytest.raises(UserError):
        compile_locator([], "here")


@pytest.mark.parametrize("text", ["body:events", "header:X[*]", "body:a[*].b", "body:a[*]..b[*]", ["body:a[*]", "b"]])
def test_items_end_with_a_star(text: str | list[str]) -> None:
    with pytest.raises(UserError):
        compile_items(text, "here")


def test_items_may_be_the_whole_body() -> None:
    assert compile_items("body:[*]", "here").find([1, 2]) == [1, 2]


NESTED = ["body:entry[*].changes[*]", "body:entry[*].messaging[*]"]


@pytest.mark.parametrize(
    ("text", "payload", "items"),
    [
        ("body:events[*]", {"events": [1, 2]}, [1, 2]),
        ("body:events[*]", {"events": []}, []),
        ("body:events[*]", {"events": {"a": 1}}, None),
        ("body:events[*]", [1], None),
        ("body:a[*][*]", {"a": [[1], [2, 3], 4]}, [1, 2, 3, 4]),
        (NESTED, {"entry": [{"changes": [1]}, {"messaging": [2, 3]}]}, [1, 2, 3]),
        (NESTED, {"entry": [{"changes": [1], "messaging": [2]}]}, [1, 2]),
        (NESTED, {"entry": [{"uid": "7"}, {"changes": [1]}]}, [{"uid": "7"}, 1]),
        (NESTED, {"entry": [{"changes": []}]}, []),
        (NESTED, {"entry": "x"}, None),
        (["body:a[*]", "body:b[*]"], {"b": [1], "a": [2]}, [2, 1]),
    ],
)
def test_items_are_all_that_stands_in_the_lists(text: str | list[str], payload: Any, items: list[Any] | None) -> None:
    assert compile_items(text, "here").find(payload) == items


def test_an_item_knows_the_delivery_it_came_in() -> None:
    item = Part(HEADERS, {"field": "feed"}, {"object": "page", "first": 1, "list": [], "more": {}}, b"a=1&b=%C3%A9&b=2")
    found = {
        text: compile_locator(text, "here").find(item)
        for text in ("body:field", "body:object", "delivery:object", "name:", "name:more", "query:b", "query:c")
    }
    assert found == {
        "body:field": "feed", "body:object": None, "delivery:object": "page", "name:": "list", "name:more": None,
        "query:b": "é", "query:c": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "steps", "after"),
    [
        ({}, ("a", "b"), {"a": {"b": 1}}),
        ({"a": [{"b": 0}]}, ("a", 0, "b"), {"a": [{"b": 1}]}),
        ({"a": [0]}, ("a", 0), {"a": [1]}),
        ({"a": [0]}, ("a", 1), None),
        ({"a": 0}, ("a", "b"), None),
        ([], ("a",), None),
    ],
)
def test_a_value_can_be_put_where_there_is_a_place(value: Any, steps: tuple[str | int, ...], after: Any) -> None:
    assert put(value, steps, 1) == (after is not None)
    assert after is None or value == after


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"abc", "abc"),
        ("é".encode(), "é"),
        (b"\xff", None),
        ("", None),
        (7, "7"),
        (2**63, "9223372036854775808"),
        (-5, "-5"),
        (True, None),
        (1.0, None),
        (float("inf"), None),
        (None, None),
        ([], None),
        (10**254, "1" + "0" * 254),
        (10**255, None),
    ],
)
def test_only_text_and_integers_are_text(value: Any, text: str | None) -> None:
    assert text_of(value) == text


def test_an_integer_too_long_to_be_written_is_no_text() -> None:
    assert text_of(10**5000) is None


@pytest.mark.parametrize(
    ("locator", "text", "headers"),
    [
        ("header:X-Topic", "orders/create", [("X-Topic", "orders/create")]),
        ("body:type", "a.b", []),
        (["header:X-First", "header:X-Second"], "id", [("X-First", "id")]),
        (["body:no", "header:X-Second"], "id", [("X-Second", "id")]),
        ("{header:X-Event}.{body:action}", "pull_request.opened", [("X-Event", "pull_request")]),
        ("{header:X-Event}.{body:no}", "push", [("X-Event", "push")]),
        ("{header:X-Event}.{body:t}", "push.x.y", [("X-Event", "push")]),
        ("{header:X-Event}.{body:action}", "pull_request.closed", [("X-Event", "pull_request")]),
        ("{header:X-Event}.{body:action}", "push", []),
        ("v1.{header:X-Event}:{header:X-Kind}", "v1.a:b", [("X-Event", "a"), ("X-Kind", "b")]),
        ("{header:X-Lost}{body:no}.{header:X-Event}", "push", [("X-Event", "push")]),
    ],
)
def test_headers_can_be_found_that_give_a_text(
    locator: str | list[str], text: str, headers: list[tuple[str, str]]
) -> None:
    assert compile_locator(locator, "here").solve(text, PAYLOAD) == headers


def test_a_locator_names_the_headers_it_reads() -> None:
    compiled = compile_locator(["body:a", "{header:X-A}.{body:b}", "header:X-B"], "here")
    assert compiled.header_names == ("X-A", "X-B")
