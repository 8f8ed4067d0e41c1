"""`postern db`: a store is made, one that is current or newer is left alone; a whole one moves elsewhere."""

import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlmodel import SQLModel

from receiver.store.database import database_at
from receiver.store.move import Copied, move
from receiver.store.sqlite import SqliteDatabase
from receiver.store.writer import SURE_S
from tests.receiver.cli.conftest import Ended, Serving, postern
from tests.support.inside import PATH, STRIPE
from tests.support.postern import serving, write_project
from tests.support.rows import count, rows
from tests.support.sender import stripe, stripe_event
from tests.support.services import new_postgresql_database
from tests.support.stored import fill, stored
from tests.support.wire import post

Typed = Callable[..., Ended]


def test_a_store_is_made_once(tmp_path: Path, typed: Typed) -> None:
    path = tmp_path / "postern.db"
    ended = typed(tmp_path, "db", "upgrade")
    [(revision,)] = rows(path, "SELECT version_num FROM alembic_version")
    assert (ended.code, ended.out, ended.err) == (0, f"made {path} with schema {revision}\n", "")
    again = typed(tmp_path, "db", "upgrade")
    assert (again.code, again.out) == (0, f"nothing to do: {path} has schema {revision}\n")
    [row] = typed(tmp_path, "db", "upgrade", "--json").rows
    assert row == {"done": "current", "store": str(path), "schema": revision, "copy": None}


def test_a_newer_store_is_left_as_it_is(tmp_path: Path, typed: Typed) -> None:
    with stored(tmp_path) as shop:
        shop.sql("UPDATE alembic_version SET version_num = '9999'")
    ended = typed(tmp_path, "db", "upgrade")
    assert (ended.code, ended.out) == (
        0, f"left {tmp_path}/postern.db as it is: its schema 9999 is a newer version's, and this one runs on it\n",
    )  # fmt: skip


def test_what_is_no_store_or_cannot_be_written_is_said(tmp_path: Path, typed: Typed) -> None:
    (tmp_path / "bad.db").write_text("This is no database, but a text that is long enough to look at.")
    ended = typed(tmp_path, "db", "upgrade", environ={"POSTERN_STORE__URL": "sqlite:///bad.db"})
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        f"postern: the store cannot be read: file is not a database\n  at {tmp_path}/bad.db\n  Check [store] url.\n"
    )
    ended = typed(tmp_path, "db", "upgrade", environ={"POSTERN_STORE__URL": "sqlite:///none/x.db"})
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"postern: the store cannot be written: unable to open database file\n  at {tmp_path}/")


# ── move ──

QUESTIONS = (
    "events list --json",
    "events list --status attention --json",
    "events show shop:evt_ended --json",
    "events show shop:evt_ended --raw",
    "events explain shop:evt_ended --json",
    "events show ab:evt_again --json",
    "events explain a-b:evt_running --json",
    "rejections list --json",
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a store that holds something of everything."""
    with stored(tmp_path) as it:
        fill(it)
    return tmp_path


def test_everything_is_told_as_it_goes_and_what_to_type_next(shop: Path, typed: Typed) -> None:
    ended = typed(shop, "db", "move", "sqlite:///new.db")
    assert (ended.code, ended.err) == (0, "")
    *tables, moved, following, old = ended.out.splitlines()
    counts = {name: int(rows) for name, rows in map(str.split, tables)}
    assert counts == {name: count(shop / "new.db", name) for name in sorted(SQLModel.metadata.tables)}
    total = sum(counts.values())
    assert moved == f"moved to {shop}/new.db: 7 events, {total} rows, and what is there now was compared"
    assert following == 'next: set [store] url = "sqlite:///new.db", and start Postern'
    assert old == f"the old store, {shop}/postern.db, is marked: nothing works on it any more; delete it when you like"


def test_what_was_read_before_is_read_after_from_postgresql(shop: Path, typed: Typed) -> None:
    before = [typed(shop, *question.split()) for question in QUESTIONS]
    assert all((ended.code, bool(ended.out)) == (0, True) for ended in before)
    with new_postgresql_database() as url:
        secret = url.replace("postern@", "postern:geheim@")
        ended = typed(shop, "db", "move", secret)
        assert (ended.code, ended.err) == (0, "")
        shown = url.replace("postern@", "postern:…@")
        assert f'next: set [store] url = "{shown}", and start Postern\n' in ended.out
        assert "geheim" not in ended.out
        after = [typed(shop, *question.split(), environ={"POSTERN_STORE__URL": url}) for question in QUESTIONS]
        assert after == before
        assert typed(shop, "db", "move", "sqlite:///back.db", environ={"POSTERN_STORE__URL": url}).code == 0
    after = [
        typed(shop, *question.split(), environ={"POSTERN_STORE__URL": "sqlite:///back.db"}) for question in QUESTIONS
    ]
    assert after == before


def test_a_table_is_one_object_a_line_in_json(shop: Path, typed: Typed) -> None:
    *tables, moved = typed(shop, "db", "move", "sqlite:///new.db", "--json").rows
    assert [(table["table"], table["rows"], len(table["sha256"])) for table in tables] == [
        (table["table"], count(shop / "new.db", table["table"]), 64) for table in tables
    ]
    total = sum(table["rows"] for table in tables)
    assert moved == {"events": 7, "rows": total, "from": f"{shop}/postern.db", "to": f"{shop}/new.db"}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (
            "mysql://postern:geheim@db/x",
            "not the URL of a store: it must be sqlite:///PATH or postgresql://…\n  at mysql://postern:…@db/x\n",
        ),
        (
            "sqlite:///:memory:",
            "not the URL of a store: it must be sqlite:///PATH or postgresql://…\n  at sqlite:///:memory:\n",
        ),
        (
            "postgresql://db/x?colour=red",
            'not an address of PostgreSQL: invalid URI query parameter: "colour"\n  at URL\n'
            '  Write it as "postgresql://user:password@host:5432/database"\n',
        ),
        (
            "postgresql://postern:geheim@db/",
            'the address names no database\n  at URL\n  Write it as "postgresql://user:password@host:5432/database"\n',
        ),
    ],
)
def test_an_address_of_no_store_is_wrong_use(shop: Path, typed: Typed, url: str, said: str) -> None:
    ended = typed(shop, "db", "move", url)
    assert (ended.code, ended.out, ended.err) == (2, "", f"postern: {said}")


def test_a_running_postern_is_named(shop: Path, typed: Typed, serve: Callable[..., Serving]) -> None:
    one = serve(shop)
    one.listening()
    ended = typed(shop, "db", "move", "sqlite:///new.db")
    assert (ended.code, ended.out) == (1, "")
    what, where, fix = ended.err.splitlines()
    assert (what, where) == ("postern: Postern is running on this store", f"  at {shop}/postern.db")
    assert fix.startswith("  Stop it first, or wait 15 s after a kill: process ")
    assert f"process {one.process.pid} on {socket.gethostname()} (receiver)" in fix
    assert one.stop() == 0
    assert typed(shop, "db", "move", "sqlite:///new.db").code == 0


def test_a_postern_that_starts_meanwhile_says_that_it_cannot_write(shop: Path, serve: Callable[..., Serving]) -> None:
    ends: list[tuple[int, str]] = []

    def start_one(table: Copied) -> None:
        if not ends:
            one = serve(shop)
            _, said = one.process.communicate(timeout=60)
            ends.append((one.process.returncode, said.splitlines()[-3]))

    move(SqliteDatabase(f"{shop}/postern.db"), SqliteDatabase(f"{shop}/new.db"), start_one)
    assert ends == [(1, "postern: the store cannot be written: database is locked")]
    assert count(shop / "new.db", "event") == count(shop / "postern.db", "moved_event") == 7


HAS_MOVED = """\
postern: this store has moved: all of it is at another place
  at {}
  Set [store] url to where it went. To bring it back: postern db move, from there, to a new place.
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def at(request: pytest.FixtureRequest, shop: Path) -> Iterator[str]:
    """The URL of the shop's store: in its file, or moved to a server."""
    here = f"sqlite:///{shop}/postern.db"
    if request.param == "sqlite":
        yield here
        return
    with new_postgresql_database() as url:
        moved(here, url)
        yield url


def moved(old: str, new: str) -> None:
    move(database_at(old), database_at(new), lambda table: None)


COMMANDS = (
    *("worker", "status", "status --json", "events list", "events show shop:evt_ended"),
    *("events explain shop:evt_ended", "rejections list", "replay event shop:evt_ended"),
    *("db upgrade", "db move sqlite:///third.db"),
)


def test_no_command_works_on_the_old_store_and_each_says_what_to_do(shop: Path, typed: Typed, at: str) -> None:
    moved(at, f"sqlite:///{shop}/new.db")
    said = HAS_MOVED.format(database_at(at).shown)
    for command in COMMANDS:
        queue = "redis://127.0.0.1:1/0" if command == "worker" else "memory://"
        environ = {"POSTERN_STORE__URL": at, "POSTERN_QUEUE__URL": queue}
        ended = typed(shop, *command.split(), environ=environ)
        assert (command, ended.code, ended.out, ended.err) == (command, 1, "", said)
    served = postern(shop, "serve", "--port", "0", POSTERN_STORE__URL=at)
    assert (served.returncode, served.stdout, served.stderr) == (1, "", said)
    assert not (shop / "third.db").exists()


def test_a_receiver_that_stood_still_meanwhile_takes_nothing_in(shop: Path, at: str) -> None:
    """It wakes up with the old store open: `503` for what is new and for what it has had, and vendors send again."""
    new = shop / "new.db"
    write_project(shop, STRIPE)
    with serving(shop, {"POSTERN_STORE__URL": at}) as receiver:
        port = receiver.port
        assert deliver(port, "evt_1") == 200
        with at_rest(at):
            receiver.signal(signal.SIGSTOP)
        try:
            forget(at)
            moved(at, f"sqlite:///{new}")
            time.sleep(SURE_S)
        finally:
            receiver.signal(signal.SIGCONT)
        assert [deliver(port, name) for name in ("evt_1", "evt_2")] == [503, 503]
    assert rows(new, "SELECT external_id FROM event WHERE source = 'stripe'") == [("evt_1",)]


def deliver(port: int, name: str) -> int:
    body = stripe_event(name)
    return post(port, PATH, body, stripe(body)).status


@contextmanager
def at_rest(url: str) -> Iterator[None]:
    """While nobody is in the middle of a write, which would keep the file locked for as long as he stands still."""
    if not url.startswith("sqlite"):
        yield
        return
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10, isolation_level=None)) as file:
        file.execute("BEGIN IMMEDIATE")
        yield
        file.execute("ROLLBACK")


def forget(url: str) -> None:
    """As if all processes had been silent for a minute."""
    silence = "UPDATE process SET seen_at = seen_at - 60000000"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file, file:
            file.execute(silence)
    else:
        with psycopg.connect(url) as server:
            server.execute(silence)
