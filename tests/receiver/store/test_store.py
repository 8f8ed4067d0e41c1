"""An open store: what is noted reaches it, what must be written is, and reading says so when it cannot."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from receiver.store import Store, Transaction, Unavailable, reads
from receiver.store.activity import KEPT, Refusal
from receiver.store.sqlite import SqliteDatabase
from tests.support.rows import count, rows
from tests.support.stores import arrival, new_file
from tests.support.until import until


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return new_file(tmp_path)


@pytest.fixture
def store(file: Path) -> Iterator[Store]:
    with closing(Store(SqliteDatabase(str(file), durable=False))) as it:
        yield it


def refuse(store: Store, body: bytes, source: str = "stripe", detail: str = "why") -> None:
    store.activity.refused(Refusal(source, 1, "signature_mismatch", detail, None, len(body), b"", body))
    store.noted()


def test_what_is_noted_is_written_soon(store: Store, file: Path) -> None:
    refuse(store, b"{}")
    until(lambda: count(file, "rejection"), 5)
    assert rows(file, "SELECT refused, last_refused_code FROM source") == [(1, "signature_mismatch")]


def test_what_is_noted_is_written_at_the_latest_when_it_closes(store: Store, file: Path) -> None:
    store.flush()
    for number in range(10):
        refuse(store, b"%d" % number)
    store.close()
    assert count(file, "rejection") == 10


def test_of_many_flushes_the_newest_thousand_of_each_source_stay(store: Store, file: Path) -> None:
    refuse(store, b"kept", source="quiet")
    for part in range(5):
        for number in range(300):
            refuse(store, b"%d" % (part * 300 + number))
        store.flush()
    store.close()
    kept = {body for (body,) in rows(file, "SELECT body FROM rejection WHERE source = 'stripe'")}
    assert kept == {b"%d" % number for number in range(1500 - KEPT, 1500)}
    assert count(file, "rejection", "source = 'quiet'") == 1


def test_what_could_not_be_noted_during_an_outage_is_noted_after_it(store: Store, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refuse(store, b"during")
        store.flush()
        other.execute("ROLLBACK")
    store.close()
    assert rows(file, "SELECT body FROM rejection") == [(b"during",)]
    assert rows(file, "SELECT refused FROM source") == [(1,)]


def test_a_note_that_cannot_be_written_does_not_end_the_noting(store: Store, file: Path) -> None:
    refuse(store, b"first", detail="\ud800")
    store.flush()
    refuse(store, b"second")
    until(lambda: count(file, "rejection"), 5)
    assert rows(file, "SELECT body FROM rejection") == [(b"second",)]


def test_a_write_s_error_is_its_caller_s(store: Store, file: Path) -> None:
    def spoilt(tx: Transaction) -> None:
        tx.run("INSERT INTO source (name) VALUES ('spoilt')")
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        asyncio.run(store.write(spoilt))
    with pytest.raises(LookupError, match="mine"):
        store.write_from_thread(spoilt)
    assert count(file, "source") == 0


def test_what_must_be_written_waits_for_the_end_of_an_outage(store: Store, file: Path) -> None:
    async def insist(other: sqlite3.Connection) -> int:
        waiting = asyncio.ensure_future(
            store.insist(lambda tx: tx.run("INSERT INTO source (name) VALUES ('insisted')"))
        )
        with suppress(Unavailable):
            await store.probe()
        assert not waiting.done()
        other.execute("ROLLBACK")
        return await waiting

    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert asyncio.run(insist(other)) == 1


def test_every_listener_hears_of_new_work(store: Store) -> None:
    heard: list[str] = []
    store.on_work(lambda: heard.append("first"))
    store.on_work(lambda: heard.append("second"))

    async def record() -> None:
        await store.record(arrival("evt_1"))

    asyncio.run(record())
    until(lambda: len(heard) == 2, 5)
    assert heard == ["first", "second"]


def test_a_store_that_cannot_be_read_says_so_and_is_not_made_anew(store: Store, file: Path, tmp_path: Path) -> None:
    file.rename(tmp_path / "away.db")
    with pytest.raises(Unavailable), store.reading() as session:
        reads.unfinished(session)
    assert not file.exists()
