"""What an upstream's answer means: the whole table, word for word."""

from datetime import timedelta
from itertools import product

import pytest

from processors.errors import (
    LONGEST_WAIT_S,
    Action,
    Classified,
    Outcome,
    Owner,
    Retry,
    Sent,
    classify,
    had_no_effect,
    may_repeat,
)

METHODS = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH", "PURGE")
SAFE_TWICE = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}

TABLE = {
    200: (Action.OK, Owner.US),
    201: (Action.OK, Owner.US),
    204: (Action.OK, Owner.US),
    299: (Action.OK, Owner.US),
    101: (Action.FAIL, Owner.AUTHOR),
    301: (Action.FAIL, Owner.AUTHOR),
    302: (Action.FAIL, Owner.AUTHOR),
    304: (Action.FAIL, Owner.AUTHOR),
    400: (Action.PARK, Owner.AUTHOR),
    401: (Action.REFRESH_THEN_RETRY, Owner.OPERATOR),
    402: (Action.PARK, Owner.AUTHOR),
    403: (Action.PARK, Owner.OPERATOR),
    404: (Action.PARK, Owner.AUTHOR),
    405: (Action.PARK, Owner.AUTHOR),
    408: (Action.RETRY, Owner.VENDOR),
    409: (Action.PARK, Owner.AUTHOR),
    410: (Action.PARK, Owner.AUTHOR),
    413: (Action.PARK, Owner.AUTHOR),
    422: (Action.PARK, Owner.AUTHOR),
    425: (Action.RETRY, Owner.VENDOR),
    429: (Action.RATE_LIMITED, Owner.VENDOR),
    499: (Action.PARK, Owner.AUTHOR),
    500: (Action.RETRY, Owner.VENDOR),
    502: (Action.RETRY, Owner.VENDOR),
    503: (Action.RETRY, Owner.VENDOR),
    504: (Action.RETRY, Owner.VENDOR),
    599: (Action.RETRY, Owner.VENDOR),
}


@pytest.mark.parametrize(("status", "method"), list(product(TABLE, METHODS)))
def test_each_status_has_one_action_and_one_owner_where_keys_are_honoured(status: int, method: str) -> None:
    assert classify(Outcome(method, status)) == Classified(*TABLE[status])


def test_the_table_holds_every_action_and_every_owner() -> None:
    unknown = classify(Outcome("POST", sent=Sent.MAYBE, keyed=False))
    assert {*(action for action, _ in TABLE.values()), unknown.action} == set(Action)
    assert {owner for _, owner in TABLE.values()} == set(Owner)


@pytest.mark.parametrize(("status", "method"), list(product(TABLE, METHODS)))
def test_without_keys_only_what_may_have_happened_is_ambiguous(status: int, method: str) -> None:
    found = classify(Outcome(method, status, keyed=False))
    if status >= 500 and status != 503 and method not in SAFE_TWICE:
        assert found == Classified(Action.AMBIGUOUS, Owner.VENDOR)
    elif (
        status < 400 and TABLE[status][0] is Action.FAIL and status not in (301, 307, 308) and method not in SAFE_TWICE
    ):
        assert found == Classified(Action.AMBIGUOUS, Owner.AUTHOR)
    else:
        assert found == Classified(*TABLE[status])


@pytest.mark.parametrize(("method", "keyed"), list(product(METHODS, (True, False))))
def test_no_answer_is_repeated_unless_a_second_copy_could_take_effect(method: str, keyed: bool) -> None:
    action = Action.RETRY if keyed or method in SAFE_TWICE else Action.AMBIGUOUS
    assert classify(Outcome(method, sent=Sent.MAYBE, keyed=keyed)) == Classified(action, Owner.VENDOR)
    assert may_repeat(method, keyed=keyed) is (action is Action.RETRY)


@pytest.mark.parametrize(("method", "keyed"), list(product(METHODS, (True, False))))
def test_what_was_never_sent_is_always_repeated(method: str, keyed: bool) -> None:
    assert classify(Outcome(method, sent=Sent.NO, keyed=keyed)) == Classified(Action.RETRY, Owner.VENDOR)


@pytest.mark.parametrize("status", [404, 409, 422, 302, 500])
def test_an_expected_status_is_fine(status: int) -> None:
    expected = frozenset({status})
    assert classify(Outcome("POST", status, keyed=False, expect=expected)) == Classified(Action.OK, Owner.US)


def test_retry_after_is_waited_for_at_429_and_503_only() -> None:
    limited = Classified(Action.RATE_LIMITED, Owner.VENDOR, 7.0)
    assert classify(Outcome("POST", 429, retry_after_s=7.0)) == limited
    assert classify(Outcome("POST", 503, retry_after_s=7.0)) == limited
    assert classify(Outcome("POST", 500, retry_after_s=7.0)) == Classified(Action.RETRY, Owner.VENDOR)


def test_a_conflict_with_our_own_earlier_copy_is_waited_out() -> None:
    assert classify(Outcome("POST", 409, repeated=True)) == Classified(Action.RETRY, Owner.VENDOR)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 422, 425, 429, 503])
def test_a_refusal_of_the_only_copy_had_no_effect(status: int) -> None:
    assert had_no_effect(Outcome("POST", status))
    assert had_no_effect(Outcome("POST", sent=Sent.NO))


@pytest.mark.parametrize("status", [200, 302, 500, 502, 504])
def test_other_answers_may_have_come_after_an_effect(status: int) -> None:
    assert not had_no_effect(Outcome("POST", status))
    assert not had_no_effect(Outcome("POST", sent=Sent.MAYBE))


@pytest.mark.parametrize("status", [401, 403, 408, 409, 425, 429, 503])
def test_a_doorkeepers_refusal_says_nothing_of_an_earlier_copy(status: int) -> None:
    assert not had_no_effect(Outcome("POST", status, repeated=True))
    assert not had_no_effect(Outcome("POST", sent=Sent.NO, repeated=True))


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_a_refusal_under_the_same_key_is_of_the_earlier_copy_too(status: int) -> None:
    assert had_no_effect(Outcome("POST", status, repeated=True))


@pytest.mark.parametrize(
    ("after", "seconds"),
    [(5, 5.0), (0.25, 0.25), (timedelta(minutes=2), 120.0), (None, None), (-1, 0.0), (1e300, LONGEST_WAIT_S)],
)
def test_retry_takes_seconds_or_a_timedelta(after: float | timedelta | None, seconds: float | None) -> None:
    assert Retry(after=after).after_s == seconds


def test_retry_takes_nothing_that_a_clock_cannot_hold() -> None:
    assert Retry(after=float("inf")).after_s == LONGEST_WAIT_S
    assert Retry(after=float("nan")).after_s == 0.0
    with pytest.raises(TypeError):
        Retry(after=[])  # type: ignore[arg-type]
