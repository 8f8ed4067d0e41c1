"""How long a failed run waits, and when it is parked instead."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.attempt import backoff_s, decided
from receiver.settings import WorkerSettings
from receiver.store.runs import Verdict

WORKER = WorkerSettings()
FAILED = Verdict("waiting", "exception", "ValueError: no", failure=True)
jitter = st.floats(0, 1)


def test_the_waits_grow_by_the_factor_up_to_the_cap() -> None:
    waits = [backoff_s(failures, WORKER, 0.5) for failures in range(12)]
    assert waits == [5, 15, 45, 135, 405, 1215, 3645, 10935, 32805, 43200, 43200, 43200]


@given(st.integers(0, 10_000), jitter)
def test_jitter_is_a_quarter_either_way(failures: int, jitter: float) -> None:
    middle = backoff_s(failures, WORKER, 0.5)
    assert 0.75 * middle <= backoff_s(failures, WORKER, jitter) <= 1.25 * middle
    assert middle <= WORKER.retry_cap_s


@given(st.integers(0, 30), jitter)
def test_a_failure_waits_until_the_budget_is_used_up(failures: int, jitter: float) -> None:
    verdict = decided(FAILED, failures, WORKER, jitter)
    if failures + 1 < WORKER.max_failures:
        assert (verdict.state, verdict.code) == ("waiting", "exception")
        assert verdict.wait_s == backoff_s(failures, WORKER, jitter)
    else:
        assert (verdict.state, verdict.code, verdict.failure) == ("parked", "failures_exhausted", True)
        assert verdict.reason == f"failed {failures + 1} times, at last: ValueError: no"


@pytest.mark.parametrize(
    "verdict",
    [Verdict("succeeded"), Verdict("dropped", reason="x"), Verdict("parked", "asked"), Verdict("waiting", wait_s=60.0)],
)
def test_what_is_no_failure_is_left_alone(verdict: Verdict) -> None:
    assert decided(verdict, 11, WORKER, 0.5) is verdict
