"""Who may work on a run, for how long, and what becomes of it when that worker dies, stands still or stops."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from processors import Context, Event, SyncContext, on
from processors.engine import Engine
from receiver.store import Transaction, runs
from receiver.store.runs import Claimed, Verdict
from tests.processors.bench import Bench, a_bench, settings_of
from tests.support.rows import rows
from tests.support.until import until


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with a_bench(tmp_path) as bench:
        yield bench


def test_two_workers_on_one_store_never_work_on_one_run_at_once(bench: Bench) -> None:
    lock = threading.Lock()
    now: set[str] = set()
    seen: Counter[str] = Counter()

    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None:
        with lock:
            assert event.id not in now
            now.add(event.id)
            seen[event.id] += 1
        await ctx.step("work", lambda: None)
        with lock:
            now.remove(event.id)

    with a_bench(bench.root) as elsewhere, bench.engine(handler), elsewhere.engine(handler) as other:
        bench.put_many(200)
        until(lambda: looked(other) and bench.settled())
    assert bench.runs("state, attempts") == [("succeeded", 1)] * 200
    assert set(seen.values()) == {1}


def test_a_sweep_takes_back_what_a_dead_worker_held_and_blames_nobody(bench: Bench) -> None:
    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None: ...

    bench.put()
    bench.claim(handler, lease_s=30)
    assert bench.write(runs.sweep, later_s=29) == 0
    assert bench.write(runs.sweep, later_s=31) == 1
    assert bench.runs("state, lapses, failures, token") == [("waiting", 1, 0, None)]


def test_an_engine_takes_over_from_a_worker_that_died(bench: Bench) -> None:
    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None: ...

    bench.put()
    bench.claim(handler, lease_s=-1)
    with bench.engine(handler) as engine:
        until(lambda: looked(engine) and bench.settled())
    assert bench.runs("state, attempts, lapses") == [("succeeded", 2, 0)]
    assert rows(bench.file, "SELECT kind, attempt FROM history") == [("lapsed", 1)]


def test_a_late_worker_changes_nothing_once_another_has_the_lease(bench: Bench) -> None:
    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None: ...

    bench.put()
    [late] = bench.claim(handler)
    bench.write(runs.sweep, later_s=60)
    [new] = bench.claim(handler, later_s=60)
    for verdict in (Verdict("succeeded"), Verdict("parked", "asked"), Verdict("waiting", failure=True)):
        assert bench.write(lambda tx, verdict=verdict: runs.finish(tx, late, verdict)) is False  # type: ignore[misc]
    bench.write(lambda tx: runs.renew(tx, [(late.id, late.token)], 9999))
    assert bench.runs("state, token, failures, lapses") == [("running", new.token, 0, 1)]
    assert bench.write(runs.sweep, later_s=100) == 1, "the late one's renewal must not count"


def test_an_engine_renews_the_leases_of_what_it_works_on(bench: Bench) -> None:
    release = threading.Event()

    @on("shop", "*")
    def slow(event: Event[Any], ctx: SyncContext) -> None:
        release.wait(20)

    with bench.engine(slow) as engine:
        bench.put()
        until(lambda: bench.runs() == ["running"])
        [before] = bench.runs("lease_until")
        until(lambda: looked(engine) and bench.runs("lease_until")[0] > before)
        release.set()
        bench.until_settled()
    assert bench.runs("state, attempts") == [("succeeded", 1)]


def test_an_attempt_that_is_out_of_time_gives_its_run_back_and_keeps_its_slot(bench: Bench) -> None:
    """A plain function cannot be stopped: a slot for each of them would be no limit at all."""
    release = threading.Event()
    begun: list[str] = []

    @on("shop", "*")
    def stuck(event: Event[Any], ctx: SyncContext) -> None:
        begun.append(event.id)
        release.wait(20)

    settings = settings_of(bench.root, "[worker]\nconcurrency = 1\ntimeout_s = 0.05\nretry_first_s = 600\n")
    with bench.engine(stuck, settings=settings) as engine:
        bench.put_many(2)
        until(lambda: bench.runs("code", "code IS NOT NULL"))
        engine.look()
        assert bench.runs("state, code, failures") == [("waiting", "timeout", 1), ("waiting", None, 0)]
        assert len(begun) == 1
        release.set()
        until(lambda: len(begun) == 2)


def test_a_worker_that_lost_a_lease_meanwhile_writes_nothing(bench: Bench) -> None:
    lost, done = threading.Event(), threading.Event()

    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None:
        await asyncio.to_thread(lost.wait, 10)
        try:
            await ctx.step("late", print)
        finally:
            done.set()

    with bench.engine(handler):
        bench.put()
        until(lambda: bench.runs() == ["running"])
        bench.write(runs.sweep, later_s=60)
        [other] = bench.claim(handler, later_s=60)
        lost.set()
        assert done.wait(10)
    assert bench.runs("state, token, failures") == [("running", other.token, 0)]
    assert bench.steps() == []
    assert rows(bench.file, "SELECT kind FROM history") == [("lapsed",)]


# ── shutdown ──


def test_what_ends_in_time_ends_well_and_the_rest_is_given_back(bench: Bench) -> None:
    begun, release = threading.Barrier(3), threading.Event()
    cancelled: list[str] = []

    @on("shop", "short")
    def short(event: Event[Any], ctx: SyncContext) -> None:
        begun.wait(10)
        release.wait(10)

    @on("shop", "long")
    async def long(event: Event[Any], ctx: Context) -> None:
        await asyncio.to_thread(begun.wait, 10)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(event.id)

    with bench.engine(short, long):
        bench.put("short")
        bench.put("long")
        begun.wait(10)
        release.set()
    assert bench.runs("handler, state, reason, lapses, failures, token") == [
        ("short", "succeeded", None, 0, 0, None),
        ("long", "waiting", "given back at shutdown", 0, 0, None),
    ]
    assert len(cancelled) == 1
    with bench.engine(short) as again:
        again.look()
    assert bench.runs("due_at <= finished_at", "handler = 'long'") == [1]


def test_a_plain_handler_that_is_given_back_can_do_nothing_more(bench: Bench) -> None:
    begun, release, ended = threading.Event(), threading.Event(), threading.Event()
    caught: list[str] = []

    @on("shop", "*")
    def stuck(event: Event[Any], ctx: SyncContext) -> None:
        begun.set()
        release.wait(20)
        for work in (lambda: ctx.step("late", print), lambda: ctx.key("late")):
            try:
                work()
            except Exception as error:
                caught.append(type(error).__name__)
        ended.set()

    with bench.engine(stuck):
        bench.put()
        assert begun.wait(10)
    assert bench.runs() == ["waiting"]
    release.set()
    assert ended.wait(10)
    assert len(caught) == 2
    assert bench.steps() == []


def test_a_plain_handler_that_waits_for_the_engine_is_let_go_when_that_stops(bench: Bench) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def for_ever() -> None:
        begun.set()
        await asyncio.Event().wait()

    @on("shop", "*")
    def waiting(event: Event[Any], ctx: SyncContext) -> None:
        try:
            ctx.step("wait", for_ever)
        finally:
            ended.set()

    with bench.engine(waiting):
        bench.put()
        assert begun.wait(10)
    assert ended.wait(10), "or its thread would keep the process"
    assert bench.runs() == ["waiting"]
    assert bench.steps("name, state") == [("wait", "open")]


def test_what_is_being_claimed_when_the_engine_stops_is_not_left_to_its_lease(bench: Bench) -> None:
    held, release = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        held.set()
        release.wait(10)
        runs.finish(tx, run, Verdict("waiting"))

    def stop() -> None:
        held.wait(10)
        engine.wake()  # its claim now stands behind the held write, and will find what that one gives back
        engine.stop(5)

    def let_go() -> None:
        until(lambda: engine._stopping)
        release.set()

    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None: ...

    bench.put()
    [run] = bench.claim(handler)
    with bench.engine(handler) as engine, ThreadPoolExecutor(3) as threads:
        for work in [threads.submit(work) for work in (lambda: bench.write(hold), stop, let_go)]:
            work.result()
    # Succeeded as a rule, waiting where the engine stopped before it claimed; never left running.
    assert bench.runs("state, lapses") in ([("succeeded", 0)], [("waiting", 0)])


def looked(engine: Engine) -> bool:
    """The sweep's turn, which comes about once a second."""
    engine.look()
    return True


def test_an_async_handler_that_blocks_the_engine_cannot_keep_it_from_stopping(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    begun, release = threading.Event(), threading.Event()

    @on("shop", "*")
    async def blocking(event: Event[Any], ctx: Context) -> None:
        begun.set()
        release.wait(20)

    with bench.engine(blocking) as engine:
        bench.put()
        assert begun.wait(10)
        engine.stop(drain_s=0.0)
        assert "an async handler blocks the engine" in caplog.text
        assert bench.runs() == ["running"]
        release.set()
        until(lambda: engine._stopped)


# ── suspects ──


def lapse(bench: Bench, handler: Any) -> None:
    """The worker of what waits dies, twice."""
    for _ in range(2):
        died = bench.claim(handler, lease_s=-1)
        assert bench.write(runs.sweep) == len(died) > 0


def test_a_run_whose_worker_died_twice_is_run_alone(bench: Bench) -> None:
    alone: list[tuple[int, int, float]] = []
    inside: list[str] = []

    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None:
        inside.append(event.id)

    async def child(run: Claimed, timeout_s: float) -> Verdict | None:
        alone.append((run.event_id, run.lapses, timeout_s))
        return Verdict("parked", "crashed", "signal 9")

    suspect = bench.put()
    lapse(bench, handler)
    with bench.engine(handler, alone=child):
        bench.put_many(3)
        bench.until_settled()
    assert alone == [(suspect, 2, 300.0)]
    assert len(inside) == 3
    assert bench.runs("state, code, reason, lapses")[0] == ("parked", "crashed", "signal 9", 0)


def test_what_the_child_has_written_is_left_as_it_is(bench: Bench) -> None:
    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None: ...

    async def child(run: Claimed, timeout_s: float) -> Verdict | None:
        await bench.store.write(lambda tx: runs.finish(tx, run, Verdict("dropped", reason="by the child")))
        return None

    bench.put()
    lapse(bench, handler)
    with bench.engine(handler, alone=child):
        bench.until_settled()
    assert bench.runs("state, reason") == [("dropped", "by the child")]


def test_no_more_than_two_suspects_run_at_once_and_those_that_wait_keep_their_lease(bench: Bench) -> None:
    begun: list[int] = []
    release = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None: ...

    async def child(run: Claimed, timeout_s: float) -> Verdict | None:
        loops.append(asyncio.get_running_loop())
        begun.append(run.id)
        await release.wait()
        return Verdict("succeeded")

    bench.put_many(4)
    lapse(bench, handler)
    with bench.engine(handler, alone=child) as engine:
        until(lambda: bench.runs() == ["running"] * 4 and len(begun) == 2)
        before = min(bench.runs("lease_until"))
        until(lambda: looked(engine) and min(bench.runs("lease_until")) > before)
        assert len(begun) == 2
        loops[0].call_soon_threadsafe(release.set)
        bench.until_settled()
    assert len(begun) == 4


def test_a_suspect_that_is_given_back_at_shutdown_is_blamed_for_nothing(bench: Bench) -> None:
    begun = threading.Event()
    ended: list[str] = []

    @on("shop", "*")
    async def handler(event: Event[Any], ctx: Context) -> None: ...

    async def child(run: Claimed, timeout_s: float) -> Verdict | None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("killed")
        return None

    bench.put()
    lapse(bench, handler)
    with bench.engine(handler, alone=child):
        assert begun.wait(10)
    assert (bench.runs("state, code, failures"), ended) == ([("waiting", None, 0)], ["killed"])
