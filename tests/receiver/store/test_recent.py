"""What is remembered of the newest events, and when it is believed: at a writer on a SQLite file, and by itself."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.store import Transaction, Unavailable
from receiver.store.intake import Arrival, Recorded
from receiver.store.recent import AGE_US, KEPT, Recent
from receiver.store.sqlite import SqliteConnection
from receiver.store.writer import SURE_S, Writer
from tests.support.rows import count, rows
from tests.support.stores import HOUR_US, arrival, new_file

NOW_US = 1_700_000_000_000_000


class Counting(SqliteConnection):
    """Counts commits, and fails with the errors that are put into it."""

    commits = 0

    def __init__(self, path: str) -> None:
        super().__init__(path, durable=False, look_s=0)
        self.errors: list[Exception] = []

    def commit(self) -> None:
        if self.errors:
            raise self.errors.pop()
        super().commit()
        self.commits += 1


class Bench:
    def __init__(self, folder: Path) -> None:
        self.file = new_file(folder)
        self.database = Counting(str(self.file))
        self.now_s = 1000.0
        self.writer = Writer(self.database, lambda: None, lambda: self.now_s)

    async def record(self, what: Arrival) -> Recorded:
        [recorded] = await self.writer.record(what)
        return recorded

    def run(self, *arrivals: Arrival) -> list[tuple[bool, int]]:
        """Store them one after the other: whether each was a duplicate, and how many commits it took."""

        async def one_by_one() -> list[tuple[bool, int]]:
            found = []
            for each in arrivals:
                before = self.database.commits
                recorded = await self.record(each)
                found.append((recorded.duplicate, self.database.commits - before))
            return found

        return asyncio.run(one_by_one())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    it = Bench(tmp_path)
    yield it
    it.writer.close()


def known(*arrivals: Arrival) -> Recent:
    recent = Recent()
    for number, each in enumerate(arrivals, 1):
        recent.add(each, [Recorded(number, duplicate=False)] * len(each.events))
    return recent


# ── at the writer ──


def test_a_copy_is_a_duplicate_of_the_first_without_a_commit(bench: Bench) -> None:
    async def twice() -> list[Recorded]:
        return [await bench.record(arrival("evt_1")), await bench.record(arrival("evt_1"))]

    first, copy = asyncio.run(twice())
    assert (copy.id, copy.duplicate, copy.differs) == (first.id, True, False)
    assert bench.database.commits == 1


def test_other_bytes_of_the_same_id_go_to_the_store_which_tells_them_apart(bench: Bench) -> None:
    assert bench.run(arrival("evt_1"), arrival("evt_1", body=b"other")) == [(False, 1), (True, 1)]
    assert rows(bench.file, "SELECT kind FROM history") == [("differing",)]


def test_a_batch_goes_to_the_store(bench: Bench) -> None:
    async def twice() -> list[Any]:
        batch = arrival("evt_1", "evt_2")
        return [await bench.writer.record(batch), await bench.writer.record(batch)]

    asyncio.run(twice())
    assert bench.database.commits == 2
    assert bench.run(arrival("evt_1")) == [(True, 1)]


def test_after_an_outage_only_the_store_is_believed(bench: Bench) -> None:
    bench.run(arrival("evt_1"))
    bench.database.errors.append(sqlite3.OperationalError("database or disk is full"))
    with pytest.raises(Unavailable):
        bench.run(arrival("evt_2"))
    assert bench.run(arrival("evt_3"), arrival("evt_1")) == [(False, 1), (True, 1)]


def test_a_while_after_the_last_commit_the_store_is_asked(bench: Bench) -> None:
    bench.run(arrival("evt_1"))
    bench.now_s += SURE_S
    assert bench.run(arrival("evt_1"), arrival("evt_1")) == [(True, 1), (True, 0)]


def test_in_a_store_that_was_restored_from_a_backup_what_came_since_is_new(bench: Bench, tmp_path: Path) -> None:
    bench.run(arrival("evt_1"))
    (tmp_path / "backup").mkdir()
    new_file(tmp_path / "backup").replace(bench.file)
    for name in ("-wal", "-shm"):
        Path(f"{bench.file}{name}").unlink(missing_ok=True)
    bench.now_s += SURE_S
    with pytest.raises(Unavailable, match="another file"):
        bench.run(arrival("evt_1"))
    assert bench.run(arrival("evt_1"), arrival("evt_1")) == [(False, 1), (True, 0)]
    assert count(bench.file, "event") == 1


class Sender:
    """Has gone away once it is said so."""

    gone = False

    def done(self) -> bool:
        return self.gone

    def set_result(self, _: object) -> None: ...
    def set_exception(self, _: BaseException) -> None: ...


def test_what_a_commit_that_failed_would_have_stored_is_not_remembered(bench: Bench) -> None:
    """The second try leaves out whose sender was told to come again meanwhile: when it does, it is new."""
    sender = Sender()

    def spoil(tx: Transaction) -> None:
        sender.gone = True
        raise ValueError("the whole commit is rolled back")

    async def both() -> None:
        bench.writer.record_for(sender, arrival("evt_1"))
        with pytest.raises(ValueError, match="rolled back"):
            await bench.writer.write(spoil)

    asyncio.run(both())
    assert count(bench.file, "event") == 0
    assert bench.run(arrival("evt_2"), arrival("evt_1")) == [(False, 1), (False, 1)]


def test_what_was_stored_for_somebody_who_has_gone_is_known_when_he_comes_again(bench: Bench) -> None:
    sender = Sender()

    def leave(tx: Transaction) -> None:
        sender.gone = True  # arrivals come first: it is already written, and committed with this

    async def both() -> None:
        bench.writer.record_for(sender, arrival("evt_1"))
        await bench.writer.write(leave)

    asyncio.run(both())
    assert bench.run(arrival("evt_1")) == [(True, 0)]


# ── by itself ──


@pytest.mark.parametrize(
    ("window_us", "age_us", "found"),
    [
        (HOUR_US, AGE_US, True),
        (HOUR_US, AGE_US + 1, False),
        (60_000_000, 60_000_000, True),
        (60_000_000, 60_000_001, False),
        (HOUR_US, -1, False),  # the clock was set back
    ],
)
def test_it_is_known_for_ten_minutes_or_its_window(window_us: int, age_us: int, *, found: bool) -> None:
    recent = known(arrival("sha256:1", at_us=NOW_US, window_us=window_us))
    copy = arrival("sha256:1", at_us=NOW_US + age_us, window_us=window_us)
    assert (recent.find(copy) == [Recorded(1, duplicate=True)]) == found


@pytest.mark.parametrize(
    "other",
    [lambda: arrival("evt_2"), lambda: arrival("evt_1", source="github"), lambda: arrival("evt_1", body=b"other")],
    ids=["id", "source", "bytes"],
)
def test_only_the_same_bytes_of_the_same_id_of_the_same_source_are_known(other: Callable[[], Arrival]) -> None:
    recent = known(arrival("evt_1"))
    assert recent.find(arrival("evt_1")) is not None
    assert recent.find(other()) is None


def test_what_was_a_duplicate_itself_is_not_remembered() -> None:
    recent = Recent()
    recent.add(arrival("evt_1"), [Recorded(1, duplicate=True)])  # by its bytes it may be another event than the first
    assert recent.find(arrival("evt_1")) is None


def test_it_is_bounded_and_the_newest_stay() -> None:
    many = [arrival(f"evt_{number}") for number in range(3 * KEPT)]
    recent = known(*many)
    still = [recent.find(each) is not None for each in many]
    assert KEPT <= sum(still) <= 2 * KEPT
    assert all(still[-KEPT:])


def test_what_is_forgotten_is_forgotten() -> None:
    recent = known(*(arrival(f"evt_{number}") for number in range(KEPT + 1)))
    recent.forget()
    assert recent.find(arrival("evt_0")) is None
    assert recent.find(arrival(f"evt_{KEPT}")) is None
