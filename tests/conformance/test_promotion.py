"""Every store: a kept rejection becomes the events that it would have been, once."""

import threading
from collections.abc import Sequence

import pytest

from receiver.store import Store, Transaction, Unavailable, ids, reads
from receiver.store.activity import Refusal
from receiver.store.intake import Arrival, Recorded
from receiver.store.promotion import promote
from receiver.store.times import from_us
from tests.conformance.bench import S_US, ask, insist, record, states
from tests.support.stores import HOUR_US, arrival

NOW_US = 1_800_000_000 * S_US
KEY = "env:A (0a)"


def keep(store: Store, body: bytes = b"{}") -> int:
    """A kept rejection's number."""
    store.activity.refused(Refusal("stripe", NOW_US, "signature_mismatch", "", None, len(body), b"", body))
    store.flush()
    return int(ask(store, "SELECT max(id) FROM rejection")[0][0])


def promoted(store: Store, rejection: int, arrival: Arrival) -> Sequence[Recorded] | None:
    return store.write_from_thread(lambda tx: promote(tx, rejection, arrival, KEY))


def test_its_events_are_stored_as_of_their_receipt_with_a_run_and_a_line_of_history(store: Store) -> None:
    rejection = keep(store)
    [event] = promoted(store, rejection, arrival("evt_1", body=b"exact", at_us=NOW_US)) or []
    assert not event.duplicate
    with store.reading() as session:
        row = reads.event(session, event.id)
        assert (row.external_id, row.received_at, row.status) == ("evt_1", from_us(NOW_US), "pending")
        assert reads.delivery(session, event.id) == (b"host: localhost", b"exact")
        assert reads.rejections(session, "stripe", None) == []
        [(_, line)] = reads.history(session, event.id)
        source = reads.sources(session)["stripe"]
    assert line.kind == "promoted"
    assert ids.text("rej", rejection) in (line.text or "")
    assert KEY in (line.text or "")
    assert states(store) == {"unrouted": 1}
    assert (source.accepted, source.refused, source.refused_since_accepted) == (1, 1, 0)


def test_its_key_has_verified_it_then_and_no_last_time_goes_back(store: Store) -> None:
    for at_us in (NOW_US, NOW_US - S_US):
        promoted(store, keep(store), arrival(f"evt_{at_us}", at_us=at_us))
        with store.reading() as session:
            source, used = reads.sources(session)["stripe"], reads.usage(session)["stripe"][KEY]
        assert (source.key, source.key_at, source.last_accepted_at) == (KEY, from_us(NOW_US), from_us(NOW_US))
        assert used.last_verified_at == from_us(NOW_US)
    assert (source.accepted, used.verified) == (2, 2)


def test_a_second_time_nothing_is_done(store: Store) -> None:
    rejection = keep(store)
    assert promoted(store, rejection, arrival("evt_1"))
    assert promoted(store, rejection, arrival("evt_1")) is None
    assert ask(store, "SELECT count(*) FROM event") == [(1,)]
    assert ask(store, "SELECT duplicates FROM event") == [(0,)]


def test_what_was_stored_meanwhile_is_a_duplicate_and_the_rejection_goes(store: Store) -> None:
    [[first]] = record(store, arrival("evt_1"))
    [event] = promoted(store, keep(store), arrival("evt_1", at_us=NOW_US)) or []
    assert (event.id, event.duplicate) == (first.id, True)
    assert ask(store, "SELECT duplicates FROM event") == [(1,)]
    assert ask(store, "SELECT count(*) FROM rejection") == [(0,)]
    assert ask(store, "SELECT count(*) FROM history") == [(0,)]


def test_of_a_batch_only_the_new_items_become_events(store: Store) -> None:
    record(store, arrival("evt_1"))
    events = promoted(store, keep(store), arrival("evt_1", "evt_2", "evt_3", body=b"[]")) or []
    assert [event.duplicate for event in events] == [True, False, False]
    assert ask(store, "SELECT external_id FROM event ORDER BY item, external_id") in (
        [("evt_1",), ("evt_2",), ("evt_3",)],
        [("evt_2",), ("evt_3",), ("evt_1",)],  # where NULL comes last
    )


@pytest.mark.parametrize(("later_us", "duplicate"), [(HOUR_US, True), (HOUR_US + 1, False)])
def test_without_an_id_an_equal_body_that_came_later_counts_within_the_window(
    store: Store, later_us: int, duplicate: bool
) -> None:
    [[newer]] = record(store, arrival("sha256:a", at_us=NOW_US + later_us, window_us=HOUR_US))
    [event] = promoted(store, keep(store), arrival("sha256:a", at_us=NOW_US, window_us=HOUR_US)) or []
    assert event.duplicate is duplicate
    with store.reading() as session:
        assert reads.find_event(session, "stripe:sha256:a") == newer.id
    [[again]] = record(store, arrival("sha256:a", at_us=NOW_US + later_us, window_us=HOUR_US))
    assert (again.id, again.duplicate) == (newer.id, True)


def test_a_transaction_that_fails_leaves_the_rejection_and_no_event(store: Store) -> None:
    rejection = keep(store)

    def fail(tx: Transaction) -> None:
        promote(tx, rejection, arrival("evt_1"), KEY)
        raise LookupError

    with pytest.raises(LookupError):
        store.write_from_thread(fail)
    assert ask(store, "SELECT count(*) FROM event") == [(0,)]
    assert promoted(store, rejection, arrival("evt_1"))


def test_of_two_processes_one_promotes(stores: list[Store]) -> None:
    rejections = [keep(stores[0], b"%d" % number) for number in range(30)]
    outcomes: list[Sequence[Recorded] | None] = []

    def all_of_them(store: Store) -> None:
        for number, rejection in enumerate(rejections):
            outcomes.append(insist(lambda: promoted(store, rejection, arrival(f"evt_{number}"))))  # noqa: B023  at once

    threads = [threading.Thread(target=all_of_them, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(outcome is None for outcome in outcomes) == len(rejections)
    assert ask(stores[0], "SELECT count(*), sum(duplicates) FROM event") == [(len(rejections), 0)]


def test_a_closed_store_is_told(store: Store) -> None:
    rejection = keep(store)
    store.close()
    with pytest.raises(Unavailable):
        promoted(store, rejection, arrival("evt_1"))
