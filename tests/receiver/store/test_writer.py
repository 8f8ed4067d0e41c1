"""The group-commit writer on a real SQLite file; the database's seam is where commits are counted, held and failed."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from receiver.store import Transaction, Unavailable
from receiver.store.intake import Arrival, Recorded
from receiver.store.sqlite import SqliteConnection
from receiver.store.writer import GATHERED, WAITING_BYTES, WAITING_LIMIT, Writer
from tests.support.rows import count, rows
from tests.support.stores import arrival, new_file
from tests.support.until import until


class Watched(SqliteConnection):
    """Counts commits; stands still while it is held; fails with the errors that are put into it."""

    def __init__(self, path: str) -> None:
        super().__init__(path, durable=False)
        self.commits = 0
        self.begun = threading.Event()
        self.free = threading.Event()
        self.free.set()
        self.begin_errors: list[Exception] = []
        self.commit_errors: list[Exception] = []
        self.insert_errors: list[Exception] = []

    def begin(self) -> Transaction:
        self.begun.set()
        assert self.free.wait(10)
        if self.begin_errors:
            raise self.begin_errors.pop()
        tx = super().begin()
        return Failing(tx, self.insert_errors) if self.insert_errors else tx

    def commit(self) -> None:
        if self.commit_errors:
            raise self.commit_errors.pop()
        super().commit()
        self.commits += 1


class Failing:
    """A transaction whose next insert fails."""

    def __init__(self, tx: Transaction, errors: list[Exception]) -> None:
        self._tx = tx
        self._errors = errors

    def insert_new(self, *arguments: Any) -> int:
        raise self._errors.pop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)


async def turns() -> None:
    """Until the event loop has handed over what it gathered."""
    for _ in range(4):
        await asyncio.sleep(0)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.file = new_file(folder)
        self.database = Watched(str(self.file))
        self.announced = 0
        self.writer = Writer(self.database, self.announce)

    def announce(self) -> None:
        self.announced += 1

    def hold(self) -> None:
        """Let the writer stand in the middle of a commit, so that what comes now gathers."""
        self.database.free.clear()
        self.database.begun.clear()
        threading.Thread(target=self._stand).start()
        assert self.database.begun.wait(5)

    def _stand(self) -> None:
        with suppress(Unavailable):
            self.writer.write_from_thread(nothing)

    def release(self) -> None:
        self.database.commits = 0
        self.database.free.set()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    it = Bench(tmp_path)
    yield it
    it.database.free.set()
    it.writer.close()


def nothing(tx: Transaction) -> None:
    """A write of nothing."""


def note(name: str) -> Callable[[Transaction], str]:
    """A write that leaves a trace."""

    def op(tx: Transaction) -> str:
        tx.run("INSERT INTO source (name) VALUES (:name)", name=name)
        return name

    return op


def spoilt(tx: Transaction) -> None:
    note("spoilt")(tx)
    raise ValueError("mine alone")


async def outcomes(*futures: Any) -> list[Any]:
    return await asyncio.gather(*futures, return_exceptions=True)


def test_all_that_waits_shares_one_commit(bench: Bench) -> None:
    async def many() -> list[Any]:
        bench.hold()
        waiting = [bench.writer.record(arrival(f"evt_{number}")) for number in range(100)]
        waiting += [bench.writer.write(note(f"n{number}")) for number in range(100)]
        await turns()
        bench.release()
        return await outcomes(*waiting)

    found = asyncio.run(many())
    assert not any(isinstance(outcome, Exception) for outcome in found)
    assert bench.database.commits == 2  # the held one, and one for all of these
    assert (count(bench.file, "event"), count(bench.file, "source")) == (100, 100)


def test_arrivals_come_first_whatever_waited_before_them(bench: Bench) -> None:
    async def both() -> list[Any]:
        bench.hold()
        seen = bench.writer.write(lambda tx: tx.all("SELECT external_id FROM event"))
        stored = bench.writer.record(arrival("evt_first"))
        await turns()
        bench.release()
        return await outcomes(seen, stored)

    assert asyncio.run(both())[0] == [("evt_first",)]


@pytest.mark.parametrize("place", [0, 50, 99])
def test_a_bad_write_fails_alone_and_strangers_do_not_pay(bench: Bench, place: int) -> None:
    async def many() -> list[Any]:
        bench.hold()
        waiting = [bench.writer.write(note(f"n{number}")) for number in range(100)]
        waiting.insert(place, bench.writer.write(spoilt))
        waiting.append(bench.writer.record(arrival("evt_stranger")))
        await turns()
        bench.release()
        return await outcomes(*waiting)

    found = asyncio.run(many())
    assert isinstance(found.pop(place), ValueError)
    assert found[:-1] == [f"n{number}" for number in range(100)]
    assert not found[-1][0].duplicate
    assert rows(bench.file, "SELECT name FROM source WHERE name = 'spoilt'") == []
    assert bench.database.commits < 20  # and not a commit for each of them


def test_an_arrival_that_cannot_be_stored_fails_alone(bench: Bench) -> None:
    async def many() -> list[Any]:
        bench.hold()
        waiting = [bench.writer.record(arrival(f"evt_{number}")) for number in range(10)]
        waiting.append(bench.writer.record(arrival("evt_\ud800")))
        await turns()
        bench.release()
        return await outcomes(*waiting)

    found = asyncio.run(many())
    assert isinstance(found.pop(), UnicodeEncodeError)
    assert all(isinstance(outcome, list) for outcome in found)
    assert count(bench.file, "event") == count(bench.file, "delivery") == count(bench.file, "run") == 10


@pytest.mark.parametrize("where", ["begin_errors", "commit_errors"])
def test_an_outage_fails_all_that_waits_and_later_writes_find_the_store_again(bench: Bench, where: str) -> None:
    async def many() -> list[Any]:
        bench.hold()
        waiting = [bench.writer.record(arrival(f"evt_{number}")) for number in range(10)]
        waiting += [bench.writer.write(note(f"n{number}")) for number in range(10)]
        await turns()
        error = Unavailable("gone") if where == "begin_errors" else sqlite3.OperationalError("database or disk is full")
        getattr(bench.database, where).extend([error, error])  # the held one fails as well
        bench.release()
        return await outcomes(*waiting)

    found = asyncio.run(many())
    assert {type(outcome) for outcome in found} == {Unavailable}
    assert (count(bench.file, "event"), count(bench.file, "source")) == (0, 0)
    assert bench.announced == 0
    assert bench.writer.write_from_thread(note("later")) == "later"


def test_an_id_that_another_process_has_taken_is_tried_once_more(bench: Bench) -> None:
    bench.database.insert_errors.append(sqlite3.IntegrityError("UNIQUE constraint failed: event.id"))
    [recorded] = asyncio.run(record(bench, arrival("evt_unlucky")))
    assert not recorded.duplicate
    bench.database.insert_errors.extend([sqlite3.IntegrityError("for good")] * 2)
    with pytest.raises(sqlite3.IntegrityError):
        asyncio.run(record(bench, arrival("evt_cursed")))


async def record(bench: Bench, what: Arrival) -> list[Recorded]:
    return await bench.writer.record(what)


def test_what_several_turns_of_the_loop_bring_without_a_pause_shares_one_commit(bench: Bench) -> None:
    async def one_by_one(many: int) -> None:
        waiting = []
        for number in range(many):
            waiting.append(bench.writer.record(arrival(f"evt_{number}")))
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)

    asyncio.run(one_by_one(GATHERED))
    assert bench.database.commits == 1
    assert count(bench.file, "event") == GATHERED


def test_a_store_in_another_process_gets_at_once_what_one_turn_brings(bench: Bench) -> None:
    async def one_turn() -> None:
        waiting = bench.writer.record(arrival("evt_1"))
        await asyncio.sleep(0)
        until(lambda: bench.database.commits == 1, 5)  # the loop stands still meanwhile
        await waiting

    bench.database.works_here = False
    asyncio.run(one_turn())


def test_what_is_gathered_while_the_writer_closes_is_told_so(bench: Bench) -> None:
    async def last() -> list[Any]:
        waiting = bench.writer.record(arrival("evt_late"))
        bench.writer.close()
        return await outcomes(waiting)

    (outcome,) = asyncio.run(last())
    assert isinstance(outcome, Unavailable)
    assert count(bench.file, "event") == 0


def test_closing_writes_what_waits_and_takes_nothing_more(bench: Bench) -> None:
    async def last() -> list[Any]:
        bench.hold()
        waiting = [bench.writer.record(arrival(f"evt_{number}")) for number in range(5)]
        await turns()
        bench.release()
        await asyncio.to_thread(bench.writer.close)
        return await outcomes(*waiting)

    assert all(isinstance(outcome, list) for outcome in asyncio.run(last()))
    assert count(bench.file, "event") == 5
    with pytest.raises(Unavailable, match="closed"):
        bench.writer.write_from_thread(nothing)
    with pytest.raises(Unavailable, match="closed"):
        asyncio.run(record(bench, arrival("evt_late")))


def test_a_waiter_whose_loop_is_gone_harms_nobody(bench: Bench) -> None:
    async def leave() -> None:
        bench.hold()
        bench.writer.record(arrival("evt_left"))
        await turns()

    asyncio.run(leave())
    bench.release()
    assert bench.writer.write_from_thread(note("after")) == "after"
    assert count(bench.file, "event") == 1


def test_an_arrival_whose_sender_was_told_to_come_again_is_no_work_any_more(bench: Bench) -> None:
    async def too_late() -> list[Any]:
        bench.hold()
        late = bench.writer.record(arrival("evt_late"))
        in_time = bench.writer.record(arrival("evt_in_time"))
        await turns()
        late.cancel()
        bench.release()
        return await outcomes(in_time)

    asyncio.run(too_late())
    assert rows(bench.file, "SELECT external_id FROM event") == [("evt_in_time",)]


def test_only_new_work_is_announced(bench: Bench) -> None:
    def announced(*events: str) -> int:
        asyncio.run(record(bench, arrival(*events)))
        bench.writer.write_from_thread(nothing)  # the commit before this one has been told of
        return bench.announced

    assert [announced("evt_1"), announced("evt_1"), announced("evt_1", "evt_2")] == [1, 1, 2]


@pytest.mark.parametrize(
    ("body", "room"), [(b"{}", WAITING_LIMIT), (b"x" * (1 << 20), (WAITING_BYTES >> 20) + 1)], ids=["many", "large"]
)
def test_what_may_wait_is_bounded_in_number_and_in_bytes_and_room_comes_back(
    bench: Bench, body: bytes, room: int
) -> None:
    async def flood() -> None:
        bench.hold()
        same = arrival("evt_same", body=body)
        waiting = [bench.writer.record(same) for _ in range(room)]
        with pytest.raises(Unavailable, match="too many"):
            bench.writer.record(same)
        await turns()
        bench.release()
        assert all(isinstance(outcome, list) for outcome in await outcomes(*waiting))
        await bench.writer.record(same)

    asyncio.run(flood())
    assert count(bench.file, "event") == 1


def test_a_write_that_gave_up_waiting_still_leaves_room(bench: Bench) -> None:
    async def give_up() -> None:
        bench.hold()
        for waiting in [bench.writer.record(arrival("evt_same")) for _ in range(WAITING_LIMIT)]:
            waiting.cancel()
        await turns()
        bench.release()
        await bench.writer.write(nothing)
        await bench.writer.record(arrival("evt_after"))

    asyncio.run(give_up())
    assert rows(bench.file, "SELECT external_id FROM event") == [("evt_after",)]
