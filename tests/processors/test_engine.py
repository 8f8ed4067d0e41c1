"""The engine on a real store: everything due is worked on, by handlers that exist, as often as there are slots."""

import asyncio
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processors import Context, Drop, Event, Park, Retry, SyncContext, on
from processors.outbound.keys import idempotency_key
from receiver.store import processes, runs
from receiver.store.ids import text
from receiver.store.processes import HandlerOffer
from receiver.store.replays import Replay, replay
from tests.processors.bench import FAST, Bench, a_bench, settings_of
from tests.support.rows import count, rows
from tests.support.until import until
from tests.support.upstream import Call, upstream


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with a_bench(tmp_path) as bench:
        yield bench


class Crowd:
    """Who is at work: how many at once at most, and how often on each event."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: Counter[str] = Counter()
        self.most = 0
        self.seen: Counter[str] = Counter()

    def enter(self, event_id: str) -> None:
        with self._lock:
            self._now[event_id] += 1
            self.seen[event_id] += 1
            assert self._now[event_id] == 1, "one run, twice at once"
            self.most = max(self.most, self._now.total())

    def leave(self, event_id: str) -> None:
        with self._lock:
            self._now[event_id] -= 1


def test_what_waited_before_the_engine_started_is_done(bench: Bench) -> None:
    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None: ...

    bench.put_many(3)
    with bench.engine(handler):
        bench.until_settled()
    assert bench.runs("state, attempts, code, token") == [("succeeded", 1, None, None)] * 3


def test_many_more_events_than_slots_are_each_done_once_and_never_more_at_once_than_slots(bench: Bench) -> None:
    crowd = Crowd()

    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None:
        crowd.enter(event.id)
        await ctx.step("work", lambda: None)
        crowd.leave(event.id)

    @on("shop", "*")
    def plainly(event: Event[Any], ctx: SyncContext) -> None:
        ctx.step("work", lambda: None)

    with bench.engine(handler, plainly):
        ids = bench.put_many(300)
        bench.until_settled()
    assert bench.runs() == ["succeeded"] * 600
    assert (len(crowd.seen), set(crowd.seen.values())) == (len(ids), {1})
    assert crowd.most <= 4


def test_the_commit_that_writes_down_an_end_claims_the_next_run(tmp_path: Path) -> None:
    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None: ...

    with a_bench(tmp_path, "[worker]\nconcurrency = 1") as bench:
        bench.put_many(5)
        with bench.engine(handler):
            bench.until_settled()
        at = bench.runs("started_at, finished_at")
    assert [started for started, _ in at[1:]] == [finished for _, finished in at[:-1]]


def test_a_plain_handler_that_blocks_does_not_hold_up_the_others(bench: Bench) -> None:
    release = threading.Event()

    @on("shop", "slow")
    def slow(event: Event[Any], ctx: SyncContext) -> None:
        release.wait(20)

    @on("shop", "quick")
    async def quick(event: Event[Any], ctx: Context) -> None: ...

    with bench.engine(slow, quick):
        bench.put("slow")
        bench.put_many(20, "quick")
        until(lambda: bench.runs(where="handler = 'quick'") == ["succeeded"] * 20)
        assert bench.runs(where="handler = 'slow'") == ["running"]
        release.set()
        bench.until_settled()


def test_each_end_is_written_down(bench: Bench) -> None:
    ends = {
        "drop": Drop("old"),
        "park": Park("look"),
        "retry": Retry(after=600),
        "fail": ValueError("no"),
        "fine": None,
    }

    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None:
        if (end := ends[event.type]) is not None:
            raise end

    with bench.engine(handler, settings=settings_of(bench.root, "[worker]\nretry_first_s = 600")):
        for type_ in ends:
            bench.put(type_)
        until(lambda: all(bench.runs("finished_at")) and len(bench.runs()) == 5)
    assert bench.runs("state, code, reason, failures, due_at IS NOT NULL") == [
        ("dropped", None, "old", 0, 0),
        ("parked", "asked", "look", 0, 0),
        ("waiting", None, "the handler asked to be called again", 0, 1),
        ("waiting", "exception", f"ValueError: no at {__file__}:{handler.__code__.co_firstlineno + 3}", 1, 1),
        ("succeeded", None, None, 0, 0),
    ]
    told = rows(bench.file, "SELECT kind, code, attempt FROM history ORDER BY id")
    assert told == [
        ("dropped", None, 1),
        ("parked", "asked", 1),
        ("waiting", "retry_asked", 1),
        ("failed", "exception", 1),
    ]


def test_failures_are_tried_again_until_the_budget_is_used_up(bench: Bench) -> None:
    @on("shop", "*")
    async def fail(event: Event[Any], ctx: Context) -> None:
        raise ValueError("no")

    settings = settings_of(bench.root, FAST + "max_failures = 3\n")
    with bench.engine(fail, settings=settings) as engine:
        bench.put()

        def ended() -> bool:
            engine.look()
            return bench.settled()

        until(ended)
    assert bench.runs("state, code, attempts, failures") == [("parked", "failures_exhausted", 3, 3)]


# ── routing ──


def test_an_event_goes_to_each_handler_that_asks_for_it(bench: Bench) -> None:
    @on("shop", "order.*")
    async def orders(event: Event[Any], ctx: Context) -> None: ...

    @on("*", "order.paid")
    async def payments(event: Event[Any], ctx: Context) -> None: ...

    @on("other")
    async def others(event: Event[Any], ctx: Context) -> None:
        raise AssertionError

    with bench.engine(orders, payments, others):
        bench.put("order.paid")
        bench.put("order.sent")
        bench.put("unheard.of")
        bench.until_settled()
    assert bench.runs() == ["succeeded"] * 3
    assert sorted(bench.runs("handler")) == ["orders", "orders", "payments"]
    assert count(bench.file, "event") == 3


def test_an_event_that_nobody_asks_for_has_no_run_until_it_is_replayed(bench: Bench) -> None:
    @on("shop", "known")
    async def handler(event: Event[Any], ctx: Context) -> None: ...

    with bench.engine(handler):
        event_id = bench.put("unknown")
        bench.until_settled()
    assert count(bench.file, "run") == 0

    @on("shop", "unknown")
    async def added(event: Event[Any], ctx: Context) -> None: ...

    with bench.engine(added) as engine:
        bench.write(lambda tx: replay(tx, event_id, Replay()))
        engine.look()
        until(lambda: bench.runs("handler, state") == [("added", "succeeded")])


def offer(bench: Bench, handler: str, source: str = "shop", pattern: str = "*") -> int:
    """Another worker, which offers a handler and does not work yet."""
    offers = [HandlerOffer(handler, source, pattern, "v1", "elsewhere.py", 1)]
    return bench.write(lambda tx: processes.register(tx, "worker", offers=offers))


def test_any_worker_routes_to_handlers_that_only_another_has_and_leaves_their_runs_to_it(bench: Bench) -> None:
    @on("shop", "*")
    async def mine(event: Event[Any], ctx: Context) -> None: ...

    @on("shop", "*")
    async def theirs(event: Event[Any], ctx: Context) -> None: ...

    with bench.engine(mine):
        bench.put()
        bench.until_settled()
        offer(bench, "theirs")  # from now on its handler must not miss what arrives
        bench.put()
        until(lambda: sorted(bench.runs("handler, state"))[1:] == [("mine", "succeeded"), ("theirs", "waiting")])
        with bench.engine(theirs):
            bench.until_settled()
    assert bench.runs("attempts") == [1, 1, 1]


def test_a_worker_that_has_stopped_is_no_longer_routed_to(bench: Bench) -> None:
    @on("shop", "*")
    async def mine(event: Event[Any], ctx: Context) -> None: ...

    gone = offer(bench, "theirs")
    bench.write(lambda tx: processes.stopped(tx, gone))
    long_ago = "UPDATE process SET seen_at = seen_at - 61000000, stopped_at = stopped_at - 61000000"
    bench.write(lambda tx: tx.run(long_ago))
    with bench.engine(mine):
        bench.put()
        bench.until_settled()
    assert bench.runs("handler") == ["mine"]


def test_runs_of_an_old_name_are_done_by_the_handler_that_kept_it_as_an_alias(bench: Bench) -> None:
    keys: list[str] = []

    @on("shop", "*")
    async def before(event: Event[Any], ctx: Context) -> None: ...

    @on("shop", "*", aliases=["before"])
    async def renamed(event: Event[Any], ctx: Context) -> None:
        keys.append(ctx.key("x"))

    bench.put()
    [run] = bench.claim(before)
    bench.write(lambda tx: runs.finish(tx, run, runs.Verdict("waiting")))
    with bench.engine(renamed):
        bench.until_settled()
    assert bench.runs("handler, state") == [("before", "succeeded")]
    assert keys == [idempotency_key(text("ev", run.event_id), "before", "x", 0, 0)]


def test_a_run_whose_handler_nobody_offers_is_parked_after_ten_minutes(bench: Bench) -> None:
    @on("shop", "*")
    async def gone(event: Event[Any], ctx: Context) -> None: ...

    def minutes_later(minutes: float, *seen: int) -> int:
        def look(tx: Any) -> int:
            for worker in seen:
                processes.seen(tx, worker)
            return runs.park_missing(tx)

        return bench.write(look, later_s=minutes * 60)

    bench.put()
    [run] = bench.claim(gone)
    bench.write(lambda tx: runs.finish(tx, run, runs.Verdict("waiting")))
    assert minutes_later(11) == 0, "nobody was there who could have offered it"
    bench.write(lambda tx: tx.run("UPDATE run SET due_at = due_at - 3600000000"))
    worker = offer(bench, "here")
    assert minutes_later(9, worker) == 0, "the worker has not been there for ten minutes"
    assert minutes_later(11) == 0, "the worker is dead"
    assert minutes_later(11, worker) == 1
    assert bench.runs("state, code, reason") == [
        ("parked", "handler_missing", "no worker has offered a handler named 'gone' for ten minutes")
    ]


def test_a_run_whose_handler_is_offered_by_a_busy_worker_is_not_missing(bench: Bench) -> None:
    @on("shop", "*")
    async def busy(event: Event[Any], ctx: Context) -> None: ...

    bench.put()
    [run] = bench.claim(busy)
    bench.write(lambda tx: runs.finish(tx, run, runs.Verdict("waiting")))
    worker = offer(bench, "busy")

    def look(tx: Any) -> int:
        processes.seen(tx, worker)
        return runs.park_missing(tx)

    assert bench.write(look, later_s=660) == 0


def test_an_engine_that_stood_still_routes_what_comes_in_before_it_has_said_that_it_lives(bench: Bench) -> None:
    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None: ...

    with bench.engine(handler):
        bench.write(lambda tx: tx.run("UPDATE process SET seen_at = seen_at - 60000000"))
        bench.put()
        bench.until_settled()
    assert bench.runs("handler, state") == [("handler", "succeeded")]


def test_an_engine_that_was_forgotten_makes_itself_known_again(bench: Bench) -> None:
    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None: ...

    with bench.engine(handler) as engine:
        bench.write(lambda tx: (tx.run("DELETE FROM process"), tx.run("DELETE FROM offer")))
        engine._present_at -= 60  # its sweep has not come for a minute
        engine.look()
        assert rows(bench.file, "SELECT handler, source, pattern FROM offer") == [("handler", "shop", "*")]
        assert count(bench.file, "process") == 1
    assert count(bench.file, "process", "stopped_at IS NOT NULL") == 1


# ── what handlers do to an engine ──


def test_an_engine_outlives_whatever_its_handlers_raise(bench: Bench) -> None:
    @on("shop", "exit")
    async def leave(event: Event[Any], ctx: Context) -> None:
        sys.exit(1)

    @on("shop", "exit")
    async def leave_behind(event: Event[Any], ctx: Context) -> None:
        async def child() -> None:
            sys.exit(1)

        await asyncio.create_task(child())

    @on("shop", "exit")
    def stop_plainly(event: Event[Any], ctx: SyncContext) -> None:
        next(iter(()))

    @on("shop", "exit")
    def exit_in_a_step(event: Event[Any], ctx: SyncContext) -> None:
        ctx.step("x", sys.exit)

    @on("shop", "fine")
    def fine(event: Event[Any], ctx: SyncContext) -> None: ...

    settings = settings_of(bench.root, FAST + "max_failures = 1\n")
    with bench.engine(leave, leave_behind, stop_plainly, exit_in_a_step, fine, settings=settings):
        bench.put_many(5, "exit")
        bench.put_many(5, "fine")
        bench.until_settled()
    assert set(bench.runs("state, code", "handler <> 'fine'")) == {("parked", "failures_exhausted")}
    assert bench.runs(where="handler = 'fine'") == ["succeeded"] * 5


def test_a_store_that_cannot_be_written_for_a_while_loses_nothing(bench: Bench) -> None:
    """The outcome of a step that took effect is recorded as soon as it can be."""
    done: list[str] = []

    def work() -> str:
        lock = sqlite3.connect(bench.file, isolation_level=None, check_same_thread=False)
        lock.execute("BEGIN IMMEDIATE")

        def unlock() -> None:
            lock.rollback()
            lock.close()

        timer = threading.Timer(1.3, unlock)  # longer than the store waits for a lock
        timer.start()
        done.append("work")
        return "result"

    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None:
        await ctx.step("work", work)

    with bench.engine(handler):
        bench.put()
        bench.until_settled()
    assert (bench.runs(), done) == (["succeeded"], ["work"])
    assert bench.steps("name, state, body") == [("work", "done", b'"result"')]


# ── replay, with a real upstream ──


def test_after_a_refusal_a_repaired_handler_is_replayed_and_sends_what_it_makes_now(tmp_path: Path) -> None:
    def picky(call: Call) -> tuple[int, Any]:
        return (201, {}) if call.body == b'{"cents":5}' else (422, {"error": "cents"})

    def handler_with(cents: Any) -> Any:
        @on("shop", "*", name="book")
        async def book(event: Event[Any], ctx: Context) -> None:
            await ctx.api("ledger").post("/entries", json={"cents": cents})

        return book

    with upstream(picky) as real, a_bench(tmp_path, f'[apis.ledger]\nbase_url = "{real.url}"') as bench:
        with bench.engine(handler_with("5")):
            event_id = bench.put()
            bench.until_settled()
        assert bench.runs("state, code") == [("parked", "refused")]
        bench.write(lambda tx: replay(tx, event_id, Replay()))
        with bench.engine(handler_with(5)):
            bench.until_settled()
        assert bench.runs("state, code") == [("succeeded", None)]
        assert [call.body for call in real.effects] == [b'{"cents":5}']
        assert len({call.key for call in real.calls}) == 2
        assert bench.steps() == [("POST ledger /entries", 0, "refused"), ("POST ledger /entries", 1, "done")]


def test_a_replay_that_may_repeat_effects_repeats_them_once_under_new_keys(tmp_path: Path) -> None:
    @on("shop", "*")
    async def book(event: Event[Any], ctx: Context) -> None:
        await ctx.api("ledger").post("/entries", json={})

    with upstream() as real, a_bench(tmp_path, f'[apis.ledger]\nbase_url = "{real.url}"') as bench:
        with bench.engine(book) as engine:
            event_id = bench.put()
            bench.until_settled()
            for wanted in (Replay(), Replay(repeat=True)):
                bench.write(lambda tx, wanted=wanted: replay(tx, event_id, wanted))  # type: ignore[misc]
                engine.look()
                bench.until_settled()
        assert (len(real.effects), len({call.key for call in real.effects})) == (2, 2)
        assert bench.runs("generation, attempts") == [(1, 2)]


def test_the_correlation_id_of_every_call_is_the_events(tmp_path: Path) -> None:
    @on("shop", "*")
    async def book(event: Event[Any], ctx: Context) -> None:
        await ctx.api("ledger").post("/entries")

    with upstream() as real, a_bench(tmp_path, f'[apis.ledger]\nbase_url = "{real.url}"') as bench:
        with bench.engine(book):
            event_id = bench.put()
            bench.until_settled()
        assert [call.headers["x-correlation-id"] for call in real.calls] == [text("ev", event_id)]


def test_slots_that_are_all_held_by_handlers_out_of_time_are_its_trouble(bench: Bench) -> None:
    release = threading.Event()

    @on("shop", "*")
    def hanging(event: Event[Any], ctx: SyncContext) -> None:
        release.wait(20)

    with bench.engine(
        hanging, settings=settings_of(bench.root, "[worker]\nconcurrency = 1\ntimeout_s = 0.05")
    ) as engine:
        assert engine.trouble is None
        bench.put()
        until(lambda: engine.trouble == "all 1 slots are held by handlers that outlived their time: restart")
        release.set()
        until(lambda: engine.trouble is None)
