"""A store in trouble under load: only 503 with Retry-After meanwhile, soon, and 200 again afterwards without a restart.

A few seconds of trouble here; half a minute by `make trouble`, where two seconds for an answer are then taken at their
word: beside other tests a machine may be slower than that.
"""

import asyncio
import os
import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conformance.conftest import make_tables
from tests.receiver.test_serve import put_in_place, without_root_s_privilege
from tests.support import sender, services
from tests.support.inside import PATH, STRIPE
from tests.support.postern import Postern, serving, write_project
from tests.support.rows import rows
from tests.support.servers import PostgresqlServer
from tests.support.until import until
from tests.support.wire import request

LONG = "POSTERN_TROUBLE_S"
TROUBLE_S = float(os.environ.get(LONG, "5"))
ANSWER_S = 2.0 if LONG in os.environ else 10.0
NOTICED_S = 1.5  # the store's file is looked at once a second
CONNECTIONS = 32

Trouble = Callable[[Postern], AbstractContextManager[None]]


class Outcome(NamedTuple):
    id: str
    asked_at: float
    answered_at: float
    status: int
    retry_after: str


class Load:
    """Deliveries on many connections, one after the other on each, from a thread of its own; always new events."""

    def __init__(self, port: int) -> None:
        self.outcomes: list[Outcome] = []
        self._port = port
        self._ends = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), name="load")

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def is_well(self) -> bool:
        """Whether the last answers on all connections were 200."""
        last = self.outcomes[-2 * CONNECTIONS :]
        return len(last) == 2 * CONNECTIONS and {one.status for one in last} == {200}

    async def _all(self) -> None:
        await asyncio.gather(*map(self._one, range(CONNECTIONS)))

    async def _one(self, connection: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        number = 0
        while not self._ends.is_set():
            number += 1
            id = f"evt_{connection}_{number}"
            body = sender.stripe_event(id, text="x" * 1000)
            asked_at = time.monotonic()
            writer.write(request(PATH, body, sender.stripe(body)))
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:] if line)
            await reader.readexactly(int(headers["content-length"]))
            retry_after, status = headers.get("retry-after", ""), int(head.split()[1])
            self.outcomes.append(Outcome(id, asked_at, time.monotonic(), status, retry_after))
            await asyncio.sleep(0.02)  # as a vendor who comes again
        writer.close()


@contextmanager
def locked(postern: Postern) -> Iterator[None]:
    with closing(sqlite3.connect(postern.store, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def full(postern: Postern) -> Iterator[None]:
    """No file may grow: the write-ahead log is as large as it gets. The kernel says so; it needs no small disk."""
    limits = resource.prlimit(postern.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(postern.pid, resource.RLIMIT_FSIZE, limits)


@contextmanager
def read_only(postern: Postern) -> Iterator[None]:
    put_in_place(postern.store, 0o444)
    try:
        yield
    finally:
        for file in postern.store.parent.glob("postern.db*"):
            file.chmod(0o644)


@contextmanager
def gone(postern: Postern) -> Iterator[None]:
    away = postern.store.with_name("away")
    away.mkdir()
    files = list(postern.store.parent.glob("postern.db*"))
    for file in files:
        file.rename(away / file.name)
    try:
        yield
    finally:
        for file in files:
            (away / file.name).rename(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_project(tmp_path, STRIPE)
    return tmp_path


@pytest.mark.parametrize("trouble", [locked, full, gone])
def test_a_sqlite_store_in_trouble_is_a_503_until_it_is_over(folder: Path, trouble: Trouble) -> None:
    with serving(folder) as postern:
        assert_only_503_meanwhile(postern, trouble, folder / "postern.db")


def test_a_sqlite_store_that_may_only_be_read_is_a_503_until_it_may_be_written(folder: Path) -> None:
    with serving(folder, before_exec=without_root_s_privilege) as postern:
        assert_only_503_meanwhile(postern, read_only, None)  # what came before another file took its place is lost


def test_a_database_that_is_down_or_stands_still_is_a_503_until_it_is_back(folder: Path) -> None:
    with services.installed(PostgresqlServer) as server:

        @contextmanager
        def down(postern: Postern) -> Iterator[None]:
            server.kill()
            yield
            server.start()

        @contextmanager
        def still(postern: Postern) -> Iterator[None]:
            found = rows(server.url, "SELECT pid FROM pg_stat_activity WHERE application_name = 'postern'")
            try:
                for (pid,) in found:
                    os.kill(pid, signal.SIGSTOP)
                yield
            finally:
                for (pid,) in found:
                    os.kill(pid, signal.SIGCONT)

        make_tables(server.url)
        with serving(folder, {"POSTERN_STORE__URL": server.url}) as postern:
            for trouble in (down, still):
                assert_only_503_meanwhile(postern, trouble, server.url)


def assert_only_503_meanwhile(postern: Postern, trouble: Trouble, store: Path | str | None) -> None:
    before_bytes = resident_bytes(postern.pid)
    with Load(postern.port) as load:
        until(load.is_well, what="200 on all connections")
        with trouble(postern):
            began_at = time.monotonic()
            until(lambda: time.monotonic() > began_at + TROUBLE_S, TROUBLE_S + 10)
            over_at = time.monotonic()
        until(load.is_well, what="200 on all connections again")
        well_at = time.monotonic()
        until(lambda: time.monotonic() > well_at + 0.5)
    outcomes = load.outcomes
    meanwhile = [one for one in outcomes if began_at + NOTICED_S < one.asked_at and one.answered_at < over_at]
    assert len(meanwhile) >= CONNECTIONS
    assert {one.status for one in meanwhile} == {503}
    assert {one.status for one in outcomes if one.asked_at > well_at} == {200}
    assert {one.status for one in outcomes} == {200, 503}
    assert all(int(one.retry_after) > 0 for one in outcomes if one.status == 503)
    assert max(one.answered_at - one.asked_at for one in outcomes) < ANSWER_S
    assert resident_bytes(postern.pid) - before_bytes < 48 << 20
    if store:
        stored = {id for (id,) in rows(store, "SELECT external_id FROM event")}
        assert {one.id for one in outcomes if one.status == 200} <= stored


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
