"""Every store: what arrives is kept byte for byte, once, and the first one stays."""

import functools
import threading
from collections import Counter

import pytest

from receiver.store import Store, ids, reads
from tests.conformance.bench import S_US, ask, insist, record, states
from tests.support.stores import HOUR_US, arrival

NOW_US = 1_800_000_000 * S_US


def test_an_event_its_bytes_and_one_unrouted_run_go_in_together(store: Store) -> None:
    body = bytes(range(256)) * 10
    [[recorded]] = record(store, arrival("evt_1", body=body, at_us=NOW_US))
    assert not recorded.duplicate
    [(source, type_, external_id, item, received)] = ask(
        store, "SELECT source, type, external_id, item, received_at FROM event WHERE id = :id", id=recorded.id
    )
    assert (source, type_, external_id, item, received) == ("stripe", "a.b", "evt_1", None, NOW_US)
    with store.reading() as session:
        assert reads.delivery(session, recorded.id) == (b"host: localhost", body)
    assert ask(store, "SELECT event_id, state, handler FROM run") == [(recorded.id, "waiting", None)]


@pytest.mark.parametrize("external_id", ["x" * 255, "é€\U0001f600", "'; DROP TABLE event; --", "%", "a:b:c", "\\"])
def test_any_printable_id_is_an_id(store: Store, external_id: str) -> None:
    [[first]], [[second]] = record(store, arrival(external_id)), record(store, arrival(external_id))
    assert (first.duplicate, second.duplicate, second.id) == (False, True, first.id)
    with store.reading() as session:
        assert reads.find_event(session, f"stripe:{external_id}") == first.id
        assert reads.find_event(session, ids.text("ev", first.id)) == first.id


def test_a_second_copy_is_a_duplicate_also_in_the_same_commit(store: Store) -> None:
    outcomes = record(store, *[arrival("evt_1") for _ in range(50)])
    ids = {recorded.id for [recorded] in outcomes}
    assert Counter(recorded.duplicate for [recorded] in outcomes) == {False: 1, True: 49}
    assert len(ids) == 1
    assert ask(store, "SELECT count(*) FROM event") == ask(store, "SELECT count(*) FROM delivery") == [(1,)]
    assert states(store) == {"unrouted": 1}


def test_an_id_belongs_to_its_source(store: Store) -> None:
    outcomes = record(store, arrival("evt_1", source="a"), arrival("evt_1", source="b"))
    assert [recorded.duplicate for [recorded] in outcomes] == [False, False]


def test_new_and_known_ones_share_a_commit_each_with_its_own_answer(store: Store) -> None:
    before = {
        recorded.id: number
        for number, [recorded] in enumerate(record(store, *[arrival(f"evt_{number}") for number in range(0, 600, 2)]))
    }
    outcomes = record(store, *[arrival(f"evt_{number}") for number in range(600)])
    assert [recorded.duplicate for [recorded] in outcomes] == [number % 2 == 0 for number in range(600)]
    assert [before[recorded.id] for [recorded] in outcomes[::2]] == list(range(300))


def test_other_bytes_under_the_same_id_leave_the_first_and_a_line_in_its_history(store: Store) -> None:
    [[first]] = record(store, arrival("evt_1", body=b"first"))
    [[same], [other]] = record(store, arrival("evt_1", body=b"first"), arrival("evt_1", body=b"other"))
    assert (same.differs, other.differs) == (False, True)
    with store.reading() as session:
        assert reads.delivery(session, first.id)[1] == b"first"
    [(event_id, kind, text)] = ask(store, "SELECT event_id, kind, text FROM history")
    assert (event_id, kind) == (first.id, "differing")
    assert arrival("evt_1", body=b"other").sha256.hex() in text


def test_an_id_of_the_vendor_s_is_a_duplicate_for_ever(store: Store) -> None:
    [[first]] = record(store, arrival("evt_1", at_us=NOW_US))
    [[later]] = record(store, arrival("evt_1", at_us=NOW_US + 10_000 * HOUR_US))
    assert (later.duplicate, later.id) == (True, first.id)


@pytest.mark.parametrize(
    ("after_us", "duplicate"), [(-HOUR_US, True), (0, True), (HOUR_US, True), (HOUR_US + 1, False)]
)
def test_an_id_made_of_the_bytes_holds_within_its_window(store: Store, after_us: int, duplicate: bool) -> None:
    [[first]] = record(store, arrival("sha256:00", window_us=HOUR_US, at_us=NOW_US))
    [[second]] = record(store, arrival("sha256:00", window_us=HOUR_US, at_us=NOW_US + after_us))
    assert second.duplicate is duplicate
    with store.reading() as session:
        assert reads.find_event(session, "stripe:sha256:00") == second.id  # of several the newest
    assert (first.id == second.id) is duplicate


def test_after_its_window_an_id_is_new_once_and_then_known_again(store: Store) -> None:
    record(store, arrival("sha256:00", window_us=HOUR_US, at_us=NOW_US))
    late = [arrival("sha256:00", window_us=HOUR_US, at_us=NOW_US + 2 * HOUR_US) for _ in range(10)]
    outcomes = record(store, *late)
    assert Counter(recorded.duplicate for [recorded] in outcomes) == {False: 1, True: 9}
    assert ask(store, "SELECT count(*), count(digest) FROM event") == [(2, 1)]
    assert states(store) == {"unrouted": 2}


def test_a_batch_is_one_delivery_of_many_events(store: Store) -> None:
    [events] = record(store, arrival("b1", "b2", "b1", "b3"))
    assert [event.duplicate for event in events] == [False, False, True, False]
    assert events[2].id == events[0].id
    assert ask(store, "SELECT external_id, item FROM event ORDER BY item") == [("b1", 0), ("b2", 1), ("b3", 3)]
    assert ask(store, "SELECT count(*) FROM delivery") == [(1,)]
    with store.reading() as session:
        assert {reads.delivery(session, event.id)[1] for event in events} == {b"{}"}


def test_a_batch_that_begins_with_a_known_event_keeps_its_own_bytes_for_the_others(store: Store) -> None:
    record(store, arrival("b1", body=b"first"))
    [events] = record(store, arrival("b1", "b2", body=b"second"))
    assert [event.duplicate for event in events] == [True, False]
    with store.reading() as session:
        assert [reads.delivery(session, event.id)[1] for event in events] == [b"first", b"second"]


def test_a_batch_without_events_stores_nothing(store: Store) -> None:
    assert record(store, arrival(), arrival("evt_1"))[0] == []
    assert ask(store, "SELECT count(*) FROM delivery") == [(1,)]


def test_a_batch_may_be_larger_than_any_statement(store: Store) -> None:
    names = [f"b{number}" for number in range(33_000)]
    assert not any(event.duplicate for event in record(store, arrival(*names))[0])
    again = record(store, arrival(*names, "one more"))[0]
    assert [event.duplicate for event in again] == [True] * 33_000 + [False]


def test_two_processes_never_both_take_the_first_copy(stores: list[Store]) -> None:
    found: list[list[bool]] = [[], []]

    def receive(number: int) -> None:
        for part in range(20):
            names = [f"evt_{part}_{index}" for index in range(25)]
            order = names if number else reversed(names)  # the other way round, where that could deadlock
            outcomes = insist(functools.partial(record, stores[number], *[arrival(name) for name in order]))
            found[number] += [recorded.duplicate for [recorded] in outcomes]

    threads = [threading.Thread(target=receive, args=[number]) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(found[0] + found[1]) == {False: 500, True: 500}
    assert ask(stores[0], "SELECT count(*), count(DISTINCT external_id) FROM event") == [(500, 500)]
    assert states(stores[1]) == {"unrouted": 500}
