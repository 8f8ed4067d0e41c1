"""What only PostgreSQL has: a server that restarts, locks that others hold, settings of its own, errors by class."""

import threading
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from receiver.errors import UserError
from receiver.store import Unavailable, open_store, schema
from receiver.store.database import database_at
from receiver.store.postgresql import PostgresqlConnection, PostgresqlDatabase
from tests.conformance.bench import ask, change, record
from tests.conformance.conftest import make_tables
from tests.support import services
from tests.support.servers import PostgresqlServer
from tests.support.stores import arrival
from tests.support.until import until


@pytest.fixture
def url() -> Iterator[str]:
    with services.new_postgresql_database(make_tables) as it:
        yield it


def test_a_commit_is_durable_when_it_returns_whatever_the_database_is_set_to(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        name = other.info.dbname
        other.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    with closing(PostgresqlConnection(url)) as connection:
        assert connection.begin().all("SHOW synchronous_commit") == [("on",)]


def test_nobody_takes_durability_away_from_an_open_connection() -> None:
    with services.installed(PostgresqlServer) as server, closing(PostgresqlConnection(server.url)) as connection:
        assert connection.begin().all("SHOW synchronous_commit") == [("on",)]
        connection.commit()
        with psycopg.connect(server.url, autocommit=True) as other:
            other.execute("ALTER SYSTEM SET synchronous_commit = off")
            other.execute("SELECT pg_reload_conf()")
            until(lambda: _default(server.url) == "off", 5)
        assert connection.begin().all("SHOW synchronous_commit") == [("on",)]


def _default(url: str) -> str:
    with psycopg.connect(url) as new:
        ((value,),) = new.execute("SHOW synchronous_commit").fetchall()
        return str(value)


def test_a_stronger_durability_is_left_as_it_is(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        name = other.info.dbname
        other.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = remote_apply')
    with closing(PostgresqlConnection(url)) as connection:
        assert connection.begin().all("SHOW synchronous_commit") == [("remote_apply",)]


def test_who_stands_still_in_a_transaction_does_not_hold_its_rows(url: str) -> None:
    with closing(PostgresqlConnection(url)) as connection:
        tx = connection.begin()
        assert tx.all("SHOW idle_in_transaction_session_timeout") == [("5s",)]


def test_no_statement_is_compiled_however_expensive_it_looks(url: str) -> None:
    with closing(PostgresqlConnection(url)) as connection:
        assert connection.begin().all("SHOW jit") == [("off",)]


def test_the_clock_is_the_server_s(url: str) -> None:
    with closing(PostgresqlConnection(url)) as connection:
        tx = connection.begin()
        ((began_us,),) = tx.all("SELECT (extract(epoch FROM now()) * 1000000)::bigint")
        ((now_us,),) = tx.all("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
    assert began_us <= tx.now_us <= now_us


@pytest.mark.parametrize(
    ("error", "outage", "conflict"),
    [
        (psycopg.OperationalError("connection refused"), True, False),
        (psycopg.InterfaceError("the connection is closed"), True, False),
        (psycopg.errors.AdminShutdown("terminating"), True, False),
        (psycopg.errors.DiskFull("no space left on device"), True, False),
        (psycopg.errors.LockNotAvailable("lock timeout"), True, False),
        (psycopg.errors.ReadOnlySqlTransaction("a standby"), True, False),
        (psycopg.errors.InsufficientPrivilege("permission denied for table event"), True, False),
        (psycopg.errors.UndefinedTable("event"), True, False),
        (psycopg.errors.DeadlockDetected("deadlock"), False, True),
        (psycopg.errors.SerializationFailure("serialize"), False, True),
        (psycopg.errors.UniqueViolation("id"), False, False),
        (psycopg.errors.CharacterNotInRepertoire("0x00"), False, False),
        (psycopg.errors.NumericValueOutOfRange("integer"), False, False),
        (psycopg.DataError("NUL"), False, False),
        (psycopg.errors.ProgramLimitExceeded("index row size 4016 exceeds btree maximum 2704"), False, False),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), False, False),
        (LookupError("mine"), False, False),
    ],
)
def test_trouble_of_the_store_is_told_from_conflicts_and_from_trouble_with_what_was_written(
    error: Exception, outage: bool, conflict: bool
) -> None:
    connection = PostgresqlConnection("postgresql://")
    assert (connection.is_outage(error), connection.is_conflict(error)) == (outage, conflict)


def test_a_server_that_goes_in_the_middle_of_a_transaction_is_an_outage(url: str) -> None:
    with closing(PostgresqlConnection(url)) as connection, psycopg.connect(url, autocommit=True) as other:
        tx = connection.begin()
        ((pid,),) = tx.all("SELECT pg_backend_pid()")
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        for _ in ("it says so", "nobody is there any more"):
            with pytest.raises(psycopg.Error) as caught:
                tx.all("SELECT 1")
            assert connection.is_outage(caught.value)


def test_rows_that_somebody_holds_for_long_are_an_outage_and_not_a_wait_for_ever(url: str) -> None:
    with closing(open_store(url)) as store, psycopg.connect(url) as other:
        change(store, "INSERT INTO source (name) VALUES ('held')")
        other.execute("SELECT * FROM source FOR UPDATE")
        with pytest.raises(Unavailable, match="lock timeout"):
            change(store, "UPDATE source SET accepted = 1")
        other.rollback()
        assert change(store, "UPDATE source SET accepted = 1") == 1


def test_two_that_stand_in_each_other_s_way_both_get_through(url: str) -> None:
    with closing(open_store(url)) as store, psycopg.connect(url) as other:
        change(store, "INSERT INTO source (name) VALUES ('a'), ('b')")
        other.execute("SET deadlock_timeout = '10s'")  # so that ours is the one that gives way
        other.execute("UPDATE source SET accepted = 1 WHERE name = 'a'")
        tried: list[str] = []

        def both(tx: object) -> None:
            tried.append("")
            for name in ("b", "a"):
                tx.run("UPDATE source SET accepted = 2 WHERE name = :name", name=name)  # type: ignore[attr-defined]

        writing = threading.Thread(target=store.write_from_thread, args=[both])
        change(store, "SET deadlock_timeout = '100ms'")
        change(store, "SET lock_timeout = '10s'")
        writing.start()
        until(lambda: _waits(url), 5)
        other.execute("UPDATE source SET accepted = 1 WHERE name = 'b'")
        other.commit()
        writing.join()
        assert len(tried) > 1
        assert ask(store, "SELECT name, accepted FROM source ORDER BY name") == [("a", 2), ("b", 2)]


def _waits(url: str) -> bool:
    with psycopg.connect(url) as looking:
        sql = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return bool(looking.execute(sql).fetchall())


def test_a_server_that_died_is_an_outage_and_is_found_again_with_all_that_was_committed() -> None:
    with services.installed(PostgresqlServer) as server:
        make_tables(server.url)
        with closing(open_store(server.url)) as store:
            record(store, arrival("evt_1"))
            server.kill()
            for _ in range(2):
                with pytest.raises(Unavailable):
                    record(store, arrival("evt_2"))
            with pytest.raises(Unavailable), store.reading() as session:
                session.connection()
            server.start()
            record(store, arrival("evt_3"))
            assert ask(store, "SELECT external_id FROM event ORDER BY id") == [("evt_1",), ("evt_3",)]
            with store.reading() as session:
                assert session.connection().exec_driver_sql("SELECT count(*) FROM event").scalar() == 2


# ── before it is opened ──


def test_an_address_is_shown_without_its_password() -> None:
    database = database_at("postgresql://me:geheim@db.example:5433/shop?sslmode=require")
    assert database.shown == "postgresql://db.example:5433/shop"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:geheim@host:port/db",
        "postgresql://me:geheim@host/db?nonsense=1",
        "postgresql://me:geheim@host:5432/",
    ],
)
def test_a_wrong_address_names_the_key_and_not_the_password(url: str) -> None:
    with pytest.raises(UserError) as caught:
        open_store(url)
    assert "[store] url" in f"{caught.value.where} {caught.value.fix}"
    assert "geheim" not in str(caught.value)


def test_a_server_that_does_not_answer_is_named_in_three_lines(url: str) -> None:
    with pytest.raises(UserError) as caught:
        open_store("postgresql://me:geheim@127.0.0.1:1/shop")
    assert "Connection refused" in caught.value.what
    assert caught.value.where == "postgresql://127.0.0.1:1/shop"
    assert "geheim" not in str(caught.value)
    with pytest.raises(UserError, match='database "nowhere" does not exist'):
        open_store(url.rpartition("/")[0] + "/nowhere")


@pytest.mark.parametrize("create", [False, True])
def test_neither_serve_nor_a_worker_makes_tables_there(create: bool) -> None:
    with services.new_postgresql_database() as url:
        with pytest.raises(UserError) as caught:
            open_store(url, create=create)
        assert (caught.value.what, caught.value.fix) == ("there is no store yet", "Type postern db upgrade")


def test_a_database_that_cannot_hold_all_text_is_refused() -> None:
    with services.new_postgresql_database() as url, psycopg.connect(url, autocommit=True) as server:
        name = f"{server.info.dbname}_ascii"
        server.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        try:
            with pytest.raises(UserError, match="must be UTF8"):
                schema.upgrade(PostgresqlDatabase(url.rpartition("/")[0] + "/" + name))
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
