"""Tables are made once, upgraded with a copy beside them, and never changed by a version that does not know them."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

import receiver.store.models  # noqa: F401  the tables register themselves
from receiver.errors import UserError
from receiver.store import open_store, schema
from receiver.store.processes import prove_writable
from tests.support.postern import REPOSITORY
from tests.support.rows import rows

SECOND = """
revision = "0002"
down_revision = "0001"

from alembic import op
import sqlalchemy as sa

def upgrade():
    op.add_column("source", sa.Column("note", sa.Text()))
"""
UPGRADE = """
import sys
from pathlib import Path
from receiver.store import schema
schema.upgrade(Path(sys.argv[1]), schema.Migrations(Path(sys.argv[2])))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "postern.db"


@pytest.fixture
def later(tmp_path: Path) -> schema.Migrations:
    """The migrations of a version that comes after this one."""
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    for path in schema.SHIPPED.folder.rglob("*"):
        if path.suffix in (".py", ".mako"):
            (folder / path.relative_to(schema.SHIPPED.folder)).write_bytes(path.read_bytes())
    (folder / "versions" / "0002_a_note.py").write_text(SECOND)
    return schema.Migrations(folder)


def files(file: Path) -> set[str]:
    return {path.name for path in file.parent.iterdir() if path.name.startswith(file.name)}


def test_the_models_and_the_migrations_are_the_same_tables(file: Path) -> None:
    schema.upgrade(file)
    engine = schema.engine_for(str(file))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()


def test_indexes_are_the_same_too_with_their_conditions(file: Path, tmp_path: Path) -> None:
    schema.upgrade(file)
    other = tmp_path / "models.db"
    other.touch()
    engine = schema.engine_for(str(other))
    SQLModel.metadata.create_all(engine)
    engine.dispose()
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
    assert rows(file, sql) == rows(other, sql)


def test_an_upgrade_of_what_is_new_already_changes_nothing(file: Path) -> None:
    assert schema.upgrade(file) is None
    before = file.read_bytes()
    assert schema.upgrade(file) is None
    assert file.read_bytes() == before
    assert "postern.db.0001.bak" not in files(file)


def test_a_store_is_durable_and_its_pages_are_as_meant(file: Path) -> None:
    schema.upgrade(file)
    assert rows(file, "PRAGMA journal_mode") == [("wal",)]
    assert rows(file, "PRAGMA page_size") == [(8192,)]


def test_an_empty_file_is_a_store_to_be(file: Path) -> None:
    file.touch()
    schema.upgrade(file)
    schema.check(file)


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


def test_an_older_store_is_refused_with_the_command_to_type(file: Path, later: schema.Migrations) -> None:
    schema.upgrade(file)
    with pytest.raises(UserError) as caught:
        schema.check(file, later)
    assert str(caught.value).splitlines() == [
        "the store has the older schema 0001",
        f"  at {file}",
        "  Run `postern db upgrade`.",
    ]


def test_an_older_store_is_upgraded_after_it_was_copied(file: Path, later: schema.Migrations) -> None:
    schema.upgrade(file)
    file.chmod(0o600)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("INSERT INTO source (name) VALUES ('stripe')")
    assert schema.upgrade(file, later) == f"{file}.0001.bak"
    assert rows(file, "SELECT name, note FROM source") == [("stripe", None)]
    copy = Path(f"{file}.0001.bak")
    assert schema.current(copy) == "0001"
    assert rows(copy, "SELECT name FROM source") == [("stripe",)]
    assert copy.stat().st_mode & 0o777 == 0o600  # it holds the same payloads
    assert files(file) == {"postern.db", "postern.db.0001.bak"}
    assert schema.upgrade(file, later) is None


def test_a_newer_version_s_store_is_taken_as_it_is(file: Path, later: schema.Migrations) -> None:
    schema.upgrade(file, later)
    schema.check(file)
    assert schema.upgrade(file) is None
    assert schema.current(file) == "0002"
    store = open_store(f"sqlite:///{file}", create=True)
    store.write_from_thread(prove_writable)
    store.close()


@pytest.mark.parametrize("first", [None, "0001"])
def test_two_processes_may_upgrade_at_once(file: Path, later: schema.Migrations, first: str | None) -> None:
    if first:
        schema.upgrade(file)
    command = [sys.executable, "-c", UPGRADE, str(file), str(later.folder)]
    both = [subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=30)
        assert (process.returncode, said.decode()) == (0, "")
    assert schema.current(file) == "0002"
    assert rows(file, "PRAGMA integrity_check") == [("ok",)]
    if first:
        assert schema.current(Path(f"{file}.0001.bak")) == "0001"


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(file: Path, later: schema.Migrations) -> None:
    schema.upgrade(file)
    broken = later.folder / "versions" / "0002_a_note.py"
    broken.write_text(SECOND + '    op.execute("INSERT INTO nowhere VALUES (1)")\n')
    with pytest.raises(UserError) as caught:
        schema.upgrade(file, later)
    assert caught.value.what == "the store cannot be written: no such table: nowhere"
    assert len(str(caught.value).splitlines()) == 3
    assert schema.current(file) == "0001"
    assert "note" not in str(rows(file, "SELECT sql FROM sqlite_master"))


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
