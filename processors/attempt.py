"""One attempt of one run: read the event, call the handler, say how it ended. Claims and leases are the engine's."""

import asyncio
import concurrent.futures
import contextvars
import functools
import inspect
import logging
import traceback
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from processors.contained import contained, contained_call
from processors.context import Context, SyncContext
from processors.errors import Drop, LeaseLost, Park, Retry, Steer
from processors.event import Event, Readings, read_event
from processors.handler import Handler
from processors.outbound.recorder import Recorder
from processors.outbound.upstream import Upstreams
from receiver.log import bind
from receiver.metrics import Metrics
from receiver.settings import WorkerSettings
from receiver.store import Store
from receiver.store.ids import text
from receiver.store.runs import Claimed, Verdict

log = logging.getLogger("postern.handler")

CANCEL_S = 1.0  # an async handler that does not end so soon after it was cancelled is left behind
REASON_LENGTH = 500
HERE = str(Path(__file__).parent)
LOST = Verdict("waiting", "lease_lost")
"""Not written: whoever has the lease now decides."""


@dataclass(frozen=True)
class Tools:
    """What attempts share."""

    store: Store
    readings: Readings
    upstreams: Upstreams
    metrics: Metrics
    worker: WorkerSettings
    threads: Executor
    jitter: Callable[[], float]
    """A random number from 0 to 1."""


class Attempt:
    """`await run()` gives the verdict; `leftover` is a handler that outlived its time and still holds its slot."""

    def __init__(self, tools: Tools, handler: Handler, run: Claimed) -> None:
        self._tools = tools
        self._handler = handler
        self._run = run
        self._recorder = Recorder(tools.store, run)
        self.leftover: asyncio.Future[Any] | None = None

    async def run(self) -> Verdict:
        bind(event=text("ev", self._run.event_id), run=text("run", self._run.id), handler=self._run.handler)
        verdict = await self._tried()
        return _storable(decided(verdict, self._run.failures, self._tools.worker, self._tools.jitter()))

    def stop(self, reason: str) -> None:
        """From now on `ctx` does nothing more in this attempt."""
        self._recorder.ended = self._recorder.ended or Verdict("waiting", reason=reason)

    async def _tried(self) -> Verdict:
        reading = self._tools.readings.of(self._run.source)
        try:
            event = read_event(self._run, reading, self._handler.adapter.validate_python)
        except ValidationError as error:
            return Verdict("parked", "schema_error", _fits_not(error))
        except Exception as error:  # of a validator of the author's
            return _failed(error)
        return await self._call(event)

    async def _call(self, event: Event[Any]) -> Verdict:
        work = self._start(event)
        try:
            await asyncio.wait({work}, timeout=self._tools.worker.timeout_s)
        except asyncio.CancelledError:
            work.cancel()
            raise
        if not work.done():
            return await self._out_of_time(work)
        await self._recorder.settle()
        return self._ended(work)

    def _start(self, event: Event[Any]) -> "asyncio.Future[Any]":
        context = Context(self._recorder, self._tools.upstreams, self._tools.metrics, self._run.attempt)
        if self._handler.is_async:
            return asyncio.ensure_future(contained(self._awaited(event, context)))
        loop = asyncio.get_running_loop()
        plain = SyncContext(context, functools.partial(_submit, loop))
        call = functools.partial(contained_call, self._called, event, plain)
        return loop.run_in_executor(self._tools.threads, contextvars.copy_context().run, call)

    async def _awaited(self, event: Event[Any], context: Context) -> None:
        await self._handler.function(event, context)

    def _called(self, event: Event[Any], context: SyncContext) -> None:
        result = self._handler.function(event, context)
        if inspect.iscoroutine(result):
            result.close()
            raise TypeError("a plain function that returns a coroutine: nothing of it would run; make it `async def`")

    async def _out_of_time(self, work: "asyncio.Future[Any]") -> Verdict:
        said = f"took longer than {self._tools.worker.timeout_s:g} s"
        verdict = self._recorder.ended or Verdict("waiting", "timeout", said, failure=True)
        self.stop("out of time")
        if self._handler.is_async:
            work.cancel()
            await asyncio.wait({work}, timeout=CANCEL_S)
        await self._recorder.settle()
        if not work.done():
            self.leftover = work
            log.warning("%s, and goes on: it keeps its slot until it ends", said)
        return verdict

    def _ended(self, work: "asyncio.Future[Any]") -> Verdict:
        if work.cancelled():
            error: BaseException | None = asyncio.CancelledError("the handler was cancelled")
        else:
            error = work.exception()
        if isinstance(error, LeaseLost):
            return LOST
        if self._recorder.ended is not None:
            return self._recorder.ended
        if error is None:
            return Verdict("succeeded")
        if isinstance(error, Steer):
            return _steered(error, self._tools.worker.retry_first_s)
        return _failed(error)


def _submit(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    guarded = contained(work)
    try:
        future = asyncio.run_coroutine_threadsafe(guarded, loop)
    except RuntimeError:  # a function that was left behind at shutdown goes on after the loop has ended
        guarded.close()
        work.close()
        raise
    try:
        return future.result()
    except concurrent.futures.CancelledError:  # an Exception, which would pass for the work's own: it was cut off
        raise asyncio.CancelledError from None


def _failed(error: BaseException) -> Verdict:
    log.error("handler failed", exc_info=error)
    return Verdict("waiting", "exception", _said(error), failure=True)


def _storable(verdict: Verdict) -> Verdict:
    """Its reason as text that a database takes: what handlers and upstreams say may hold half a character."""
    if verdict.reason is None:
        return verdict
    reason = str(verdict.reason).encode("utf-8", "replace").decode().replace("\0", "")
    return replace(verdict, reason=reason)


def _steered(wish: Steer, first_s: float) -> Verdict:
    match wish:
        case Drop():
            return Verdict("dropped", reason=wish.reason or None)
        case Park():
            return Verdict("parked", "asked", wish.reason or "the handler asked for a person")
        case Retry():
            return Verdict(
                "waiting",
                "retry_asked",
                "the handler asked to be called again",
                first_s if wish.after_s is None else max(0.0, wish.after_s),
            )
    raise TypeError(f"unknown wish {wish!r}")


def decided(verdict: Verdict, failures: int, worker: WorkerSettings, jitter: float) -> Verdict:
    """A failure's wait, or its parking once the budget is used up. Pure."""
    if not verdict.failure:
        return verdict
    if failures + 1 >= worker.max_failures:
        return replace(
            verdict,
            state="parked",
            code="failures_exhausted",
            reason=f"failed {failures + 1} times, at last: {verdict.reason}",
        )
    return replace(verdict, wait_s=backoff_s(failures, worker, jitter))


def backoff_s(failures: int, worker: WorkerSettings, jitter: float) -> float:
    """The wait after the failure that comes after `failures` earlier ones: grows to the cap, a quarter more or less."""
    exponent = min(failures, 64)
    wait_s = min(worker.retry_first_s * worker.retry_factor**exponent, worker.retry_cap_s)
    return wait_s * (0.75 + 0.5 * jitter)


def _fits_not(error: ValidationError) -> str:
    problems = [
        f"{'.'.join(map(str, e['loc'])) or 'data'}: {e['msg']}"
        for e in error.errors(include_url=False, include_input=False)
    ]
    return f"the event's data does not fit {error.title}: " + "; ".join(problems)[:REASON_LENGTH]


def _said(error: BaseException) -> str:
    """The exception with the line of the user's code that it came through last."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if "site-packages" not in frame.filename and HERE not in frame.filename]
    place = f" at {theirs[-1].filename}:{theirs[-1].lineno}" if theirs else ""
    try:
        said = str(error)
    except Exception:  # of an exception that cannot say what it is
        said = "(no text)"
    return f"{type(error).__name__}: {said}{place}"[:REASON_LENGTH]
