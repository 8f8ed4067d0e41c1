"""The group-commit writer: one thread, one transaction and one fsync for all that waits.

Callers hand in a write (a function of the open transaction) and wait; whatever gathered while the last commit ran goes
into the next one, arrivals first. A 2xx is answered only after `commit()` returned. What a write does, it knows not.
"""

import asyncio
import contextlib
import logging
import math
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol

from receiver.log import Hush
from receiver.store import intake
from receiver.store.intake import Arrival, Recorded
from receiver.store.recent import Recent
from receiver.store.transaction import Connection, Transaction, Unavailable

log = logging.getLogger("postern.store")

BATCH = 512  # writes in one transaction
GATHERED = 128  # writes that one event loop brings: with as many, it waits for no more
CLOSED = "the store is closed"
CONFLICTS = 3  # with other processes' transactions, before it is an outage
CONFLICT_PAUSE_S = 0.05
SURE_S = (
    0.1  # after an arrival was stored; later the store may be another one: it is asked about what is remembered, too
)
WAITING_LIMIT = 4096  # arrivals, and
WAITING_BYTES = 128 << 20  # of them: beyond it they are answered 503, so that memory is bounded where the disk hangs


class Together(NamedTuple):
    """A write of one item by a function that takes all its items of a commit at once: few statements for many."""

    do: Callable[[Transaction, list[Any]], Sequence[Any]]
    item: Any


Op = Callable[[Transaction], Any] | Together


class Waiter(Protocol):
    """Where the outcome of a write goes: a future, or whatever looks like one."""

    def done(self) -> bool:
        """Whether nobody waits any more: a deadline, a closed connection. Asked by the writer's thread too."""

    def set_result(self, value: Any, /) -> None: ...
    def set_exception(self, error: BaseException, /) -> None: ...


class Pending:
    """One write on its way, and the outcome it got: `do` takes the items of all writes that have the same one."""

    __slots__ = ("do", "error", "item", "loop", "value", "waiter")

    def __init__(self, do: Any, item: Any, waiter: Waiter, loop: asyncio.AbstractEventLoop | None) -> None:
        self.do = do
        self.item = item
        self.waiter = waiter
        self.loop = loop
        self.value: Any = None
        self.error: BaseException | None = None

    @classmethod
    def of(cls, op: Op, waiter: Waiter, loop: asyncio.AbstractEventLoop | None) -> "Pending":
        if isinstance(op, Together):
            return cls(op.do, op.item, waiter, loop)
        return cls(_each, op, waiter, loop)

    def settle(self) -> None:
        if self.waiter.done():  # whoever waited has gone away: a deadline, a closed connection
            return
        if self.error is None:
            self.waiter.set_result(self.value)
        else:
            self.waiter.set_exception(self.error)


def _each(tx: Transaction, ops: list[Callable[[Transaction], Any]]) -> list[Any]:
    """Writes that share nothing."""
    return [op(tx) for op in ops]


class Writer:
    def __init__(
        self, connection: Connection, on_work: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._on_work = on_work
        self._clock = clock
        self._queue: SimpleQueue[list[Pending] | None] = SimpleQueue()
        self._gathering: dict[asyncio.AbstractEventLoop, list[Pending]] = {}
        self._arrivals = 0
        self._arrivals_bytes = 0
        self._recent = Recent()
        self._stored_at = -math.inf
        self._closed = False
        self._hush = Hush()
        self._thread = threading.Thread(target=self._loop, name="store-writer", daemon=True)
        self._thread.start()

    # ── callers ──

    def record(self, arrival: Arrival) -> "asyncio.Future[list[Recorded]]":
        """Store what arrived; the future is done when it is committed. Raises Unavailable when too much waits."""
        future: asyncio.Future[list[Recorded]] = asyncio.get_running_loop().create_future()
        self.record_for(future, arrival)
        return future

    def record_for(self, waiter: Waiter, arrival: Arrival) -> None:
        """The same, and `waiter` is told, on this event loop: for who has no need of a future, which costs a turn."""
        if self._clock() - self._stored_at < SURE_S and (known := self._recent.find(arrival)) is not None:
            waiter.set_result(known)
            return
        if self._arrivals >= WAITING_LIMIT or self._arrivals_bytes > WAITING_BYTES:
            raise Unavailable("too many deliveries wait for the store")
        loop = asyncio.get_running_loop()
        self._put(Pending(intake.add, arrival, waiter, loop), loop)
        self._arrivals += 1
        self._arrivals_bytes += len(arrival.body)

    def write(self, op: Op) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._put(Pending.of(op, future, loop), loop)
        return future

    def _put(self, pending: Pending, loop: asyncio.AbstractEventLoop) -> None:
        self._check_open()
        gathering = self._gathering.get(loop)
        if gathering is None:
            gathering = self._gathering[loop] = []
            loop.call_soon(self._hand_over, loop, 0)
        gathering.append(pending)

    def _hand_over(self, loop: asyncio.AbstractEventLoop, before: int) -> None:
        """Give the thread all that one turn of the loop brought: waking it for each write would make small commits.

        Where commits take this process's own processor time, wait while each turn brings more. `before`: how many
        there were a turn ago.
        """
        gathering = self._gathering[loop]
        if self._connection.works_here and before < len(gathering) < GATHERED:
            loop.call_soon(self._hand_over, loop, len(gathering))
            return
        del self._gathering[loop]
        if self._closed:
            for pending in gathering:
                pending.error = Unavailable(CLOSED)
            self._settle(gathering)
        else:
            self._queue.put(gathering)

    def _settle(self, batch: list[Pending]) -> None:
        for pending in batch:
            if pending.do is intake.add:
                self._arrivals -= 1
                self._arrivals_bytes -= len(pending.item.body)
            pending.settle()

    def write_from_thread(self, op: Op) -> Any:
        self._check_open()
        future: Future[Any] = Future()
        self._queue.put([Pending.of(op, future, None)])
        return future.result()

    def close(self) -> None:
        """Write what waits, then end."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(CLOSED)

    # ── the thread ──

    def _loop(self) -> None:
        while (batch := self._gather()) is not None:
            brought_work = self._commit(batch)
            self._report(batch)
            if brought_work:
                self._on_work()
        self._connection.close()

    def _gather(self) -> list[Pending] | None:
        batch = self._queue.get()
        while batch is not None and len(batch) < BATCH and not self._queue.empty():
            more = self._queue.get()
            if more is None:
                self._queue.put(None)  # the end stays last
                break
            batch += more
        return batch

    def _commit(self, batch: list[Pending], *, failed: int = 0) -> bool:
        """Whether it brought work. `failed`: how often the same has failed before."""
        try:
            tx = self._connection.begin()
            kinds = _kinds(batch)
            _apply(tx, kinds)
            self._connection.commit()
        except Exception as error:
            return self._after(error, batch, failed)
        if arrivals := kinds.get(intake.add):
            self._stored_at = self._clock()
            for pending in arrivals:
                self._recent.add(pending.item, pending.value)
        return tx.brought_work

    def _after(self, error: Exception, batch: list[Pending], failed: int) -> bool:
        try:
            self._connection.rollback()
        except Exception:
            self._connection.close()
        if self._connection.is_conflict(error):
            if failed < CONFLICTS:
                time.sleep(random.uniform(0.0, CONFLICT_PAUSE_S))  # the other one first
                return self._commit(batch, failed=failed + 1)
            error = Unavailable(str(error))
        if isinstance(error, Unavailable) or self._connection.is_outage(error):
            self._out_of_order(batch, error)
            return False
        if len(batch) > 1:  # one of them is at fault: halves, until it is alone, so that no stranger pays
            middle = len(batch) // 2
            return self._commit(batch[:middle]) | self._commit(batch[middle:])
        if not failed:  # once more, with new ids: another process may have had the same idea of one
            return self._commit(batch, failed=1)
        batch[0].error = error
        return False

    def _out_of_order(self, batch: list[Pending], error: Exception) -> None:
        self._recent.forget()
        self._connection.close()  # opened again at the next write
        if count := self._hush.speak("outage"):
            log.error("the store cannot be written: %s", error, extra={"count": count, "next": "postern doctor"})
        for pending in batch:
            pending.error = error if isinstance(error, Unavailable) else Unavailable(str(error))

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


def _apply(tx: Transaction, kinds: dict[Any, list[Pending]]) -> None:
    for do, pendings in kinds.items():
        for pending, outcome in zip(pendings, do(tx, [pending.item for pending in pendings]), strict=True):
            pending.value = outcome


def _kinds(batch: Iterable[Pending]) -> dict[Any, list[Pending]]:
    """The writes by the function that does them: arrivals first, and last those that share nothing."""
    kinds: dict[Any, list[Pending]] = {intake.add: []}
    alone = []
    for pending in batch:
        if pending.do is _each:
            alone.append(pending)
        # Whose sender has got a 503 meanwhile will come again: no work for it while there is too much of it.
        elif pending.do is not intake.add or not pending.waiter.done():
            kinds.setdefault(pending.do, []).append(pending)
    kinds[_each] = alone
    return {do: pendings for do, pendings in kinds.items() if pendings}
