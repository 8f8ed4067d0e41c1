"""A store moved to another: all of it, equal to the byte, or nothing; and whatever stands in the way is said."""

import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
import pytest
from sqlmodel import SQLModel

from receiver.errors import UserError
from receiver.store import Unavailable, bulk, ids, move, open_store, reads, runs, schema
from receiver.store.bulk import PostgresqlBulk, SqliteBulk
from receiver.store.database import database_at
from receiver.store.move import Copied
from receiver.store.runs import Claimed, Verdict
from tests.support import services
from tests.support.rows import count, rows
from tests.support.stored import SUCCEEDED, Stored, fill

TABLES = sorted(SQLModel.metadata.tables)
Place = Callable[[Path], AbstractContextManager[str]]


@contextmanager
def file(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/postern.db"


def server(folder: Path) -> AbstractContextManager[str]:
    return services.new_postgresql_database()


PLACES: dict[str, Place] = {"sqlite": file, "postgresql": server}


@pytest.fixture(params=PLACES)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store with something of everything."""
    with PLACES[request.param](tmp_path) as url:
        schema.upgrade(database_at(url))
        with closing(open_store(url)) as store:
            fill(Stored(store))
        yield url


@pytest.fixture(params=PLACES)
def new(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A place without anything."""
    folder = tmp_path / "new"
    folder.mkdir()
    with PLACES[request.param](folder) as url:
        yield url


only_postgresql = pytest.mark.parametrize("new", ["postgresql"], indirect=True)
from_sqlite = pytest.mark.parametrize("old", ["sqlite"], indirect=True)


def moved(old: str, new: str, copied: Callable[[Copied], None] = lambda table: None) -> None:
    move.move(database_at(old), database_at(new), copied)


def place(url: str) -> Path | str:
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else url


def everything(url: str, names: Mapping[str, str] = MappingProxyType({})) -> dict[str, list[tuple[Any, ...]]]:
    """As another driver call reads it: each table's rows in the order of Python."""

    def of(table: str) -> list[tuple[Any, ...]]:
        columns = ", ".join(SQLModel.metadata.tables[table].columns.keys())
        return sorted(rows(place(url), f"SELECT {columns} FROM {names.get(table, table)}"), key=repr)

    return {table: of(table) for table in TABLES}


def execute(url: str, *statements: str) -> None:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(place(url))) as connection:
            connection.executescript(";".join(statements))
    else:
        with psycopg.connect(url) as server:
            for statement in statements:
                server.execute(statement.encode())


MARKED = ("event", "run")


def kept(old: str) -> dict[str, list[tuple[Any, ...]]]:
    """What a marked store still holds, under the names that it had."""
    return everything(old, {name: f"moved_{name}" for name in MARKED})


def is_empty(url: str) -> bool:
    return not any(count(place(url), table) for table in TABLES)


# ── all of it ──


def works(url: str) -> bool:
    """Whether it is a store that takes events, as before a move that came to nothing."""
    with closing(open_store(url)) as store:
        Stored(store).arrive("evt_after")
    return count(place(url), "event", "external_id = 'evt_after'") == 1


def test_a_moved_store_is_equal_and_the_old_one_still_holds_it_all(old: str, new: str) -> None:
    before = everything(old)
    assert all(before.values()), "each table has something to move"
    told: list[Copied] = []
    moved(old, new, told.append)
    assert everything(new) == kept(old) == before
    assert {table.table: table.rows for table in told} == {name: len(found) for name, found in before.items()}


@only_postgresql
@from_sqlite
def test_there_and_back_again_is_the_same_to_the_byte(old: str, new: str, tmp_path: Path) -> None:
    back = f"sqlite:///{tmp_path}/back.db"
    there: list[Copied] = []
    here_again: list[Copied] = []
    before = dump(old)
    moved(old, new, there.append)
    moved(new, back, here_again.append)
    assert dump(back) == before
    assert there == here_again, "the hashes do not depend on the engine"


def dump(url: str) -> list[str]:
    with closing(sqlite3.connect(place(url))) as connection:
        return sorted(connection.iterdump())


@only_postgresql
@from_sqlite
def test_the_hashes_do_not_depend_on_how_a_server_sorts(old: str, new: str) -> None:
    schema.upgrade(database_at(new))
    languages = [
        f'ALTER TABLE {table} ALTER COLUMN {column} TYPE text COLLATE "en-x-icu"'
        for table, column in (("source", "name"), ("offer", "handler"))
    ]
    execute(new, *languages)
    before = everything(old)
    moved(old, new)
    assert everything(new) == before


def test_what_was_begun_in_the_old_store_is_ended_in_the_new_one(old: str, new: str) -> None:
    moved(old, new)
    with closing(open_store(new)) as store:
        shop = Stored(store)
        [(waiting,)] = rows(place(old), "SELECT id FROM moved_run WHERE handler = 'soon'")
        [(first,)] = rows(place(old), "SELECT id FROM moved_event WHERE external_id = 'evt_again'")
        again = shop.arrive("evt_again", source="ab", body=b'{"n": 1}')
        assert again == ids.text("ev", first)
        assert count(place(new), "event") == count(place(old), "moved_event")
        run = next(run for run in shop.claim("soon") if run.id == waiting)
        assert (run.external_id, run.attempt, run.body) == ("evt_waiting", 2, bytes(range(256)))
        shop.finish(run, SUCCEEDED)
        assert rows(place(new), "SELECT state FROM run WHERE id = ?", run.id) == [("succeeded",)]


def test_a_move_needs_little_memory_however_much_there_is(tmp_path: Path, new: str) -> None:
    old = f"sqlite:///{tmp_path}/postern.db"
    schema.upgrade(database_at(old))
    mib = 1 << 20
    execute(
        old,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 64)"
        f" INSERT INTO delivery SELECT i, x'00', randomblob({mib}) FROM n",
    )
    tracemalloc.start()
    try:
        moved(old, new)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count(place(new), "delivery") == 64
    assert peak < 24 * mib


# ── or nothing ──

SPOILT = {
    "sqlite": "CREATE TRIGGER spoilt AFTER INSERT ON delivery WHEN NEW.headers <> x'' BEGIN"
    " UPDATE delivery SET body = CAST(body || 'x' AS BLOB) WHERE id = NEW.id; END",
    "postgresql": "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS"
    " $$BEGIN NEW.body := NEW.body || 'x'::bytea; RETURN NEW; END$$;"
    "CREATE TRIGGER spoilt BEFORE INSERT ON delivery FOR EACH ROW EXECUTE FUNCTION spoil()",
}
LOST = {
    "sqlite": "CREATE TRIGGER lost BEFORE INSERT ON step BEGIN SELECT RAISE(IGNORE); END",
    "postgresql": "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;"
    "CREATE TRIGGER lost BEFORE INSERT ON step FOR EACH ROW EXECUTE FUNCTION lose()",
}


def engine(url: str) -> str:
    return url.partition(":")[0]


@from_sqlite
def test_one_byte_more_is_noticed_and_nothing_is_kept(old: str, new: str) -> None:
    schema.upgrade(database_at(new))
    execute(new, SPOILT[engine(new)])
    with pytest.raises(UserError) as refused:
        moved(old, new)
    found = count(place(old), "delivery")
    assert refused.value.what == (
        f"the copy of the table 'delivery' is not equal: {found} rows were given, {found} are there, and other ones"
    )
    assert is_empty(new)
    assert works(old)
    execute(new, "DROP TRIGGER spoilt" + (" ON delivery" if engine(new) == "postgresql" else ""))
    moved(old, new)
    assert everything(new) == kept(old)


@from_sqlite
def test_a_row_that_is_lost_is_noticed(old: str, new: str) -> None:
    schema.upgrade(database_at(new))
    execute(new, LOST[engine(new)])
    with pytest.raises(UserError) as refused:
        moved(old, new)
    assert refused.value.what == "the copy of the table 'step' is not equal: 2 rows were given, 0 are there"
    assert is_empty(new)
    assert works(old)


class Broken(Exception):
    pass


@pytest.mark.parametrize("broken_at", [TABLES[0], "run"])
def test_a_move_that_broke_off_is_typed_again(old: str, new: str, broken_at: str) -> None:
    def break_off(table: Copied) -> None:
        if table.table == broken_at:
            raise Broken

    with pytest.raises(Broken):
        moved(old, new, break_off)
    assert is_empty(new)
    assert works(old)
    moved(old, new)
    assert everything(new) == kept(old)


@pytest.mark.parametrize("old", ["postgresql"], indirect=True)
@pytest.mark.parametrize("new", ["sqlite"], indirect=True)
def test_where_the_old_store_cannot_be_marked_nothing_is_moved(
    old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "SETTINGS", bulk.SETTINGS.replace("'10s'", "'100ms'"))
    with psycopg.connect(old) as reader:  # a backup, for example
        reader.execute("SELECT 1 FROM event")
        error = refusal(old, new)
    assert error.what == "the store cannot be marked as moved: canceling statement due to lock timeout"
    assert is_empty(new)
    assert works(old)


@from_sqlite
def test_a_mark_that_is_lost_at_the_very_end_is_said(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(self: SqliteBulk) -> None:
        if self.identity() == bulk.bulk_of(database_at(old)).identity():
            raise UserError("the store cannot be written: disk I/O error", str(place(old)))
        commit(self)

    before = everything(old)
    commit = SqliteBulk.commit
    monkeypatch.setattr(SqliteBulk, "commit", lose)
    error = refusal(old, new)
    assert (error.what, error.where) == (
        "moved, but not marked as moved: the store cannot be written: disk I/O error", str(place(old))
    )  # fmt: skip
    assert everything(new) == before


@from_sqlite
def test_nobody_sees_half_a_store(old: str, new: str) -> None:
    seen: list[bool] = []
    moved(old, new, lambda table: seen.append(is_empty(new)))
    assert seen == [True] * len(TABLES)


@pytest.mark.parametrize("new", ["sqlite"], indirect=True)
def test_who_had_the_old_store_open_writes_nothing_into_it_meanwhile_and_afterwards(old: str, new: str) -> None:
    """It answers 503, and the vendor sends again, to where the store is then."""
    with closing(open_store(old)) as late:
        shop = Stored(late)
        held, *_ = shop.claim("soon")
        before = everything(old)
        told: list[Copied] = []

        def try_to_write(table: Copied) -> None:
            if not told:
                with pytest.raises(Unavailable):
                    shop.arrive("evt_meanwhile")
            told.append(table)

        moved(old, new, try_to_write)
        refuse_all(shop, held)
        with pytest.raises(Unavailable), late.reading() as session:
            reads.unfinished(session)
    assert everything(new) == kept(old) == before


def refuse_all(shop: Stored, held: Claimed) -> None:
    """Whatever takes an event in, begins with a run, asks whether it may still call, or ends it."""
    for write in (
        lambda: shop.arrive("evt_afterwards"),
        lambda: shop.arrive("evt_again", source="ab", body=b'{"n": 1}'),  # a duplicate
        lambda: shop.claim("soon"),
        lambda: shop.finish(held, SUCCEEDED),
        lambda: shop.finish(held, Verdict("waiting", "upstream", "503", wait_s=1.0, failure=True)),
        lambda: shop.store.write_from_thread(lambda tx: runs.renew(tx, [(held.id, held.token)], 60.0)),
        lambda: shop.store.write_from_thread(lambda tx: runs.is_live(tx, held.id, held.token)),
    ):
        with pytest.raises(Unavailable):
            write()


@pytest.mark.parametrize(("found", "then"), [("off", "on"), ("on", "on"), ("local", "local")])
@pytest.mark.parametrize("new", ["postgresql"], indirect=True)
def test_what_is_committed_is_durable_whatever_the_server_is_told_meanwhile(new: str, found: str, then: str) -> None:
    schema.upgrade(database_at(new))
    execute(new, f"ALTER DATABASE {new.rpartition('/')[2]} SET synchronous_commit = '{found}'")
    with closing(bulk.bulk_of(database_at(new))) as held:
        held.hold()
        assert isinstance(held, PostgresqlBulk)
        pinned = held._cursor.execute("SELECT setting, source FROM pg_settings WHERE name = 'synchronous_commit'")
        assert pinned.fetchall() == [(then, "session")]


# ── the old one, from then on ──


def test_a_store_that_has_moved_is_neither_opened_nor_upgraded_nor_moved_again(old: str, new: str) -> None:
    moved(old, new)
    before = kept(old)
    uses: tuple[Callable[[], object], ...] = (
        lambda: open_store(old),
        lambda: open_store(old, create=True),
        lambda: schema.upgrade(database_at(old)),
        lambda: moved(old, "sqlite:///none.db"),
    )
    for use in uses:
        with pytest.raises(UserError, match="this store has moved: all of it is at another place") as refused:
            use()
        assert refused.value.where == database_at(old).shown
    assert refusal(new, old).what == "not empty: there are tables of the schema moved"
    assert kept(old) == before


def test_what_was_moved_is_moved_on_to_a_third_place(old: str, new: str, tmp_path: Path) -> None:
    before = everything(old)
    third = f"sqlite:///{tmp_path}/third.db"
    moved(old, new)
    moved(new, third)
    assert everything(third) == kept(new) == before
    assert works(third)


# ── what stands in the way ──


def refusal(old: str, new: str) -> UserError:
    with pytest.raises(UserError) as refused:
        moved(old, new)
    return refused.value


@pytest.mark.parametrize("new", ["sqlite"], indirect=True)
def test_whoever_still_runs_is_named(old: str, new: str) -> None:
    with closing(open_store(old)) as store:
        Stored(store).worker()
    [(host, pid)] = rows(place(old), "SELECT host, pid FROM process WHERE stopped_at IS NULL")
    error = refusal(old, new)
    assert (error.what, error.fix) == (
        "Postern is running on this store",
        f"Stop it first, or wait 15 s after a kill: process {pid} on {host} (worker)",
    )
    assert not Path(place(new)).exists(), "nothing was made"
    assert works(old)


@pytest.mark.parametrize("new", ["sqlite"], indirect=True)
def test_a_process_id_that_is_not_here_may_be_that_of_another_container(old: str, new: str) -> None:
    """With our host name, and a view of processes of its own: it is gone when it has been silent for 15 s."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with closing(open_store(old)) as store:
        worker = Stored(store).worker()
    execute(old, f"UPDATE process SET pid = {ended.pid} WHERE id = {worker}")
    assert refusal(old, new).what == "Postern is running on this store"
    execute(old, f"UPDATE process SET seen_at = seen_at - 15000000 WHERE id = {worker}")
    moved(old, new)


@from_sqlite
@pytest.mark.parametrize(
    ("statement", "said", "fix"),
    [
        (
            "UPDATE alembic_version SET version_num = '9999'",
            "the store has the newer schema 9999",
            "Move it with the newer Postern.",
        ),
        (
            "DROP TABLE alembic_version",
            "there is no store yet",
            "Type postern serve in another terminal: it makes one. Or type postern db upgrade",
        ),
    ],
)
def test_a_store_of_another_version_is_not_moved(old: str, tmp_path: Path, statement: str, said: str, fix: str) -> None:
    execute(old, statement)
    error = refusal(old, f"sqlite:///{tmp_path}/new.db")
    assert (error.what, error.where, error.fix) == (said, str(place(old)), fix)


@from_sqlite
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("INSERT INTO source (name) VALUES ('shop')", "not empty: the table 'source' has rows"),
        ("UPDATE alembic_version SET version_num = '0000'", "not empty: there are tables of the schema 0000"),
        ("DROP TABLE alembic_version", "not empty: there is the table 'delivery'"),
    ],
)
def test_what_is_there_already_is_left_alone(old: str, new: str, statement: str, said: str) -> None:
    schema.upgrade(database_at(new))
    execute(new, statement)
    there = everything(new)
    error = refusal(old, new)
    assert (error.what, error.where, error.fix) == (said, database_at(new).shown, "Name a new and empty database.")
    assert everything(new) == there


@from_sqlite
def test_the_tables_of_others_stay_alone(old: str, new: str) -> None:
    execute(new, "CREATE TABLE invoice (id integer)")
    assert refusal(old, new).what == "not empty: there is the table 'invoice'"
    with pytest.raises((sqlite3.Error, psycopg.Error)):
        count(place(new), "event")


def test_a_store_is_not_moved_onto_itself(old: str, tmp_path: Path) -> None:
    before = everything(old)
    other = old.replace("127.0.0.1", "localhost")
    if engine(old) == "sqlite":
        (tmp_path / "alias.db").symlink_to(place(old))
        other = f"sqlite:///{tmp_path}/alias.db"
    for name in (old, other):
        assert refusal(old, name).what == "this is the store that is to be moved"
    assert everything(old) == before


@from_sqlite
def test_a_database_that_is_not_utf_8_is_refused(old: str) -> None:
    with services.new_postgresql_database() as url, ascii_only(url) as other:
        assert refusal(old, other).what == "the database's encoding is SQL_ASCII, and must be UTF8"


@contextmanager
def ascii_only(url: str) -> Iterator[str]:
    name = f"{url.rpartition('/')[2]}_ascii"
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'".encode())
        try:
            yield f"{url}_ascii"
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:5432", "postgresql://127.0.0.1:5432/", "postgresql://"])
def test_an_address_without_a_database_is_refused(url: str) -> None:
    """The driver would take the one that is named like the user."""
    with pytest.raises(UserError) as refused:
        database_at(url)
    assert (refused.value.what, refused.value.fix) == (
        "the address names no database", 'Write it as "postgresql://user:password@host:5432/database"'
    )  # fmt: skip


@from_sqlite
def test_a_server_that_is_not_there_is_said_without_the_password(old: str) -> None:
    error = refusal(old, "postgresql://postern:geheim@127.0.0.1:1/postern")
    assert error.what.startswith("the store cannot be reached: ")
    assert (error.where, error.fix) == (
        "postgresql://127.0.0.1:1/postern", "Check the address, and that a database is there."
    )  # fmt: skip
    assert "geheim" not in str(error)
