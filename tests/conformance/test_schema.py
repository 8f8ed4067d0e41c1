"""Every store: its tables are made once, upgraded as a whole, and left alone by a version that does not know them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

import receiver.store.models  # noqa: F401  the tables register themselves
from receiver.errors import UserError
from receiver.store import open_store, schema
from receiver.store.database import Database, database_at
from receiver.store.processes import prove_writable
from tests.support import services
from tests.support.migrations import A_NOTE, LATER, NEWEST, later_migrations
from tests.support.postern import REPOSITORY

UPGRADE = """
import sys
from pathlib import Path
from receiver.store import schema
from receiver.store.database import database_at
schema.upgrade(database_at(sys.argv[1]), schema.Migrations(Path(sys.argv[2])))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/postern.db"
    else:
        with services.new_postgresql_database() as url:
            yield url


@pytest.fixture
def empty(empty_url: str) -> Database:
    return database_at(empty_url)


@pytest.fixture
def later(tmp_path: Path) -> schema.Migrations:
    return later_migrations(tmp_path)


def columns(database: Database, table: str) -> set[str]:
    engine = database.engine()
    with engine.connect() as connection:
        names = connection.exec_driver_sql(f"SELECT * FROM {table}").keys()
    engine.dispose()
    return set(names)


def test_the_models_and_the_migrations_are_the_same_tables(empty: Database) -> None:
    schema.upgrade(empty)
    engine = empty.engine()
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()


def test_an_upgrade_of_what_is_new_already_changes_nothing(empty: Database) -> None:
    assert empty.revision() is None
    for _ in range(2):
        assert schema.upgrade(empty) is None
        schema.check(empty)
        assert empty.revision() == schema.SHIPPED.newest()


def test_an_older_store_is_refused_with_the_command_to_type(empty: Database, later: schema.Migrations) -> None:
    schema.upgrade(empty)
    with pytest.raises(UserError) as caught:
        schema.check(empty, later)
    assert str(caught.value).splitlines() == [
        f"the store has the older schema {NEWEST}",
        f"  at {empty.shown}",
        "  Run `postern db upgrade`.",
    ]


def test_a_newer_version_s_store_is_taken_as_it_is(empty: Database, empty_url: str, later: schema.Migrations) -> None:
    schema.upgrade(empty, later)
    schema.check(empty)
    assert schema.upgrade(empty) is None
    assert empty.revision() == LATER
    with closing(open_store(empty_url, create=True)) as store:
        store.write_from_thread(prove_writable)


@pytest.mark.parametrize("first", [False, True])
def test_two_processes_may_upgrade_at_once(
    empty: Database, empty_url: str, later: schema.Migrations, first: bool
) -> None:
    if first:
        schema.upgrade(empty)
    command = [sys.executable, "-c", UPGRADE, empty_url, str(later.folder)]
    both = [subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=30)
        assert (process.returncode, said.decode()) == (0, "")
    assert empty.revision() == LATER
    assert "note" in columns(empty, "source")


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(empty: Database, later: schema.Migrations) -> None:
    schema.upgrade(empty)
    broken = later.folder / "versions" / f"{LATER}_a_note.py"
    broken.write_text(A_NOTE + '    op.execute("INSERT INTO nowhere VALUES (1)")\n')
    with pytest.raises(UserError) as caught:
        schema.upgrade(empty, later)
    assert caught.value.what.startswith("the store cannot be written: ")
    assert "nowhere" in caught.value.what
    assert len(str(caught.value).splitlines()) == 3
    assert empty.revision() == NEWEST
    assert "note" not in columns(empty, "source")
