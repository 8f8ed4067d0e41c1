"""Every store: intents and outcomes of steps, whoever holds the lease by then."""

import pytest

from receiver.store import Store, steps
from receiver.store.runs import Claimed
from receiver.store.steps import StepRow
from tests.conformance.bench import ask, change, claim, record
from tests.support import ledger
from tests.support.stores import arrival

REQUEST = b"POST /entries\n\n\x00\xff"


@pytest.fixture
def run(store: Store) -> Claimed:
    record(store, arrival("evt_1"))
    [it] = claim(store, "a")
    return it


def intend(store: Store, run: Claimed, name: str = "charge", revision: int = 0, key: str = "k0") -> StepRow:
    return store.write_from_thread(lambda tx: ledger.intend(tx, run, name, revision, key, REQUEST))


def newest(store: Store, run: Claimed, name: str = "charge") -> StepRow | None:
    return store.write_from_thread(lambda tx: ledger.newest(tx, run, name))


def conclude(store: Store, step: StepRow, state: str, status: int | None, body: bytes | None = None) -> None:
    store.write_from_thread(lambda tx: ledger.conclude(tx, step, state, status, b"{}", body))


def reopen(store: Store, step: StepRow) -> StepRow:
    return store.write_from_thread(lambda tx: steps.reopen(tx, step))


def test_an_intent_comes_back_as_it_was_written(store: Store, run: Claimed) -> None:
    assert newest(store, run) is None
    step = intend(store, run)
    assert newest(store, run) == step
    assert (step.state, step.request, step.key, step.sends) == ("open", REQUEST, "k0", 1)


def test_an_outcome_is_kept_byte_for_byte(store: Store, run: Claimed) -> None:
    conclude(store, intend(store, run), "done", 201, b"\x00\xff")
    found = newest(store, run)
    assert found is not None
    assert (found.state, found.status, found.headers, found.body) == ("done", 201, b"{}", b"\x00\xff")


def test_the_newest_revision_counts(store: Store, run: Claimed) -> None:
    conclude(store, intend(store, run), "refused", 422)
    second = intend(store, run, revision=1, key="k1")
    assert newest(store, run) == second
    assert [step.key for step in store.write_from_thread(lambda tx: steps.of_run(tx, run))] == ["k0", "k1"]


def test_a_success_is_never_overwritten(store: Store, run: Claimed) -> None:
    step = intend(store, run)
    conclude(store, step, "done", 201, b"first")
    conclude(store, step, "refused", 422, b"late")
    conclude(store, reopen(store, step), "refused", 500, b"later")
    found = newest(store, run)
    assert found is not None
    assert (found.status, found.body) == (201, b"first")


def test_what_a_late_twin_heard_does_not_count_once_the_call_was_sent_again_unless_it_is_a_success(
    store: Store, run: Claimed
) -> None:
    first = intend(store, run)
    again = reopen(store, first)
    assert again.sends == 2
    conclude(store, first, "refused", 409)
    assert newest(store, run) == again
    conclude(store, first, "done", 201)
    found = newest(store, run)
    assert found is not None
    assert (found.state, found.status) == ("done", 201)


@pytest.mark.parametrize("twins_first", [True, False])
def test_the_same_holds_for_outcomes_that_come_in_one_commit(store: Store, run: Claimed, twins_first: bool) -> None:
    first, other = intend(store, run), intend(store, run, "other", key="k1")
    again = reopen(store, first)

    def conclude_all(*outcomes: steps.Outcome) -> None:
        given = outcomes if twins_first else outcomes[::-1]
        store.write_from_thread(lambda tx: steps.conclude_all(tx, given))

    refused = steps.Outcome(first, "refused", 409, b"{}", b"")
    conclude_all(
        refused, steps.Outcome(again, "open", None, None, None), steps.Outcome(other, "done", 200, b"{}", b"x")
    )
    found = store.write_from_thread(lambda tx: steps.newest_all(tx, [(run, "other"), (run, "none"), (run, "charge")]))
    assert [step and (step.id, step.state) for step in found] == [(other.id, "done"), None, (first.id, "open")]
    conclude_all(steps.Outcome(first, "done", 201, b"{}", b""), steps.Outcome(again, "refused", 409, b"{}", b""))
    done = newest(store, run)
    assert done is not None
    assert (done.state, done.status) == ("done", 201)


def test_an_outcome_is_a_fact_also_after_the_lease_was_lost(store: Store, run: Claimed) -> None:
    step = intend(store, run)
    change(store, "UPDATE run SET token = token + 1")
    conclude(store, step, "done", 201)
    found = newest(store, run)
    assert found is not None
    assert found.state == "done"


def test_a_generation_has_a_ledger_of_its_own(store: Store, run: Claimed) -> None:
    conclude(store, intend(store, run), "done", 201)
    change(store, "UPDATE run SET generation = 1, state = 'waiting'")
    [repeated] = claim(store, "a")
    assert newest(store, repeated) is None
    intend(store, repeated, key="k0-1")
    assert ask(store, "SELECT count(*) FROM step") == [(2,)]


def test_steps_of_one_run_do_not_meet_those_of_another(store: Store, run: Claimed) -> None:
    record(store, arrival("evt_2"))
    [other] = claim(store, "a")
    intend(store, run)
    assert newest(store, other) is None
    assert newest(store, run, "another name") is None


def test_one_step_has_one_intent(store: Store, run: Claimed) -> None:
    intend(store, run)
    with pytest.raises(Exception, match=r"(?i)unique"):
        intend(store, run)
