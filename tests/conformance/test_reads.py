"""Every store: what operators read. One status however it is asked for, lists that stay fast, the newest of a name."""

import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import combinations_with_replacement

import pytest
from sqlalchemy import event as sqlalchemy_event

from receiver.store import Store, reads
from receiver.store.reads import Filters
from receiver.store.runs import Verdict
from tests.support import ledger
from tests.support.stored import SUCCEEDED, Stored, offer

REFUSED = Verdict("parked", "refused", "422")
FAILED = Verdict("waiting", "upstream", "503", wait_s=60.0, failure=True)
TIMEOUT = Verdict("waiting", "timeout", "300 s", wait_s=60.0, failure=True)
ASKED = Verdict("waiting", "retry_asked", "later", wait_s=90.0)


@pytest.fixture
def shop(store: Store) -> Stored:
    return Stored(store)


def listed(shop: Stored, limit: int | None = 50, **filters: object) -> list[str]:
    with shop.store.reading() as session:
        return [row.id for row in reads.events(session, Filters(**filters), limit)]  # type: ignore[arg-type]


def row_of(shop: Stored, event_id: str) -> reads.EventRow:
    with shop.store.reading() as session:
        found = reads.find_event(session, event_id)
        assert found is not None
        return reads.event(session, found)


# ── status ──


def test_each_status_lists_just_the_events_whose_row_says_it(shop: Stored) -> None:
    states = ("waiting", "running", "succeeded", "dropped", "parked")
    unhandled, unrouted = shop.arrive("none"), shop.arrive("unrouted")
    shop.sql("DELETE FROM run WHERE event_id = (SELECT min(id) FROM event)")
    events = [unhandled, unrouted]
    for number, pair in enumerate(combinations_with_replacement(states, 2)):
        events.append(shop.arrive(f"evt_{number}"))
        shop.sql("INSERT INTO run (id, event_id, handler, state) SELECT id + 1, id, 'b', :b FROM event"
                 " WHERE id = (SELECT max(id) FROM event)", b=pair[1])  # fmt: skip
        shop.sql("UPDATE run SET handler = 'a', state = :a WHERE id = (SELECT max(id) FROM event)", a=pair[0])
    of_status = {status: listed(shop, status=status) for status in reads.STATUS}
    assert sorted(event for found in of_status.values() for event in found) == sorted(events)
    for status, found in of_status.items():
        assert {row_of(shop, event).status for event in found} == {status}
    assert of_status["unhandled"] == [unhandled]
    assert unrouted in of_status["pending"]


def test_an_event_that_is_not_routed_yet_is_pending_and_has_neither_runs_nor_a_due_time(shop: Stored) -> None:
    event = shop.arrive()
    row = row_of(shop, event)
    assert (row.status, row.attempts, row.code, row.due_at) == ("pending", 0, None, None)
    with shop.store.reading() as session:
        assert reads.runs(session, reads.find_event(session, event) or 0) == []


def test_the_code_is_that_of_the_oldest_parked_run_else_of_the_last_failure(shop: Stored) -> None:
    event = shop.arrive()
    shop.work(a=FAILED, b=TIMEOUT, c=SUCCEEDED, d=ASKED)
    for handler, at in (("a", 2), ("b", 1), ("d", 3)):
        shop.sql("UPDATE run SET finished_at = :at WHERE handler = :h", at=at, h=handler)
    assert (row_of(shop, event).code, row_of(shop, event).attempts) == ("upstream", 4)
    shop.sql("UPDATE run SET state = 'parked', code = 'asked' WHERE handler = 'b'")
    assert row_of(shop, event).code == "asked"
    shop.sql("UPDATE run SET state = 'parked', code = 'refused' WHERE handler = 'a'")
    assert row_of(shop, event).code == "refused"


def test_due_is_the_earliest_of_the_waiting_runs(shop: Stored) -> None:
    event = shop.arrive()
    shop.work(a=ASKED, b=FAILED, c=SUCCEEDED)
    due_at = row_of(shop, event).due_at
    assert due_at is not None
    assert timedelta(seconds=50) < due_at - datetime.now(UTC) < timedelta(seconds=61)


# ── lists ──


def test_a_long_list_is_newest_first_whole_and_takes_two_statements_a_page(shop: Stored) -> None:
    events = [shop.arrive(f"evt_{number}") for number in range(reads.PAGE + 20)]
    with shop.store.reading() as session:
        statements: list[str] = []
        sqlalchemy_event.listen(session.get_bind(), "before_cursor_execute", lambda *said: statements.append(said[2]))
        assert [row.id for row in reads.events(session, Filters(), None)] == events[::-1]
        assert len(statements) == 4
    assert listed(shop, reads.PAGE + 1) == events[::-1][: reads.PAGE + 1]
    assert listed(shop, 1) == events[-1:]


def test_handler_code_and_failing_are_about_one_run(shop: Stored) -> None:
    event = shop.arrive()
    shop.work(a=SUCCEEDED, b=REFUSED)
    assert listed(shop, handler="b", code="refused", failing=True) == [event]
    assert listed(shop, handler="b", code="refused") == [event]
    assert listed(shop, handler="a", failing=True) == []
    assert listed(shop, handler="a", code="refused") == []


def test_what_has_failed_and_will_be_tried_again_is_failing_also_during_the_attempt(shop: Stored) -> None:
    event = shop.arrive()
    shop.work(a=FAILED)
    assert listed(shop, failing=True) == [event]
    shop.sql("UPDATE run SET due_at = 0")
    assert shop.claim("a")
    assert listed(shop, failing=True) == [event]


def test_what_only_waits_is_not_failing(shop: Stored) -> None:
    shop.arrive()
    shop.work(a=ASKED)
    assert listed(shop, failing=True) == []


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("order.paid", 1), ("order.*", 2), ("*", 4), ("ORDER.*", 0), ("order.pai", 0), ("order?paid", 0), ("*.paid", 2),
     ("o*p*d", 1), ("100%*", 1), ("%", 0)],
)  # fmt: skip
def test_a_type_is_compared_as_it_stands_and_only_the_star_is_any_characters(
    shop: Stored, pattern: str, found: int
) -> None:
    for number, type_ in enumerate(("order.paid", "order.open", "invoice.paid", "100%_off")):
        shop.arrive(f"evt_{number}", type_)
    assert len(listed(shop, type=pattern)) == found


def test_since_and_until_are_of_the_time_it_was_received(shop: Stored) -> None:
    now = datetime.now(UTC)
    old, young = shop.arrive("old", ago_s=60), shop.arrive("young", ago_s=5)
    assert listed(shop, since=now - timedelta(seconds=30)) == [young]
    assert listed(shop, until=now - timedelta(seconds=30)) == [old]
    assert listed(shop, since=now - timedelta(seconds=90), until=now) == [young, old]
    assert listed(shop, source="other") == []


@pytest.mark.parametrize("year", [1, 9999])
def test_times_that_no_clock_ever_showed_are_times_all_the_same(shop: Stored, year: int) -> None:
    event = shop.arrive()
    then = datetime(year, 1, 1, tzinfo=UTC)
    assert listed(shop, since=then) == ([event] if year == 1 else [])
    assert listed(shop, until=then) == ([] if year == 1 else [event])


# ── one event ──


def test_an_event_is_found_by_its_id_and_by_source_and_external_id(shop: Stored) -> None:
    event = shop.arrive("a:b:1")
    assert row_of(shop, "shop:a:b:1").id == event == row_of(shop, event).id
    with shop.store.reading() as session:
        for name in ("shop:a:b", "other:a:b:1", "ev_0000000000001", "a:b:1", "", "ev_x"):
            assert reads.find_event(session, name) is None


def test_of_several_of_one_name_the_newest_is_meant(shop: Stored) -> None:
    first = shop.arrive("sha256:00", ago_s=2 * 86400, vendor_id=False)
    second = shop.arrive("sha256:00", vendor_id=False)
    assert first != second
    assert row_of(shop, "shop:sha256:00").id == second


def test_steps_and_history_tell_of_all_runs_in_order(shop: Stored) -> None:
    event = shop.arrive()
    [run] = shop.claim("a")
    step = shop.store.write_from_thread(lambda tx: ledger.intend(tx, run, "POST ledger /x", 0, "key-1", b"POST /x\n\n"))
    shop.store.write_from_thread(lambda tx: ledger.conclude(tx, step, "refused", 422, b"{}", b"no"))
    shop.finish(run, REFUSED)
    shop.arrive("evt_1", body=b'{"other": 1}')
    with shop.store.reading() as session:
        number = reads.find_event(session, event) or 0
        [told] = reads.steps(session, number)
        lines = [(handler, line.kind, line.code, line.attempt) for handler, line in reads.history(session, number)]
    assert (told.handler, told.name, told.key, told.state, told.status) == (
        "a",
        "POST ledger /x",
        "key-1",
        "refused",
        422,
    )
    assert lines == [("a", "parked", "refused", 1), (None, "differing", None, None)]
    assert row_of(shop, event).duplicates == 1


# ── all of them ──


def test_failures_are_grouped_by_handler_and_code_since_the_first_one(shop: Stored) -> None:
    for number in range(3):
        shop.arrive(f"evt_{number}")
    shop.work(a=FAILED, b=REFUSED)
    shop.sql("UPDATE history SET happened_at = happened_at - 60000000 WHERE kind = 'failed'")
    shop.sql("UPDATE run SET due_at = 0 WHERE handler = 'a'")
    shop.work(a=FAILED)
    with shop.store.reading() as session:
        parked, waiting = sorted(reads.failures(session), key=lambda group: group.state)
    assert (parked.handler, parked.code, parked.state, parked.count) == ("b", "refused", "parked", 3)
    assert parked.next_at is None
    assert (waiting.handler, waiting.code, waiting.state, waiting.count) == ("a", "upstream", "waiting", 3)
    assert waiting.first_at is not None
    assert waiting.newest_at is not None
    assert waiting.next_at is not None
    assert timedelta(seconds=59) < waiting.newest_at - waiting.first_at < timedelta(seconds=75)
    assert waiting.next_at > waiting.newest_at


def test_unfinished_runs_are_counted_by_state(shop: Stored) -> None:
    for end in (SUCCEEDED, REFUSED, FAILED):
        shop.arrive(f"evt_{end.state}")
        shop.work(a=end)
    shop.arrive("running")
    assert shop.claim("a")
    shop.arrive("unrouted")
    with shop.store.reading() as session:
        assert reads.unfinished(session) == {"unrouted": 1, "waiting": 1, "running": 1, "parked": 1}


def test_unhandled_events_are_counted_from_a_time_on(shop: Stored) -> None:
    shop.arrive("old", ago_s=7200)
    shop.arrive("young")
    shop.claim()
    with shop.store.reading() as session:
        assert reads.unhandled(session, datetime.now(UTC) - timedelta(hours=1)) == 1


def test_only_processes_that_live_are_shown_with_what_they_offer(shop: Stored) -> None:
    shop.receiver("http://127.0.0.1:1")
    live, stopped, dead = (shop.worker(offer(name)) for name in ("live", "stopped", "dead"))
    shop.sql("UPDATE process SET stopped_at = seen_at WHERE id = :id", id=stopped)
    shop.sql("UPDATE process SET seen_at = seen_at - 60000000 WHERE id = :id", id=dead)
    with shop.store.reading() as session:
        assert [process.role for process in reads.processes(session)] == ["receiver", "worker"]
        assert reads.processes(session)[1].id == live
        assert [one.handler for one in reads.offers(session)] == ["live"]


def test_a_process_that_was_killed_is_not_shown_as_alive(shop: Stored) -> None:
    shop.worker(offer("live"))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with shop.store.reading() as session:
        assert len(reads.processes(session)) == 1
    shop.sql("UPDATE process SET pid = :pid", pid=ended.pid)
    with shop.store.reading() as session:
        assert reads.processes(session) == []


def test_the_newest_time_in_the_store_shows_a_clock_that_went_back(shop: Stored) -> None:
    with shop.store.reading() as session:
        assert reads.newest(session) is None
    shop.arrive(ago_s=-3600)
    with shop.store.reading() as session:
        newest = reads.newest(session)
    assert newest is not None
    assert newest > datetime.now(UTC) + timedelta(minutes=59)


def test_rejections_tell_both_clocks_and_what_was_kept(shop: Stored) -> None:
    shop.refuse("signature_missing")
    shop.refuse("timestamp_stale", body=b"kept", claimed_ago_s=400.5, size_bytes=70000)
    shop.refuse(source="other")
    with shop.store.reading() as session:
        newest, oldest = reads.rejections(session, "shop", 50)
        assert len(reads.rejections(session, None, 2)) == 2
        assert [row.code for row in reads.rejections(session, None, 50, "timestamp_stale")] == ["timestamp_stale"]
        assert reads.rejection(session, newest.id) == (newest, b"host: localhost", b"kept")
        assert reads.rejection(session, "rej_0000000000001") is None
        assert reads.rejection(session, "nonsense") is None
    assert (newest.difference_s, newest.size_bytes, newest.kept_bytes) == (400.5, 70000, 4)
    assert (oldest.claimed_at, oldest.difference_s) == (None, None)


def test_an_event_as_a_row_has_what_the_contract_names(shop: Stored) -> None:
    contract = {"id", "external_id", "source", "type", "status", "received_at", "sha256", "attempts", "code", "due_at"}
    assert contract <= asdict(row_of(shop, shop.arrive())).keys()
