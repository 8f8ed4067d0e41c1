"""Answers that vendors prescribe. That they are given is tests/receiver/test_ingest.py's."""

from typing import Any

import pytest

from receiver.errors import UserError
from receiver.schemes.answer import Prescribed, compile_answer


def test_without_the_key_nothing_is_prescribed() -> None:
    assert compile_answer({}, "[sources.acme]") is None


def test_what_is_not_said_is_an_empty_200_and_our_own_refusals() -> None:
    assert compile_answer({"answer": {}}, "[sources.acme]") == Prescribed(200, "text/plain", b"", None)
    whole = {"status": 202, "body": "{}", "type": "application/json", "refused": ""}
    assert compile_answer({"answer": whole}, "[sources.acme]") == Prescribed(202, "application/json", b"{}", b"")


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ({"text": "ok"}, "no key but status, body, type, refused"),
        ({"status": 400}, "does not tell the vendor that it was taken"),
        ({"status": True}, "does not tell"),
        ({"status": "200"}, "does not tell"),
        ({"body": 1}, "are texts"),
        ({"refused": False}, "are texts"),
        ({"type": "text"}, "no media type"),
        ({"type": "text/plain\r\nx: y"}, "no media type"),
        ({"status": 204, "body": "ok"}, "204 has no body"),
    ],
)
def test_an_answer_that_is_none_is_told_with_its_place(answer: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=r"\[sources.acme\] answer") as caught:
        compile_answer({"answer": answer}, "[sources.acme]")
    assert what in str(caught.value)
