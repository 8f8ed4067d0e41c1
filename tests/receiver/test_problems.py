"""Refusals as they leave."""

import json

import pytest

from receiver.problems import Problem, problem_response


def test_a_problem_names_its_status_and_code_and_keeps_the_note_to_us() -> None:
    problem = Problem(401, "signature_mismatch", "not accepted", note="signed with none of env:A (00000000)")
    assert json.loads(problem.body) == {
        "title": "Unauthorized",
        "status": 401,
        "code": "signature_mismatch",
        "detail": "not accepted",
    }


def test_what_is_for_the_caller_is_for_the_operator_too() -> None:
    assert Problem(413, "too_large", "the body is larger than 5 bytes").note == "the body is larger than 5 bytes"


@pytest.mark.parametrize(
    ("status", "name", "value"),
    [
        (400, "connection", "close"),
        (401, "www-authenticate", "Signature"),
        (405, "allow", "POST"),
        (408, "connection", "close"),
        (413, "connection", "close"),
        (415, "connection", None),
        (431, "connection", "close"),
        (503, "retry-after", "5"),
        (503, "connection", None),
    ],
)
def test_each_status_brings_the_headers_it_needs(status: int, name: str, value: str | None) -> None:
    assert problem_response(status, "some_code").headers.get(name) == value


def test_an_answer_s_own_headers_count() -> None:
    assert problem_response(405, "method_not_allowed", headers={"allow": "GET"}).headers["allow"] == "GET"
