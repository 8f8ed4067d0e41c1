"""Every store: what a replay does with a run in each state, and with an event that has none for it."""

import pytest

from receiver.store import Store, reads
from receiver.store.ids import number
from receiver.store.replays import Replay, Replayed, replay
from receiver.store.runs import Verdict
from tests.support.stored import SUCCEEDED, Stored, offer

REFUSED = Verdict("parked", "refused", "422")
AMBIGUOUS = Verdict("parked", "ambiguous", "no answer")
FAILED = Verdict("waiting", "upstream", "503", wait_s=60.0, failure=True)


@pytest.fixture
def shop(store: Store) -> Stored:
    return Stored(store)


def replayed(shop: Stored, event_id: str, wanted: Replay = Replay()) -> list[Replayed]:  # noqa: B008
    event = number("ev", event_id)
    assert event is not None
    return shop.store.write_from_thread(lambda tx: replay(tx, event, wanted))


def runs(shop: Stored, event_id: str) -> list[reads.RunRow]:
    with shop.store.reading() as session:
        return reads.runs(session, number("ev", event_id) or 0)


def history(shop: Stored, event_id: str) -> list[tuple[str | None, str, str | None]]:
    with shop.store.reading() as session:
        told = reads.history(session, number("ev", event_id) or 0)
    return [(handler, line.kind, line.text) for handler, line in told if line.kind == "replayed"]


@pytest.mark.parametrize(
    ("end", "action", "action_if_effects_may_repeat"),
    [
        (SUCCEEDED, "finished", "repeated"),
        (Verdict("dropped"), "finished", "repeated"),
        (FAILED, "at_work", "at_work"),
        (REFUSED, "again", "repeated"),
        (AMBIGUOUS, "ambiguous", "repeated"),
    ],
)
@pytest.mark.parametrize("repeat", [False, True])
def test_the_state_of_a_run_says_what_is_done_with_it(
    shop: Stored, end: Verdict, action: str, action_if_effects_may_repeat: str, repeat: bool
) -> None:
    event = shop.arrive()
    shop.work(a=end)
    [before] = runs(shop, event)
    action = action_if_effects_may_repeat if repeat else action
    [done] = replayed(shop, event, Replay(repeat=repeat))
    [after] = runs(shop, event)
    assert (done.action, done.handler, done.state) == (action, "a", before.state)
    if action in ("again", "repeated"):
        assert (after.state, after.code, after.failures, after.generation) == ("waiting", None, 0, int(repeat))
        assert shop.claim("a")
    else:
        assert after == before
        assert history(shop, event) == []


def test_a_run_at_work_is_untouched(shop: Stored) -> None:
    event = shop.arrive()
    assert shop.claim("a")
    assert [done.action for done in replayed(shop, event, Replay(repeat=True))] == ["at_work"]
    assert runs(shop, event)[0].generation == 0


def test_a_parked_run_begins_with_its_whole_budget_of_failures(shop: Stored) -> None:
    event = shop.arrive()
    shop.work(a=Verdict("parked", "failures_exhausted", "failed 12 times", failure=True))
    assert runs(shop, event)[0].failures == 1
    replayed(shop, event)
    assert runs(shop, event)[0].failures == 0


def test_only_the_runs_of_the_handler_are_replayed(shop: Stored) -> None:
    event = shop.arrive()
    shop.work(a=REFUSED, b=REFUSED)
    assert [done.handler for done in replayed(shop, event, Replay("b"))] == ["b"]
    assert shop.states(event) == {"a": ("parked", "refused"), "b": ("waiting", None)}


def test_an_unhandled_event_is_routed_again_and_once(shop: Stored) -> None:
    event = shop.arrive()
    shop.claim()
    assert shop.states(event) == {}
    assert replayed(shop, event) == [Replayed("routed")]
    assert replayed(shop, event) == [Replayed("at_work")]
    shop.work(a=SUCCEEDED)
    assert shop.states(event) == {"a": ("succeeded", None)}


def test_an_event_that_is_not_routed_yet_is_left_to_its_worker(shop: Stored) -> None:
    event = shop.arrive()
    assert replayed(shop, event, Replay(reason="now")) == [Replayed("at_work")]
    assert history(shop, event) == []


def test_a_handler_added_later_takes_an_older_event_it_asks_for(shop: Stored) -> None:
    event = shop.arrive(type="order.paid")
    shop.work(a=SUCCEEDED)
    shop.worker(offer("b", "shop", "order.*"), offer("c", "shop", "invoice.*"), offer("d", "other", "*"))
    assert [done.action for done in replayed(shop, event, Replay("b", reason="new"))] == ["added"]
    assert [done.action for done in replayed(shop, event, Replay("b"))] == ["at_work"]
    for other in ("c", "d", "nobody"):
        assert replayed(shop, event, Replay(other)) == [Replayed("not_taken", handler=other)]
    assert shop.states(event) == {"a": ("succeeded", None), "b": ("waiting", None)}
    assert history(shop, event) == [("b", "replayed", "new")]


def test_an_unhandled_event_is_given_to_a_handler_that_is_named(shop: Stored) -> None:
    event = shop.arrive()
    shop.claim()
    shop.worker(offer("b"))
    assert [done.action for done in replayed(shop, event, Replay("b"))] == ["added"]


def test_what_ran_under_an_old_name_gets_no_twin_under_the_new_one(shop: Stored) -> None:
    event = shop.arrive()
    shop.work(old=SUCCEEDED, stranger=SUCCEEDED)
    shop.worker(offer("new"), offer("old", "", ""), offer("stranger", line=9))
    assert [(done.action, done.handler) for done in replayed(shop, event, Replay("new"))] == [("finished", "old")]
    assert shop.states(event).keys() == {"old", "stranger"}


def test_the_story_tells_of_the_replay_and_its_reason(shop: Stored) -> None:
    event = shop.arrive()
    shop.work(a=REFUSED)
    replayed(shop, event, Replay(repeat=True, reason="the ledger was restored"))
    assert history(shop, event) == [("a", "replayed", "effects may repeat; the ledger was restored")]
