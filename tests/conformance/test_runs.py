"""Every store: a run is worked on by one at a time, and who lost the lease changes nothing."""

import functools
import threading
from collections import Counter

import pytest

from receiver.store import Store, processes, runs
from receiver.store.processes import STOPPED_US, HandlerOffer
from receiver.store.runs import ALIVE_US, MISSING_AFTER_US, Verdict
from tests.conformance.bench import FAILED, S_US, SUCCEEDED, ask, change, claim, finish, insist, record, states
from tests.support.stores import arrival


def due(store: Store, *handlers: str) -> bool:
    return store.write_from_thread(lambda tx: runs.has_due(tx, handlers))


def sweep(store: Store) -> int:
    return store.write_from_thread(runs.sweep)


def expire(store: Store) -> None:
    """Let every lease have run out a second ago."""
    change(store, "UPDATE run SET lease_until = lease_until - :us WHERE lease_until IS NOT NULL", us=3600 * S_US)


def history(store: Store) -> list[str]:
    return [kind for (kind,) in ask(store, "SELECT kind FROM history ORDER BY id")]


# ── routing ──


def test_the_first_match_takes_the_unrouted_row_and_further_ones_get_their_own(store: Store) -> None:
    [[event]] = record(store, arrival("evt_1"))
    claimed = claim(store, "a", "b", "c")
    assert sorted(run.handler for run in claimed) == ["a", "b", "c"]
    assert {run.event_id for run in claimed} == {event.id}
    assert len(ask(store, "SELECT id FROM run")) == 3
    assert ask(store, "SELECT handler FROM run WHERE id = :id", id=event.id) == [("a",)]


def test_an_event_that_no_handler_takes_has_no_run(store: Store) -> None:
    record(store, arrival("evt_1"), arrival("evt_2", type="wanted"))
    claimed = claim(store, "a", route=lambda source, type_: ["a"] if type_ == "wanted" else [])
    assert [run.external_id for run in claimed] == ["evt_2"]
    assert states(store) == {"running": 1}


def test_an_event_is_routed_also_to_handlers_that_this_worker_lacks(store: Store) -> None:
    record(store, arrival("evt_1"))
    assert [run.handler for run in claim(store, "mine", route=lambda source, type_: ["mine", "theirs"])] == ["mine"]
    assert states(store) == {"running": 1, "waiting": 1}
    assert [run.handler for run in claim(store, "theirs")] == ["theirs"]


def test_a_worker_without_slots_or_handlers_still_routes(store: Store) -> None:
    record(store, arrival("evt_1"))
    assert claim(store, slots=0, route=lambda source, type_: ["theirs"]) == []
    assert states(store) == {"waiting": 1}


def test_more_is_said_while_there_is_more_than_one_claim_takes(store: Store) -> None:
    record(store, *[arrival(f"evt_{number}") for number in range(5)])

    def more(slots: int) -> bool:
        return store.write_from_thread(lambda tx: runs.claim(tx, ["a"], lambda s, t: ["a"], slots, 60.0).more)

    assert [more(3), more(3)] == [True, False]


# ── claims and leases ──


def test_a_claimed_run_brings_all_that_its_handler_needs(store: Store) -> None:
    [[event]] = record(store, arrival("evt_1", body=b"\x00bytes", at_us=7 * S_US))
    [run] = claim(store, "a")
    assert (run.handler, run.attempt, run.failures, run.lapses, run.generation) == ("a", 1, 0, 0, 0)
    assert (run.event_id, run.source, run.type, run.external_id) == (event.id, "stripe", "a.b", "evt_1")
    assert (run.item, run.received_us, run.headers, run.body) == (None, 7 * S_US, b"host: localhost", b"\x00bytes")
    assert store.write_from_thread(lambda tx: runs.is_live(tx, run.id, run.token))


def test_no_more_is_claimed_than_there_are_slots_and_what_is_due_longest_comes_first(store: Store) -> None:
    for number in (1, 2, 3):
        record(store, arrival(f"evt_{number}"))
    claim(store, slots=0, route=lambda source, type_: ["a"])
    change(store, "UPDATE run SET due_at = due_at + :us WHERE id = (SELECT min(id) FROM run)", us=-S_US)
    assert [run.external_id for run in claim(store, "a", slots=2)] == ["evt_1", "evt_2"]
    assert [run.external_id for run in claim(store, "a", slots=2)] == ["evt_3"]
    assert claim(store, "a") == []


def test_what_is_due_later_waits(store: Store) -> None:
    record(store, arrival("evt_1"))
    [run] = claim(store, "a")
    assert finish(store, run, Verdict("waiting", "exception", "why", wait_s=3600.0, failure=True))
    assert not due(store, "a")
    assert claim(store, "a") == []
    change(store, "UPDATE run SET due_at = due_at - :us", us=3601 * S_US)
    assert due(store, "a")
    assert not due(store, "b")
    [again] = claim(store, "a")
    assert (again.attempt, again.failures, again.id) == (2, 1, run.id)
    assert again.token > run.token


def test_an_unrouted_run_is_due_for_everybody(store: Store) -> None:
    assert not due(store)
    record(store, arrival("evt_1"))
    assert due(store)


@pytest.mark.parametrize(
    ("verdict", "state", "kinds"),
    [
        (SUCCEEDED, "succeeded", []),
        (Verdict("dropped", reason="not ours"), "dropped", ["dropped"]),
        (Verdict("parked", "asked", "look"), "parked", ["parked"]),
        (FAILED, "waiting", ["failed"]),
        (Verdict("waiting", "retry_asked", "later"), "waiting", ["waiting"]),
    ],
)
def test_an_attempt_ends_as_its_verdict_says_and_the_odd_ones_are_remembered(
    store: Store, verdict: Verdict, state: str, kinds: list[str]
) -> None:
    record(store, arrival("evt_1"))
    [run] = claim(store, "a")
    assert finish(store, run, verdict)
    sql = "SELECT state, code, reason, failures, token, lease_until, due_at IS NULL, finished_at IS NULL FROM run"
    waits = state == "waiting"
    assert ask(store, sql) == [
        (
            state,
            verdict.code if verdict.failure or not waits else None,
            verdict.reason,
            int(verdict.failure),
            None,
            None,
            not waits,
            False,
        )
    ]
    assert history(store) == kinds


def test_who_lost_the_lease_changes_nothing(store: Store) -> None:
    record(store, arrival("evt_1"))
    [late] = claim(store, "a")
    expire(store)
    assert sweep(store) == 1
    [new] = claim(store, "a")
    before = ask(store, "SELECT * FROM run")
    store.write_from_thread(lambda tx: runs.renew(tx, [(late.id, late.token)], 3600.0))
    assert not finish(store, late, Verdict("parked", "asked", "too late"))
    assert not store.write_from_thread(lambda tx: runs.is_live(tx, late.id, late.token))
    assert store.write_from_thread(lambda tx: runs.claimed(tx, [late.id], late.token)) == []
    assert ask(store, "SELECT * FROM run") == before
    assert finish(store, new)
    assert not finish(store, new)
    assert states(store) == {"succeeded": 1}


def test_a_renewed_lease_does_not_run_out(store: Store) -> None:
    record(store, arrival("evt_1"), arrival("evt_2"))
    renewed, left = claim(store, "a")
    expire(store)
    store.write_from_thread(lambda tx: runs.renew(tx, [(renewed.id, renewed.token)], 60.0))
    assert sweep(store) == 1
    assert [run.id for run in claim(store, "a")] == [left.id]


def test_a_lease_that_runs_out_is_counted_and_remembered_until_an_attempt_ends(store: Store) -> None:
    record(store, arrival("evt_1"))
    for lapses in range(3):
        [run] = claim(store, "a")
        assert (run.lapses, run.attempt, run.failures) == (lapses, lapses + 1, 0)
        assert sweep(store) == 0
        expire(store)
        assert sweep(store) == 1
    [run] = claim(store, "a")
    assert finish(store, run, FAILED)
    [run] = claim(store, "a")
    assert (run.lapses, run.failures) == (0, 1)
    assert history(store) == ["lapsed"] * 3 + ["failed"]


def test_two_processes_never_hold_one_run(stores: list[Store]) -> None:
    record(stores[0], *[arrival(f"evt_{number}") for number in range(300)])
    held: list[int] = []

    def work(store: Store) -> None:
        while taken := insist(lambda: claim(store, "a", "b", slots=7)):
            for run in taken:
                held.append(run.id)
                assert insist(functools.partial(finish, store, run))

    threads = [threading.Thread(target=work, args=[store]) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == len(set(held)) == 600
    assert states(stores[0]) == {"succeeded": 600}


# ── who is alive ──


def register(
    store: Store, *handlers: str, role: str = "worker", trouble: str | None = None, file: str | None = None
) -> int:
    """Each handler in a file of its own, unless told otherwise."""
    offers = [HandlerOffer(name, "stripe", "*", "0", file or f"/shop/{name}.py", 1) for name in handlers]
    return store.write_from_thread(lambda tx: processes.register(tx, role, offers=offers, trouble=trouble))


def age(store: Store, us: int, *numbers: int) -> None:
    for number in numbers:
        sql = "UPDATE process SET started_at = started_at - :us, seen_at = seen_at - :us WHERE id = :id"
        change(store, sql, us=us, id=number)


def stop(store: Store, number: int, ago_us: int = 0) -> None:
    store.write_from_thread(lambda tx: processes.stopped(tx, number))
    change(store, "UPDATE process SET seen_at = seen_at - :us, stopped_at = stopped_at - :us WHERE id = :id",
           us=ago_us, id=number)  # fmt: skip


def patterns(store: Store) -> list[tuple[str, str, str]] | None:
    found = store.write_from_thread(processes.live_patterns)
    return None if found is None else sorted(found)


def test_live_workers_handlers_are_known_and_those_of_the_dead_are_not(store: Store) -> None:
    live, stopped, silent = register(store, "a"), register(store, "b"), register(store, "c")
    assert patterns(store) == [("a", "stripe", "*"), ("b", "stripe", "*"), ("c", "stripe", "*")]
    stop(store, stopped, ago_us=STOPPED_US + S_US)
    age(store, MISSING_AFTER_US + S_US, silent)
    assert patterns(store) == [("a", "stripe", "*")]
    stop(store, live)
    assert patterns(store) is None


def test_a_worker_that_fell_silent_may_come_back_and_its_handlers_count_while_another_lives(store: Store) -> None:
    silent, live = register(store, "a"), register(store, "b")
    age(store, ALIVE_US + S_US, silent)
    assert patterns(store) == [("a", "stripe", "*"), ("b", "stripe", "*")]
    age(store, ALIVE_US + S_US, live)
    assert patterns(store) is None


def test_a_worker_that_was_stopped_is_expected_back_for_a_minute(store: Store) -> None:
    stopped = register(store, "a")
    register(store, "b")
    stop(store, stopped, ago_us=STOPPED_US - S_US)
    assert patterns(store) == [("a", "stripe", "*"), ("b", "stripe", "*")]


@pytest.mark.parametrize("killed", [False, True])
def test_who_was_replaced_by_a_worker_with_the_same_file_is_not_expected_back(store: Store, killed: bool) -> None:
    old = register(store, "before", file="/shop/webhooks.py")
    if killed:
        age(store, ALIVE_US + S_US, old)
    else:
        stop(store, old)
    register(store, "after", file="/shop/webhooks.py")
    assert patterns(store) == [("after", "stripe", "*")]


def test_a_worker_without_handlers_is_alive_and_one_in_trouble_is_none(store: Store) -> None:
    register(store, trouble="the module does not import")
    register(store, "a", role="receiver")
    assert patterns(store) is None
    register(store)
    assert patterns(store) == []


def test_the_long_dead_are_forgotten_with_what_they_offered(store: Store) -> None:
    age(store, processes.KEPT_US + S_US, register(store, "a"))
    register(store, "b")
    assert ask(store, "SELECT handler FROM offer") == [("b",)]
    assert ask(store, "SELECT count(*) FROM process") == [(1,)]


def test_a_run_whose_handler_nobody_has_offered_for_ten_minutes_is_parked(store: Store) -> None:
    record(store, arrival("evt_1"))
    claim(store, slots=0, route=lambda source, type_: ["gone", "there"])
    worker = register(store, "there")

    def missing() -> list[tuple[str, str]]:
        store.write_from_thread(runs.park_missing)
        return ask(store, "SELECT handler, code FROM run WHERE state = 'parked'")

    change(store, "UPDATE run SET due_at = due_at - :us", us=2 * MISSING_AFTER_US)
    assert missing() == []  # the only worker has not been there for ten minutes itself
    age(store, 2 * MISSING_AFTER_US, worker)
    assert missing() == []  # and is dead
    store.write_from_thread(lambda tx: processes.seen(tx, worker))
    assert missing() == [("gone", "handler_missing")]
    assert history(store) == ["parked"]


@pytest.mark.parametrize("trouble", [None, "the handler module does not import"])
def test_nothing_is_parked_while_a_worker_may_have_the_handler_or_none_works(store: Store, trouble: str | None) -> None:
    record(store, arrival("evt_1"))
    claim(store, slots=0, route=lambda source, type_: ["a"])
    change(store, "UPDATE run SET due_at = due_at - :us", us=2 * MISSING_AFTER_US)
    worker = register(store, *([] if trouble else ["a"]), trouble=trouble)
    age(store, 2 * MISSING_AFTER_US, worker)
    store.write_from_thread(lambda tx: processes.seen(tx, worker))
    assert store.write_from_thread(runs.park_missing) == 0


def test_a_large_backlog_of_a_handler_that_is_gone_is_parked_part_by_part(store: Store) -> None:
    record(store, *[arrival(f"evt_{number}") for number in range(runs.SWEEP_AT_ONCE + 1)])
    for _ in range(3):
        claim(store, slots=0, route=lambda source, type_: ["gone"])
    change(store, "UPDATE run SET due_at = due_at - :us", us=2 * MISSING_AFTER_US)
    worker = register(store, "there")
    age(store, 2 * MISSING_AFTER_US, worker)
    store.write_from_thread(lambda tx: processes.seen(tx, worker))
    parked = [store.write_from_thread(runs.park_missing) for _ in range(3)]
    assert parked == [runs.SWEEP_AT_ONCE, 1, 0]


def test_proving_that_a_commit_is_possible_changes_nothing(store: Store) -> None:
    register(store, "a")
    before = ask(store, "SELECT * FROM process")
    store.write_from_thread(processes.prove_writable)
    assert ask(store, "SELECT * FROM process") == before


def test_routes_are_asked_once_for_each_event(store: Store) -> None:
    asked: Counter[tuple[str, str]] = Counter()
    record(store, arrival("evt_1", type="x"), arrival("evt_2", type="y"))

    def route(source: str, type_: str) -> list[str]:
        asked[source, type_] += 1
        return ["a"]

    for _ in range(2):
        claim(store, "a", route=route)
    assert asked == {("stripe", "x"): 1, ("stripe", "y"): 1}
