"""What only SQLite has: its file, its durability, and the errors that mean an outage."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from receiver.store import Unavailable
from receiver.store.sqlite import SqliteConnection, SqliteTransaction, connect
from tests.support.rows import rows
from tests.support.stores import new_file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return new_file(tmp_path)


@pytest.fixture
def database(file: Path) -> Iterator[SqliteConnection]:
    """One that looks at its file each time."""
    with closing(SqliteConnection(str(file), look_s=0)) as it:
        yield it


def write(database: SqliteConnection, name: str) -> None:
    database.begin().run("INSERT INTO source (name) VALUES (:name)", name=name)
    database.commit()


def test_every_commit_is_fsynced(file: Path) -> None:
    with closing(connect(str(file))) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_store_that_has_gone_is_an_outage_and_is_found_again_when_it_is_back(
    database: SqliteConnection, file: Path, tmp_path: Path
) -> None:
    write(database, "before")
    away = file.rename(tmp_path / "away.db")
    for _ in range(2):
        with pytest.raises(Unavailable):
            database.begin()
    assert not file.exists()
    away.rename(file)
    write(database, "after")
    assert rows(file, "SELECT name FROM source ORDER BY name") == [("after",), ("before",)]


def test_another_file_in_the_store_s_place_is_noticed_before_it_is_used(
    database: SqliteConnection, file: Path, tmp_path: Path
) -> None:
    write(database, "before")
    (tmp_path / "other").mkdir()
    new_file(tmp_path / "other").replace(file)
    with pytest.raises(Unavailable, match="another file"):
        database.begin()
    for name in ("-wal", "-shm"):
        Path(f"{file}{name}").unlink(missing_ok=True)
    write(database, "after")
    assert rows(file, "SELECT name FROM source") == [("after",)]


def test_a_store_that_is_there_is_looked_at_only_now_and_then(file: Path, tmp_path: Path) -> None:
    with closing(SqliteConnection(str(file), look_s=3600)) as database:
        write(database, "before")
        file.rename(tmp_path / "away.db")
        write(database, "unnoticed")


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (sqlite3.OperationalError("database or disk is full"), True),
        (sqlite3.OperationalError("attempt to write a readonly database"), True),
        (sqlite3.OperationalError("no such table: event"), True),
        (sqlite3.DatabaseError("database disk image is malformed"), True),
        (sqlite3.IntegrityError("UNIQUE constraint failed"), False),
        (sqlite3.DataError("string or blob too big"), False),
        (sqlite3.ProgrammingError("You did not supply a value for binding 1"), False),
        (OverflowError("Python int too large to convert to SQLite INTEGER"), False),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), False),
    ],
)
def test_trouble_of_the_store_is_told_from_trouble_with_what_was_written(error: Exception, outage: bool) -> None:
    assert SqliteConnection("").is_outage(error) is outage


def test_a_broken_store_is_an_outage(database: SqliteConnection, file: Path) -> None:
    file.write_bytes(b"a letter" * 10_000)
    with pytest.raises(Unavailable):
        database.begin()


@pytest.mark.parametrize("amount", [0, 1, 2, 63, 64, 65, 127, 200])
def test_any_number_of_rows_goes_in_and_the_new_ones_are_counted(file: Path, amount: int) -> None:
    with closing(connect(str(file), durable=False)) as connection:
        tx = SqliteTransaction(connection)
        some = [(f"n{number}",) for number in range(amount)]
        assert tx.insert_new("source", "name text", some, "name") == amount
        assert tx.insert_new("source", "name text", [*some, ("one more",)], "name") == 1
        assert tx.all("SELECT count(*) FROM source") == [(amount + 1,)]
