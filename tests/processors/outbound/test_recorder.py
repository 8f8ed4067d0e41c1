"""The ledger on a real store: intents before effects, outcomes after, nothing once the attempt or the lease is over."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from processors import Event, SyncContext, on
from processors.errors import Ended, LeaseLost
from processors.outbound.keys import idempotency_key
from processors.outbound.ledger import Todo
from processors.outbound.recorder import Recorder
from receiver.store import Store, Transaction, runs, steps
from receiver.store.ids import text
from receiver.store.runs import Claimed, Verdict
from tests.processors.bench import Bench, a_bench
from tests.support.rows import rows


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with a_bench(tmp_path) as bench:
        yield bench


@on("shop", "*", name="book")
def book(event: Event[Any], ctx: SyncContext) -> None: ...


def claimed(bench: Bench) -> Claimed:
    bench.put()
    [run] = bench.claim(book)
    return run


def with_recorder(bench: Bench, run: Claimed, use: Callable[[Recorder], Awaitable[Any]]) -> Any:
    async def work() -> Any:
        return await use(Recorder(bench.store, run))

    return asyncio.run(work())


def contents(bench: Bench) -> list[list[tuple[Any, ...]]]:
    """Every table that an attempt could write."""
    return [rows(bench.file, f"SELECT * FROM {table}") for table in ("run", "step", "history", "event", "delivery")]


def test_an_intent_is_there_before_anything_is_sent_with_its_key_and_bytes(bench: Bench) -> None:
    run = claimed(bench)

    async def use(recorder: Recorder) -> None:
        todo, row = await recorder.begin("a", b"bytes", named=False, repeatable=lambda _: True)
        key = idempotency_key(text("ev", run.event_id), "book", "a", 0, 0)
        assert (todo, row.state, row.key, row.sends) == (Todo.INTEND, "open", key, 1)
        assert bench.steps("name, state, key, request, sends, outcome_at") == [("a", "open", key, b"bytes", 1, None)]
        await recorder.conclude(row, "done", 201, b"{}", b"body")

    with_recorder(bench, run, use)
    assert bench.steps("state, status, headers, body") == [("done", 201, b"{}", b"body")]


def test_a_repeat_shows_the_state_it_found_and_counts_what_was_sent(bench: Bench) -> None:
    run = claimed(bench)

    async def use(recorder: Recorder) -> tuple[Todo, str, int]:
        todo, row = await recorder.begin("a", b"x", named=False, repeatable=lambda _: True)
        return todo, row.state, row.sends

    assert with_recorder(bench, run, use) == (Todo.INTEND, "open", 1)
    assert with_recorder(bench, run, use) == (Todo.REPEAT, "open", 2)

    async def refuse(recorder: Recorder) -> None:
        _, row = await recorder.begin("a", b"x", named=False, repeatable=lambda _: True)
        await recorder.conclude(row, "refused", 422)

    with_recorder(bench, run, refuse)
    assert with_recorder(bench, run, use) == (Todo.REPEAT, "refused", 4)
    assert bench.steps("state, sends") == [("open", 4)], "it is about to be sent: in doubt until the answer is there"


def test_a_success_is_never_overwritten(bench: Bench) -> None:
    run = claimed(bench)

    async def use(recorder: Recorder) -> None:
        _, row = await recorder.begin("a", b"x", named=False, repeatable=lambda _: True)
        await recorder.conclude(row, "done", 201, b"{}", b"first")
        for state in ("open", "refused", "done"):
            await recorder.conclude(row, state, 500, b"{}", b"later")

    with_recorder(bench, run, use)
    assert bench.steps("state, status, body") == [("done", 201, b"first")]


@pytest.mark.parametrize("heard", ["refused", "open"])
def test_what_an_older_copy_heard_is_no_outcome_of_a_younger_one(heard: str, bench: Bench) -> None:
    run = claimed(bench)

    async def use(recorder: Recorder) -> None:
        _, older = await recorder.begin("a", b"x", named=False, repeatable=lambda _: True)
        _, younger = await recorder.begin("a", b"x", named=False, repeatable=lambda _: True)
        await recorder.conclude(older, heard, 422)
        assert bench.steps("state, status") == [("open", None)]
        await recorder.conclude(older, "done", 201)
        await recorder.conclude(younger, "refused", 422)

    with_recorder(bench, run, use)
    assert bench.steps("state, status") == [("done", 201)], "a success counts, whoever heard of it"


def test_each_generation_has_a_ledger_and_keys_of_its_own(bench: Bench) -> None:
    run = claimed(bench)

    async def use(recorder: Recorder) -> tuple[Todo, str]:
        todo, row = await recorder.begin("a", b"x", named=False, repeatable=lambda _: False)
        return todo, row.key

    first, second = with_recorder(bench, run, use), with_recorder(bench, replace(run, generation=1), use)
    assert (first[0], second[0]) == (Todo.INTEND, Todo.INTEND)
    assert first[1] != second[1]
    assert bench.write(lambda tx: [row.key for row in steps.of_run(tx, run)]) == [first[1]]


def test_two_runs_of_one_event_do_not_share_a_ledger(bench: Bench) -> None:
    @on("shop", "*")
    def other(event: Event[Any], ctx: SyncContext) -> None: ...

    bench.put()
    both = bench.claim(book, other)

    async def use(recorder: Recorder) -> str:
        _, row = await recorder.begin("a", b"x", named=False, repeatable=lambda _: False)
        return row.key

    assert len({with_recorder(bench, run, use) for run in both}) == 2


async def everything(recorder: Recorder, caught: list[str]) -> None:
    for work in (
        lambda: recorder.begin("new", b"x", named=True, repeatable=lambda _: True),
        lambda: recorder.again(known),
    ):
        try:
            await work()
        except (Ended, LeaseLost) as error:
            caught.append(type(error).__name__)


known = steps.StepRow(1, "a", 0, "open", "key", b"x")


def test_an_attempt_that_has_ended_writes_nothing(bench: Bench) -> None:
    run = claimed(bench)
    before, caught = contents(bench), list[str]()

    async def use(recorder: Recorder) -> None:
        with pytest.raises(Ended):
            recorder.park("asked", "enough")
        await everything(recorder, caught)
        with pytest.raises(Ended):
            recorder.end(Verdict("succeeded"))
        assert recorder.ended == Verdict("parked", "asked", "enough"), "the first end stands"

    with_recorder(bench, run, use)
    assert caught == ["Ended", "Ended"]
    assert contents(bench) == before


@pytest.mark.parametrize("how", ["swept", "taken over", "finished"])
def test_who_has_no_lease_writes_nothing(how: str, bench: Bench) -> None:
    run = claimed(bench)
    if how == "finished":
        bench.write(lambda tx: runs.finish(tx, run, Verdict("succeeded")))
    else:
        bench.write(runs.sweep, later_s=60)
    if how == "taken over":
        assert bench.claim(book, later_s=60)
    before, caught = contents(bench), list[str]()
    with_recorder(bench, run, lambda recorder: everything(recorder, caught))
    assert caught == ["LeaseLost", "LeaseLost"]
    assert contents(bench) == before


def test_steps_begun_in_one_commit_have_each_its_own_answer(bench: Bench) -> None:
    """The second has no lease any more, the third was begun before, the fourth has its recorded answer."""
    ours, lost, open_, done = (claimed(bench) for _ in range(4))
    bench.write(lambda tx: runs.finish(tx, lost, Verdict("succeeded")))

    async def begin(run: Claimed) -> tuple[Todo, steps.StepRow]:
        return await Recorder(bench.store, run).begin("a", b"x", named=False, repeatable=lambda _: True)

    async def work() -> list[Any]:
        await begin(open_)
        await Recorder(bench.store, done).conclude((await begin(done))[1], "done", 201, b"{}", b"body")
        return await asyncio.gather(*map(begin, (ours, lost, open_, done)), return_exceptions=True)

    first, second, third, fourth = asyncio.run(work())
    assert isinstance(second, LeaseLost)
    assert [todo for todo, _ in (first, third, fourth)] == [Todo.INTEND, Todo.REPEAT, Todo.ANSWER]
    assert (fourth[1].status, fourth[1].body) == (201, b"body")
    assert bench.steps("state, sends") == [("open", 2), ("done", 1), ("open", 1)]


def test_a_store_that_fails_records_no_intent_and_says_so(bench: Bench) -> None:
    run = claimed(bench)

    def broken(tx: Transaction) -> None:
        raise ZeroDivisionError

    async def use(recorder: Recorder) -> None:
        results = await asyncio.gather(
            bench.store.write(broken),
            recorder.begin("a", b"x", named=False, repeatable=lambda _: True),
            return_exceptions=True,
        )
        assert isinstance(results[0], ZeroDivisionError)
        assert not isinstance(results[1], BaseException), "no stranger pays"

    with_recorder(bench, run, use)
    assert bench.steps("name, sends") == [("a", 1)]


# ── a commit that happened, but was not answered ──


class Unanswered:
    """A store that commits, says that it did not, and commits again when asked again."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def insist(self, op: Any) -> Any:
        await self._store.insist(op)
        return await self._store.insist(op)


def test_an_intent_whose_commit_was_not_answered_is_still_one_that_was_not_sent(bench: Bench) -> None:
    run = claimed(bench)

    async def begin() -> tuple[Todo, steps.StepRow]:
        recorder = Recorder(Unanswered(bench.store), run)  # type: ignore[arg-type]
        return await recorder.begin("a", b"bytes", named=False, repeatable=lambda _: False)

    todo, row = asyncio.run(begin())
    assert (todo, row.state, row.sends) == (Todo.INTEND, "open", 1)
    assert bench.steps("state, sends") == [("open", 1)]


def test_a_repeat_whose_commit_was_not_answered_is_counted_once_and_tells_what_was_found(bench: Bench) -> None:
    run = claimed(bench)

    async def use(recorder: Recorder) -> None:
        _, row = await recorder.begin("a", b"bytes", named=False, repeatable=lambda _: False)
        await recorder.conclude(row, "refused", 422)

    with_recorder(bench, run, use)

    async def again() -> tuple[Todo, steps.StepRow]:
        recorder = Recorder(Unanswered(bench.store), run)  # type: ignore[arg-type]
        return await recorder.begin("a", b"bytes", named=False, repeatable=lambda _: False)

    todo, row = asyncio.run(again())
    assert (todo, row.state, row.sends) == (Todo.REPEAT, "refused", 2)
    assert bench.steps("state, sends") == [("open", 2)]


@pytest.mark.parametrize(
    "name", ["x" * 501, "nothing: \x00", "half: \ud800", "two\nlines"], ids=["long", "nul", "half", "lines"]
)
def test_a_name_that_no_database_could_find_again_is_the_author_s_mistake(name: str, bench: Bench) -> None:
    recorder = Recorder(bench.store, claimed(bench))
    with pytest.raises(ValueError, match="give step="):
        recorder.name(name, "default")
    assert recorder.name("x" * 500, "default") == "x" * 500
