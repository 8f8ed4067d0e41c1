"""One open store: a writer thread, connections to read, and the activity that is flushed about once a second."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar, overload

from receiver.store import activity, processes, schema
from receiver.store.activity import Activity
from receiver.store.database import Database, database_at
from receiver.store.intake import Arrival, Recorded
from receiver.store.transaction import Transaction, Unavailable
from receiver.store.writer import Op, Together, Waiter, Writer

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlmodel import Session

log = logging.getLogger("postern.store")

T = TypeVar("T")
FLUSH_S = 1.0
INSIST_S = 0.5


class Store:
    """What the rest of the product holds. Open it with `open_store`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listeners: list[Callable[[], None]] = []
        connection = database.connection()
        self.works_here = connection.works_here
        """Whether commits take this process's own processor time."""
        self._writer = Writer(connection, self._announce)
        self.activity = Activity()
        self._closing = threading.Event()
        self._noted = threading.Event()
        self._flushing = threading.Lock()
        self._flusher = threading.Thread(target=self._flush_now_and_then, name="store-activity", daemon=True)
        self._flusher.start()
        self._engine: Engine | None = None

    # ── writing ──

    def record(self, arrival: Arrival) -> "asyncio.Future[list[Recorded]]":
        """Store an arrival; when the future is done, it is committed and fsynced. Errors: Unavailable."""
        return self._writer.record(arrival)

    def record_for(self, waiter: Waiter, arrival: Arrival) -> None:
        """The same, and `waiter` is told of it on this event loop. Errors: Unavailable."""
        self._writer.record_for(waiter, arrival)

    @overload
    async def write(self, op: Callable[[Transaction], T]) -> T: ...
    @overload
    async def write(self, op: Together) -> Any: ...
    async def write(self, op: Op) -> Any:
        """Run `op` in the next commit. Whatever it raises is raised here, and nothing of it was written."""
        return await self._writer.write(op)

    @overload
    async def insist(self, op: Callable[[Transaction], T]) -> T: ...
    @overload
    async def insist(self, op: Together) -> Any: ...
    async def insist(self, op: Op) -> Any:
        """`write`, again and again until the store can be written: for what has happened and must be recorded."""
        while True:
            try:
                return await self.write(op)
            except Unavailable:
                await asyncio.sleep(INSIST_S)

    def write_from_thread(self, op: Callable[[Transaction], T]) -> T:
        """The same for callers without an event loop."""
        result: T = self._writer.write_from_thread(op)
        return result

    def insist_from_thread(self, op: Callable[[Transaction], T]) -> T:
        """`insist` for callers without an event loop. Errors: Unavailable, if the store is closed meanwhile."""
        while True:
            try:
                return self.write_from_thread(op)
            except Unavailable:
                if self._closing.wait(INSIST_S):
                    raise

    def on_work(self, listener: Callable[[], None]) -> None:
        """Call `listener`, from the writer's thread, after each commit that brought new work. It must not wait."""
        self._listeners.append(listener)

    def _announce(self) -> None:
        for listener in self._listeners:
            listener()

    def process_stopped(self, process_id: int) -> None:
        """Say that a process has ended; where that cannot be written, it shows a little later, by its silence."""
        with suppress(Unavailable):
            self.write_from_thread(lambda tx: processes.stopped(tx, process_id))

    async def probe(self) -> None:
        """Prove that a commit is possible now. Errors: Unavailable."""
        await self.write(processes.prove_writable)

    def check_schema(self) -> None:
        """Errors: UserError where the tables are not those of this version, or a newer one's."""
        schema.check(self._database)

    # ── activity ──

    def noted(self) -> None:
        """Something was added to `activity`: write it soon."""
        if not self._noted.is_set():
            self._noted.set()

    def _flush_now_and_then(self) -> None:
        while not self._closing.is_set():
            self._noted.wait()
            self.flush()
            self._closing.wait(FLUSH_S)

    def flush(self) -> None:
        """Write the activity gathered so far; when this returns, it is written, whoever was at it."""
        with self._flushing:
            self._noted.clear()
            gathered = self.activity.take()
            if gathered.counts:
                self._write_activity(gathered)
            if self.activity:
                self._noted.set()

    def _write_activity(self, gathered: activity.Gathered) -> None:
        try:
            self.write_from_thread(lambda tx: activity.write(tx, gathered))
        except Unavailable:
            self.activity.put_back(gathered)
        except Exception:
            log.exception("a second's activity could not be written and is lost")

    # ── reading ──

    @contextmanager
    def reading(self) -> Iterator["Session"]:
        """A session to read with. Nothing is ever written through it. Errors: Unavailable."""
        from sqlalchemy.exc import DBAPIError
        from sqlmodel import Session  # costs most of a second to import: only commands and probes read

        if self._engine is None:
            self._engine = self._database.engine()
        try:
            with Session(self._engine, expire_on_commit=False) as session:
                yield session
        except DBAPIError as error:
            raise Unavailable(str(error.orig)) from error

    def close(self) -> None:
        """Write what waits, then close."""
        self._closing.set()
        self._noted.set()
        self._flusher.join()
        self.flush()
        self._writer.close()
        if self._engine is not None:
            self._engine.dispose()


def open_store(url: str, *, create: bool = False) -> Store:
    """Open the store at `url`, for a process that will write into it. `create` makes or upgrades a file's tables, as
    `postern serve` does. Errors: UserError.
    """
    database = database_at(url)
    if create and database.made_by_serve:
        schema.upgrade(database)
    else:
        schema.check(database)
    store = Store(database)
    if not create:
        return store
    try:
        store.write_from_thread(processes.prove_writable)
    except Unavailable as error:
        store.close()
        raise database.cannot_write(error) from error
    return store
