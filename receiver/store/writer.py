"""The group-commit writer: one thread, one transaction and one fsync for all that waits.

Callers hand in a write (a function of the open transaction) and wait; whatever gathered while the last commit ran goes
into the next one, arrivals first. A 2xx is answered only after `commit()` returned. What a write does, it knows not.
"""

import asyncio
import contextlib
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Protocol

from receiver.store import intake
from receiver.store.intake import Arrival, Recorded
from receiver.store.transaction import Database, Transaction, Unavailable

log = logging.getLogger("postern.store")

BATCH = 512  # writes in one transaction
WAITING_LIMIT = 4096  # arrivals beyond this are answered 503: memory stays bounded when the disk does not keep up

Op = Callable[[Transaction], Any]


class Waiter(Protocol):
    """Where the outcome of a write goes."""

    def set_result(self, value: Any, /) -> None: ...
    def set_exception(self, error: BaseException, /) -> None: ...


class Pending:
    """One write on its way, and the outcome it got."""

    __slots__ = ("error", "loop", "value", "waiter", "work")

    def __init__(self, work: "Op | Arrival", waiter: Any, loop: asyncio.AbstractEventLoop | None) -> None:
        self.work = work
        self.waiter = waiter
        self.loop = loop
        self.value: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        if self.waiter.done():  # whoever waited has gone away: a deadline, a closed connection
            return
        if self.error is None:
            self.waiter.set_result(self.value)
        else:
            self.waiter.set_exception(self.error)


def _settle(batch: list[Pending]) -> None:
    for pending in batch:
        pending.settle()


class Writer:
    def __init__(
        self, database: Database, is_outage: Callable[[Exception], bool], on_arrivals: Callable[[], None]
    ) -> None:
        self._database = database
        self._is_outage = is_outage
        self._on_arrivals = on_arrivals
        self._queue: SimpleQueue[Pending | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name="store-writer", daemon=True)
        self._thread.start()

    # ── callers ──

    def record(self, arrival: Arrival) -> "asyncio.Future[list[Recorded]]":
        """Store what arrived; the future is done when it is committed. Raises Unavailable when too much waits."""
        if self._queue.qsize() >= WAITING_LIMIT:
            raise Unavailable("too many deliveries wait for the store")
        return self._put(arrival)

    def write(self, op: Op) -> "asyncio.Future[Any]":
        return self._put(op)

    def _put(self, work: "Op | Arrival") -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._queue.put(Pending(work, future, loop))
        return future

    def write_from_thread(self, op: Op) -> Any:
        future: Future[Any] = Future()
        self._queue.put(Pending(op, future, None))
        return future.result()

    def close(self) -> None:
        """Write what waits, then end."""
        self._queue.put(None)
        self._thread.join()

    # ── the thread ──

    def _loop(self) -> None:
        while (batch := self._gather()) is not None:
            self._commit(batch)
            self._report(batch)
        self._database.close()

    def _gather(self) -> list[Pending] | None:
        first = self._queue.get()
        if first is None:
            return None
        batch = [first]
        while len(batch) < BATCH and not self._queue.empty():
            pending = self._queue.get()
            if pending is None:
                self._queue.put(None)  # the end stays last
                break
            batch.append(pending)
        return batch

    def _commit(self, batch: list[Pending]) -> None:
        try:
            tx = self._database.begin()
            self._apply(tx, batch)
            self._database.commit()
        except Exception as error:
            self._failed(batch, error)

    def _apply(self, tx: Transaction, batch: list[Pending]) -> None:
        arrivals = [pending for pending in batch if isinstance(pending.work, Arrival)]
        if arrivals:
            recorded = intake.add(tx, [pending.work for pending in arrivals])  # type: ignore[misc]
            for pending, outcome in zip(arrivals, recorded, strict=True):
                pending.value = outcome
        for pending in batch:
            if not isinstance(pending.work, Arrival):
                pending.value = pending.work(tx)

    def _failed(self, batch: list[Pending], error: Exception) -> None:
        try:
            self._database.rollback()
        except Exception:
            self._database.close()
        if isinstance(error, Unavailable) or self._is_outage(error):
            log.error("the store cannot be written: %s", error)
            self._database.close()  # opened again at the next write
            for pending in batch:
                pending.error = error if isinstance(error, Unavailable) else Unavailable(str(error))
        elif len(batch) == 1:
            batch[0].error = error
        else:  # one of them is at fault: each alone, so that no stranger pays
            for pending in batch:
                self._commit([pending])

    def _report(self, batch: Sequence[Pending]) -> None:
        # One wake-up for each event loop, not for each write: a wake-up is a system call.
        by_loop: defaultdict[asyncio.AbstractEventLoop | None, list[Pending]] = defaultdict(list)
        for pending in batch:
            by_loop[pending.loop].append(pending)
        for loop, settled in by_loop.items():
            if loop is None:
                _settle(settled)
            else:
                with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(_settle, settled)
        if any(isinstance(pending.work, Arrival) and pending.error is None for pending in batch):
            self._on_arrivals()
