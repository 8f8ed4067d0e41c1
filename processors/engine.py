"""The engine: claims due runs, gives each a slot, and writes down how it ended. One event loop in a thread of its own.

    hint or sweep ─▶ wake ─▶ claim a batch (routing on the way) ─▶ a task each: attempt ─▶ finish, free the slot, wake

It never runs on the web server's loop: a handler that blocks must not hold up a vendor. Leases are renewed by the
sweep's thread, and only for attempts that still have time.
"""

import asyncio
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from processors.attempt import LOST, Attempt, Tools
from processors.event import Readings
from processors.handler import Handler
from processors.outbound.upstream import Upstreams
from receiver.metrics import Metrics
from receiver.queue import SWEEP_S
from receiver.settings import Settings
from receiver.store import Store, Together, Transaction, Unavailable, processes, routing, runs
from receiver.store.ids import text
from receiver.store.runs import Claim, Claimed, Verdict

log = logging.getLogger("postern.engine")

SUSPECT_LAPSES = 2  # a run whose lease ran out so often is next run alone
CHILDREN = 2  # suspects at once
STUCK_S = 3.0  # beyond the drain: then the loop itself does not answer
DRAIN_S = 7.0  # with the server's grace before it, all is over within 12 s
RENEWALS = 6  # of a lease before it runs out
RENEWED_LONGER_S = 10.0  # than an attempt may take: time to write down that it was too long
PRESENCE_S = 5.0  # between two signs of life, and two looks at who else lives
MISSING_LOOK_S = 60.0
STORE_PAUSE_S = 0.5
NEVER = float("inf")
OVER = 0.0
GIVEN_BACK = Verdict("waiting", reason="given back at shutdown")

Alone = Callable[[Claimed, float], Awaitable[Verdict | None]]
"""Runs a claimed run in a child process, for so many seconds. None: the child has written down how it ended."""


@dataclass(slots=True)
class Active:
    """A run being worked on by this process; its lease is renewed until `renew_until`, on the monotonic clock."""

    run: Claimed
    renew_until: float = NEVER
    renewed_at: float = field(default_factory=time.monotonic)
    attempt: Attempt | None = None
    ended: bool = False
    """Its slot is free, though its end is not yet written down."""


class Engine:
    def __init__(
        self,
        settings: Settings,
        store: Store,
        handlers: Mapping[str, Handler],
        metrics: Metrics,
        alone: Alone,
    ) -> None:
        self._settings = settings
        self._store = store
        self._handlers = handlers
        self._metrics = metrics
        self._alone = alone
        self._active: dict[tuple[int, int], Active] = {}  # by run and token: a lost run may come back to us
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._wanted = asyncio.Event()
        self._woken = False
        self._starved = False
        self._stopping = self._stopped = False
        self._children = asyncio.Semaphore(CHILDREN)
        self._threads = ThreadPoolExecutor(settings.worker.concurrency, "handler")
        self._upstreams = Upstreams(settings)
        self._tools = Tools(
            store, Readings(settings), self._upstreams, metrics, settings.worker, self._threads, random.random
        )
        self._present_at = self._missing_looked_at = time.monotonic()
        self._offers = [offer for handler in dict.fromkeys(handlers.values()) for offer in handler.offers()]
        self._enrolment = processes.Enrolment(self._register)
        store.insist_from_thread(self._enrolment.renew)
        self._own = {(offer.handler, offer.source, offer.pattern) for offer in self._offers}
        self._claiming = self._loop.create_task(self._claim_until_stopped())
        self._wanted.set()  # whatever waited while nobody was alive
        self._thread = threading.Thread(target=self._main, name="engine", daemon=True)
        self._thread.start()

    # ── from other threads ──

    @property
    def trouble(self) -> str | None:
        """What keeps it from working at all. Python cannot end a thread: only a restart gets such slots back."""
        stuck = sum(active.renew_until == OVER for active in list(self._active.values()))
        if stuck < self._settings.worker.concurrency:
            return None
        return f"all {stuck} slots are held by handlers that outlived their time: restart"

    def wake(self) -> None:
        """There may be work. Any thread; returns at once."""
        if not self._woken and not self._stopping:
            self._woken = True
            self._loop.call_soon_threadsafe(self._wanted.set)

    def look(self) -> None:
        """The sweep's turn: renew our leases, take back expired ones, see what came due, and who else is alive."""
        now = time.monotonic()
        # A sixth of the lease ago, or so by the next look: each renewal is a row written anew.
        renewed_before = now - max(0.0, self._settings.worker.lease_s / RENEWALS - SWEEP_S)
        held = {
            key: active
            for key, active in list(self._active.items())
            if now < active.renew_until and active.renewed_at < renewed_before
        }
        if self._store.write_from_thread(lambda tx: self._look(tx, list(held))):
            self.wake()
        for active in held.values():
            active.renewed_at = now
        if now - self._present_at > PRESENCE_S:
            self._present_at = now
            self._store.write_from_thread(self._enrolment.renew)
        if now - self._missing_looked_at > MISSING_LOOK_S:
            self._missing_looked_at = now
            while self._store.write_from_thread(runs.park_missing) == runs.SWEEP_AT_ONCE:
                pass

    def _look(self, tx: Transaction, held: list[tuple[int, int]]) -> bool:
        runs.renew(tx, held, self._settings.worker.lease_s)
        runs.sweep(tx)
        return runs.has_due(tx, list(self._handlers))

    def _register(self, tx: Transaction) -> int:
        return processes.register(tx, "worker", offers=self._offers)

    def reread(self, settings: Settings) -> None:
        """Call the apis and read the sources by these from now on. Any thread. Errors: UserError."""
        readings = Readings(settings)
        self._upstreams.change(settings)
        self._tools = replace(self._tools, readings=readings)

    def stop(self, drain_s: float = DRAIN_S) -> None:
        """Claim nothing more, let attempts end within so much time, give the other leases back."""
        asyncio.run_coroutine_threadsafe(self._drain(drain_s), self._loop)
        self._thread.join(drain_s + STUCK_S)
        if self._thread.is_alive():
            log.error("an async handler blocks the engine: what it held is taken back when its lease runs out")
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._enrolment.process_id is not None:
            self._store.process_stopped(self._enrolment.process_id)

    # ── on the engine's loop ──

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._stopped:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt):  # of a task that a handler started
                log.exception("a handler's task tried to end the process")
        self._loop.run_until_complete(_cancelled(asyncio.all_tasks(self._loop)))  # a thread may wait for one of them
        self._loop.close()

    async def _claim_until_stopped(self) -> None:
        while not self._stopping:
            await self._wanted.wait()
            self._wanted.clear()
            self._woken = False
            try:
                await self._claim_all()
            except Unavailable:
                await asyncio.sleep(STORE_PAUSE_S)
                self.wake()
            except Exception:
                log.exception("claiming failed")
                await asyncio.sleep(STORE_PAUSE_S)
                self.wake()

    async def _claim_all(self) -> None:
        while not self._stopping and await self._claim():
            pass

    async def _claim(self) -> bool:
        """Claim once; whether there may be more to claim now."""
        slots = self._slots()
        claim = await self._store.write(lambda tx: self._take(tx, slots))
        self._starved = len(claim.runs) == slots
        for run in claim.runs:
            active = self._active[run.id, run.token] = Active(run)
            task = self._loop.create_task(self._work(active))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return claim.more and (slots == 0 or self._slots() > 0)  # with none left, whoever frees one claims again

    def _slots(self) -> int:
        return self._settings.worker.concurrency - sum(not active.ended for active in self._active.values())

    def _take(self, tx: Transaction, slots: int) -> Claim:
        """Routed by the patterns of this moment: a handler that a new worker brought must not miss an event."""
        return runs.claim(tx, list(self._handlers), self._route(tx), slots, self._settings.worker.lease_s)

    def _route(self, tx: Transaction) -> runs.Route:
        """Our own too if we do not seem to live: who stood still has not said so yet."""
        return routing.router(self._own.union(processes.live_patterns(tx) or ()))

    async def _work(self, active: Active) -> None:
        """One slot's work, from claim to finish. Nothing raised here may take the engine down."""
        run = active.run
        started = time.monotonic()
        try:
            ended = await (self._suspect(active) if run.lapses >= SUSPECT_LAPSES else self._attempt(active))
            self._metrics.attempt(run.handler, ended, time.monotonic() - started)
        except asyncio.CancelledError:
            await self._finish(run, GIVEN_BACK)
        except Exception:
            log.exception("an attempt could not be ended; its lease will run out")
        finally:
            self._free(active)
            del self._active[run.id, run.token]

    def _free(self, active: Active) -> None:
        """Give its slot away, once: the commit that writes down an end claims the next run, too."""
        if not active.ended:
            active.ended = True
            if self._starved:
                self._wanted.set()

    async def _attempt(self, active: Active) -> str:
        run = active.run
        active.renew_until = time.monotonic() + self._settings.worker.timeout_s + RENEWED_LONGER_S
        active.attempt = attempt = Attempt(self._tools, self._handlers[run.handler], run)
        verdict = await attempt.run()
        if attempt.leftover is None:
            self._free(active)
        await self._finish(run, verdict)
        if attempt.leftover is not None:  # its lease is over, its slot is not
            active.renew_until = OVER
            await asyncio.wait({attempt.leftover})
        return verdict.kind

    async def _suspect(self, active: Active) -> str:
        """Alone in a child process: blamed only if that child dies while we live to see it."""
        timeout_s = self._settings.worker.timeout_s
        async with self._children:
            active.renew_until = time.monotonic() + timeout_s + RENEWED_LONGER_S
            verdict = await self._alone(active.run, timeout_s)
        if verdict is None:
            return "alone"
        await self._finish(active.run, verdict)
        return verdict.kind

    async def _finish(self, run: Claimed, verdict: Verdict) -> None:
        if verdict is LOST:
            log.warning("the lease was lost: another attempt has taken over")
        else:
            await self._store.insist(Together(runs.finish_all, (run, verdict)))
            if verdict.state == "parked" or verdict.failure:
                log.warning("%s: %s", verdict.kind, verdict.reason, extra={"code": verdict.code, "next": _next(run)})

    async def _drain(self, drain_s: float) -> None:
        ends_at = self._loop.time() + drain_s
        self._stopping = True
        self._wanted.set()
        await asyncio.wait({self._claiming}, timeout=drain_s)  # what it is claiming now is ours to give back
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=max(0.0, ends_at - self._loop.time()))
        for active in self._active.values():
            if active.attempt is not None:
                active.attempt.stop("given back at shutdown")
        await _cancelled(self._tasks)
        await self._upstreams.aclose()
        self._stopped = True
        self._loop.stop()


def _next(run: Claimed) -> str:
    return f"postern events explain {text('ev', run.event_id)}"


async def _cancelled(tasks: Iterable[asyncio.Task[Any]]) -> None:
    ending = {task for task in tasks if task.cancel()}
    if ending:
        await asyncio.wait(ending, timeout=1.0)
