"""What only a store in one file has: the copy beside it, its pages, its name; the rest is in conformance."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlmodel import SQLModel

import receiver.store.models  # noqa: F401  the tables register themselves
from receiver.errors import UserError
from receiver.store import open_store, schema
from receiver.store.sqlite import SqliteDatabase
from tests.support.migrations import NEWEST, later_migrations
from tests.support.rows import rows


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "postern.db"


@pytest.fixture
def later(tmp_path: Path) -> schema.Migrations:
    return later_migrations(tmp_path)


def files(file: Path) -> set[str]:
    return {path.name for path in file.parent.iterdir() if path.name.startswith(file.name)}


def test_indexes_are_the_same_too_with_their_conditions(file: Path, tmp_path: Path) -> None:
    schema.upgrade(SqliteDatabase(str(file)))
    other = tmp_path / "models.db"
    other.touch()
    engine = SqliteDatabase(str(other)).engine()
    SQLModel.metadata.create_all(engine)
    engine.dispose()
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
    assert rows(file, sql) == rows(other, sql)


def test_an_upgrade_of_what_is_new_already_changes_nothing(file: Path) -> None:
    assert schema.upgrade(SqliteDatabase(str(file))) is None
    before = file.read_bytes()
    assert schema.upgrade(SqliteDatabase(str(file))) is None
    assert file.read_bytes() == before
    assert f"postern.db.{NEWEST}.bak" not in files(file)


def test_a_store_is_durable_and_its_pages_are_as_meant(file: Path) -> None:
    schema.upgrade(SqliteDatabase(str(file)))
    assert rows(file, "PRAGMA journal_mode") == [("wal",)]
    assert rows(file, "PRAGMA page_size") == [(8192,)]


def test_an_empty_file_is_a_store_to_be(file: Path) -> None:
    file.touch()
    schema.upgrade(SqliteDatabase(str(file)))
    schema.check(SqliteDatabase(str(file)))


@pytest.mark.parametrize("name", ["a b", "50%", "who?", "so#so", "%41", "é"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    store = open_store(f"sqlite:///{folder}/postern.db", create=True)
    with store.reading() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM event").scalar() == 0
    store.close()
    assert [path.name for path in folder.iterdir()] == ["postern.db"]
    assert {path.name for path in tmp_path.iterdir()} == {name}


def test_an_older_store_is_upgraded_after_it_was_copied(file: Path, later: schema.Migrations) -> None:
    schema.upgrade(SqliteDatabase(str(file)))
    file.chmod(0o600)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("INSERT INTO source (name) VALUES ('stripe')")
    assert schema.upgrade(SqliteDatabase(str(file)), later) == f"{file}.{NEWEST}.bak"
    assert rows(file, "SELECT name, note FROM source") == [("stripe", None)]
    copy = Path(f"{file}.{NEWEST}.bak")
    assert SqliteDatabase(str(copy)).revision() == NEWEST
    assert rows(copy, "SELECT name FROM source") == [("stripe",)]
    assert copy.stat().st_mode & 0o777 == 0o600  # it holds the same payloads
    assert files(file) == {"postern.db", f"postern.db.{NEWEST}.bak"}
    assert schema.upgrade(SqliteDatabase(str(file)), later) is None


def test_where_there_is_no_store_the_error_says_how_to_make_one(file: Path) -> None:
    with pytest.raises(UserError) as caught:
        open_store(f"sqlite:///{file}")
    assert caught.value.what == "there is no store yet"
    assert "postern serve" in caught.value.fix
    assert files(file) == set()


def test_a_file_that_is_no_store_is_not_touched(file: Path) -> None:
    file.write_bytes(b"a letter" * 1000)
    for create in (False, True):
        with pytest.raises(UserError, match="not a database"):
            open_store(f"sqlite:///{file}", create=create)
    assert file.read_bytes() == b"a letter" * 1000
