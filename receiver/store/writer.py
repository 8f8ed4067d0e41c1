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

from receiver.log import Hush
from receiver.store import intake
from receiver.store.intake import Arrival, Recorded
from receiver.store.transaction import Database, Transaction, Unavailable

log = logging.getLogger("postern.store")

BATCH = 512  # writes in one transaction
WAITING_LIMIT = 4096  # arrivals, and
WAITING_BYTES = 128 << 20  # of them: beyond it they are answered 503, so that memory is bounded where the disk hangs

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

    @property
    def brought_work(self) -> bool:
        if self.error is not None or not isinstance(self.work, Arrival):
            return False
        return any(not recorded.duplicate for recorded in self.value or ())

    def settle(self) -> None:
        if self.waiter.done():  # whoever waited has gone away: a deadline, a closed connection
            return
        if self.error is None:
            self.waiter.set_result(self.value)
        else:
            self.waiter.set_exception(self.error)


class Writer:
    def __init__(
        self, database: Database, is_outage: Callable[[Exception], bool], on_arrivals: Callable[[], None]
    ) -> None:
        self._database = database
        self._is_outage = is_outage
        self._on_arrivals = on_arrivals
        self._queue: SimpleQueue[list[Pending] | None] = SimpleQueue()
        self._gathering: dict[asyncio.AbstractEventLoop, list[Pending]] = {}
        self._arrivals = 0
        self._arrivals_bytes = 0
        self.companion: Callable[[Transaction], bool] | None = None
        self._work_left = True
        self._closed = False
        self._hush = Hush()
        self._thread = threading.Thread(target=self._loop, name="store-writer", daemon=True)
        self._thread.start()

    # ── callers ──

    def record(self, arrival: Arrival) -> "asyncio.Future[list[Recorded]]":
        """Store what arrived; the future is done when it is committed. Raises Unavailable when too much waits."""
        if self._arrivals >= WAITING_LIMIT or self._arrivals_bytes > WAITING_BYTES:
            raise Unavailable("too many deliveries wait for the store")
        future = self._put(arrival)
        self._arrivals += 1
        self._arrivals_bytes += len(arrival.body)
        return future

    def write(self, op: Op) -> "asyncio.Future[Any]":
        return self._put(op)

    def _put(self, work: "Op | Arrival") -> "asyncio.Future[Any]":
        self._check_open()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        gathering = self._gathering.setdefault(loop, [])
        if not gathering:
            loop.call_soon(self._hand_over, loop)
        gathering.append(Pending(work, future, loop))
        return future

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the thread all that one turn of the loop brought: waking it for each write would make small commits."""
        self._queue.put(self._gathering.pop(loop))

    def _settle(self, batch: list[Pending]) -> None:
        for pending in batch:
            if isinstance(pending.work, Arrival):
                self._arrivals -= 1
                self._arrivals_bytes -= len(pending.work.body)
            pending.settle()

    def write_from_thread(self, op: Op) -> Any:
        self._check_open()
        future: Future[Any] = Future()
        self._queue.put([Pending(op, future, None)])
        return future.result()

    def close(self) -> None:
        """Write what waits, then end."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")

    # ── the thread ──

    def _loop(self) -> None:
        while (batch := self._gather()) is not None:
            self._commit(batch)
            self._report(batch)
        self._database.close()

    def _gather(self) -> list[Pending] | None:
        batch = self._queue.get()
        while batch is not None and len(batch) < BATCH and not self._queue.empty():
            more = self._queue.get()
            if more is None:
                self._queue.put(None)  # the end stays last
                break
            batch += more
        return batch

    def _commit(self, batch: list[Pending], *, last: bool = False) -> None:
        try:
            tx = self._database.begin()
            self._apply(tx, batch)
            self._database.commit()
        except Exception as error:
            self._failed(batch, error, last=last)

    def _apply(self, tx: Transaction, batch: list[Pending]) -> None:
        # Whose sender has got a 503 meanwhile will come again: no work for it while there is too much of it.
        arrivals = [p for p in batch if isinstance(p.work, Arrival) and not p.waiter.done()]
        if arrivals:
            recorded = intake.add(tx, [pending.work for pending in arrivals])  # type: ignore[misc]
            for pending, outcome in zip(arrivals, recorded, strict=True):
                pending.value = outcome
            self._along(tx)
        for pending in batch:
            if not isinstance(pending.work, Arrival):
                pending.value = pending.work(tx)

    def _along(self, tx: Transaction) -> None:
        self._work_left = True
        if self.companion is not None:
            try:
                self._work_left = self.companion(tx)
            except Exception as error:
                if not self._is_outage(error):  # intake must not suffer: rolled back, and tried again without it
                    log.exception("what went along with arrivals failed, and does so no more")
                    self.companion = None
                raise

    def _failed(self, batch: list[Pending], error: Exception, *, last: bool) -> None:
        try:
            self._database.rollback()
        except Exception:
            self._database.close()
        if isinstance(error, Unavailable) or self._is_outage(error):
            self._database.close()  # opened again at the next write
            if count := self._hush.speak("outage"):
                log.error("the store cannot be written: %s", error, extra={"count": count, "next": "postern doctor"})
            for pending in batch:
                pending.error = error if isinstance(error, Unavailable) else Unavailable(str(error))
        elif len(batch) > 1:  # one of them is at fault: halves, until it is alone, so that no stranger pays
            middle = len(batch) // 2
            self._commit(batch[:middle])
            self._commit(batch[middle:])
        elif last:
            batch[0].error = error
        else:  # once more, with new ids: another process may have had the same idea of one
            self._commit(batch, last=True)

    def _report(self, batch: Sequence[Pending]) -> None:
        # One wake-up for each event loop, not for each write: a wake-up is a system call.
        by_loop: defaultdict[asyncio.AbstractEventLoop | None, list[Pending]] = defaultdict(list)
        for pending in batch:
            by_loop[pending.loop].append(pending)
        for loop, settled in by_loop.items():
            if loop is None:
                self._settle(settled)
            else:
                with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(self._settle, settled)
        if self._work_left and any(pending.brought_work for pending in batch):
            self._on_arrivals()
