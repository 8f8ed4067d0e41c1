"""Checkpoints beside a writer: the file, its log and the thread, looked at from outside."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from receiver.store.checkpoint import CHANGES, CHECKPOINT, LOG_PAGES, Checkpoints
from receiver.store.intake import DELIVERY
from receiver.store.sqlite import SqliteConnection, connect
from tests.support.rows import count
from tests.support.stores import new_file
from tests.support.until import until

PAGE = 8192
MOST_BYTES = 4 * LOG_PAGES * PAGE  # less than what SQLite itself would let it grow to
INSERT = "INSERT INTO delivery (id, headers, body) VALUES (?, ?, ?)"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return new_file(tmp_path)


@pytest.fixture
def database(file: Path) -> Iterator[SqliteConnection]:
    with closing(SqliteConnection(str(file), durable=False)) as it:
        yield it


def write(database: SqliteConnection, many: int = CHANGES, size: int = 10) -> None:
    """One commit that changes so many rows."""
    tx = database.begin()
    [(last,)] = tx.all("SELECT coalesce(max(id), 0) FROM delivery")
    tx.insert("delivery", DELIVERY, [(last + n, b"", bytes(size)) for n in range(1, many + 1)])
    database.commit()


def log(file: Path) -> Path:
    return Path(f"{file}-wal")


def beginning(file: Path) -> int:
    """How often the log began anew, as its header counts it: https://www.sqlite.org/fileformat2.html#walformat"""
    with log(file).open("rb") as opened:
        return int.from_bytes(opened.read(16)[12:])


def alone(file: Path) -> int:
    """The deliveries that the file itself holds, without its log; -1 while pages are just being moved into it."""
    with closing(sqlite3.connect(f"{file.as_uri()}?immutable=1", uri=True)) as connection:
        try:
            return count_of(connection)
        except sqlite3.DatabaseError:
            return -1


def count_of(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("SELECT count(*) FROM delivery").fetchone()[0]
    return number


def threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "store-checkpoints"}


def test_what_is_committed_moves_into_the_file_beside_the_writer(database: SqliteConnection, file: Path) -> None:
    write(database, CHANGES - 1)
    assert alone(file) == 0
    write(database, 1)
    until(lambda: alone(file) == CHANGES, 10)
    assert beginning(file) == 0


def test_a_writer_in_the_middle_of_a_transaction_keeps_nothing_from_moving(
    database: SqliteConnection, file: Path
) -> None:
    write(database)
    tx = database.begin()
    tx.insert("delivery", DELIVERY, [(-1, b"", b"")])
    until(lambda: alone(file) == CHANGES, 10)
    database.rollback()


def test_under_steady_writing_the_log_begins_anew_and_does_not_grow_without_end(
    database: SqliteConnection, file: Path
) -> None:
    write(database, size=PAGE)
    while beginning(file) < 4:
        write(database, size=PAGE)
        assert log(file).stat().st_size < MOST_BYTES
    database.close()
    assert alone(file) >= 3 * CHANGES


def test_a_disk_on_which_nothing_can_be_moved_harms_no_commit(file: Path) -> None:
    tried = threading.Semaphore(0)

    def connect_in_vain() -> sqlite3.Connection:
        tried.release()
        raise sqlite3.OperationalError("unable to open database file")

    with closing(connect(str(file), durable=False)) as writer:
        checkpoints = Checkpoints(connect_in_vain)
        for number in range(3):
            writer.executemany(INSERT, [(number * CHANGES + n, b"", b"") for n in range(CHANGES)])
            checkpoints.committed(writer)
            assert tried.acquire(timeout=10)
        checkpoints.end()
    assert count(file, "delivery") == 3 * CHANGES


def test_the_writer_s_own_last_bit_may_fail_as_well(file: Path) -> None:
    with closing(connect(str(file), durable=False)) as writer:
        writer.execute("BEGIN")
        writer.executemany(INSERT, [(n, b"", bytes(PAGE)) for n in range(LOG_PAGES)])
        writer.execute("COMMIT")
        checkpoints = Checkpoints(partial(connect, str(file), durable=False))
        checkpoints.committed(writer)
        writer.execute("BEGIN")
        count_of(writer)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.execute(CHECKPOINT)
        statements: list[str] = []
        writer.set_trace_callback(statements.append)

        def committed() -> list[str]:
            checkpoints.committed(writer)
            return statements

        assert until(committed, 10) == [CHECKPOINT]
        checkpoints.end()


def test_with_the_connection_its_thread_ends_and_no_log_is_left(file: Path) -> None:
    before = threads()
    database = SqliteConnection(str(file), durable=False)
    for _ in range(3):
        write(database)
        assert len(threads() - before) == 1
        database.close()
        assert threads() == before
        assert not log(file).exists()
    assert alone(file) == 3 * CHANGES


def test_a_disk_that_stands_still_keeps_nobody_from_ending(file: Path) -> None:
    stands, goes_on = threading.Event(), threading.Event()

    def stand() -> sqlite3.Connection:
        stands.set()
        assert goes_on.wait(20)
        return connect(str(file), durable=False)

    before = threads()
    with closing(connect(str(file), durable=False)) as writer:
        checkpoints = Checkpoints(stand, end_s=0.05)
        writer.executemany(INSERT, [(n, b"", b"") for n in range(CHANGES)])
        checkpoints.committed(writer)
        assert stands.wait(10)
        began = time.monotonic()
        checkpoints.end()
        assert 0.05 <= time.monotonic() - began < 10
        goes_on.set()
    until(lambda: threads() == before, 10)
