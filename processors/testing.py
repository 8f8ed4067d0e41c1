"""Tests of handlers: `deliver` runs one as the engine would, on a ledger of its own; what upstreams answer, you say.

    def test_a_payment_is_booked() -> None:
        result = deliver(book, "stripe/payment_intent.succeeded", apis={"ledger": [(201, {"id": "entry_1"})]})
        assert result.state == "succeeded"
        assert result.calls[0].json()["cents"] == 4590

Real are the decoding, the ledger with its steps and keys, and what answers mean. There are no signatures, credentials,
network or waiting. No postern.toml is needed; where there is one, its sources, and which apis take keys, count.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from processors.attempt import Attempt, Tools
from processors.event import Readings
from processors.handler import Handler, handler_of
from processors.outbound.fake import Answering, Answers, FakeUpstreams, Received
from processors.posted import FixtureLike, Wanted, posted
from receiver.metrics import Metrics
from receiver.settings import Settings, load
from receiver.store import Store, runs, steps
from receiver.store.intake import Arrival
from receiver.store.runs import Claimed, Verdict
from receiver.store.steps import StepRow
from receiver.store.temporary import TemporaryStore

__all__ = ["Delivered", "Received", "Step", "deliver"]

T = TypeVar("T")
LEASE_S = 3600.0


@dataclass(frozen=True)
class Step:
    """A recorded call or step: `done`, `refused` (it had no effect) or `open` (begun, outcome unknown)."""

    state: str
    key: str
    status: int | None
    body: bytes

    @property
    def result(self) -> Any:
        """What was recorded: of JSON its value, else the text; None where there is nothing."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            return self.body.decode("utf-8", "replace")


@dataclass(frozen=True)
class Delivered:
    """What one attempt came to. After a crash the state is `running`: nobody has said otherwise."""

    state: str
    code: str | None
    reason: str | None
    calls: list[Received]
    """What this attempt sent, in order."""
    steps: dict[str, Step]
    """The ledger after it, by the steps' names."""
    again: "Callable[..., Delivered]" = field(repr=False, compare=False)
    """`again(crash_after=None)` runs the next attempt, on the same ledger; answers go on where they stopped."""


def deliver(
    handler: Callable[..., Any],
    fixture: FixtureLike,
    apis: Mapping[str, Answers] | None = None,
    crash_after: int | None = None,
    *,
    source: str | None = None,
    type: str | None = None,
) -> Delivered:
    """Run one attempt of a handler on an event made of `fixture`: `source/type`, a path, or a dict as the body.

    `apis` answers for each upstream: with a list of `(status, body)` and exceptions, used one by one, or with a
    function of the call. A ConnectionError says that nothing was sent, any other that the answer got lost.
    `crash_after=n` ends the attempt as a kill would: after the n-th call took effect, before its answer is recorded.
    `source` and `type` are, unless given, those of the fixture, or of the handler's first pattern without `*`.
    """
    wanted = Wanted(handler_of(handler), source, type)
    arrival, settings = posted(wanted, fixture, load())
    answering = {name: Answering(name, answers) for name, answers in (apis or {}).items()}
    return _Bench(wanted.handler, arrival, settings, answering).attempt(crash_after)


class _Bench:
    """One run and its ledger, attempt after attempt."""

    def __init__(
        self, handler: Handler, arrival: Arrival, settings: Settings, answering: Mapping[str, Answering]
    ) -> None:
        _ = handler.adapter  # annotations that cannot be read are an error here, as at a worker's start
        self._handler = handler
        self._arrival: Arrival | None = arrival
        self._settings = settings
        self._answering = answering
        self._store = TemporaryStore()

    def attempt(self, crash_after: int | None = None) -> Delivered:
        with self._store.open() as store:
            return _complete(self._attempt(store, crash_after))

    async def _attempt(self, store: Store, crash_after: int | None) -> Delivered:
        run = await self._claimed(store)
        upstreams = FakeUpstreams(self._settings, self._answering, crash_after)
        threads = ThreadPoolExecutor(1, "handler")
        readings, worker = Readings(self._settings), self._settings.worker
        tools = Tools(store, readings, upstreams, Metrics(), worker, threads, jitter=lambda: 0.5)
        attempt = Attempt(tools, self._handler, run)
        upstreams.on_halt = partial(attempt.stop, "halted")
        verdict = await attempt.run()
        threads.shutdown(wait=attempt.leftover is None)
        await upstreams.aclose()
        if upstreams.mistake:
            raise upstreams.mistake
        rows = await store.write(lambda tx: steps.of_run(tx, run))
        await store.write(lambda tx: runs.finish(tx, run, Verdict("waiting", failure=verdict.failure)))
        ended = Verdict("running") if upstreams.halted else verdict
        return Delivered(ended.state, ended.code, ended.reason, upstreams.calls, _by_name(rows), self.attempt)

    async def _claimed(self, store: Store) -> Claimed:
        if self._arrival is not None:
            await store.record(self._arrival)
            self._arrival = None
        name = self._handler.name
        claim = await store.write(lambda tx: runs.claim(tx, [name], lambda source, type_: (name,), 1, LEASE_S))
        return claim.runs[0]


def _by_name(rows: list[StepRow]) -> dict[str, Step]:
    """Of a step with several revisions the newest."""
    return {row.name: Step(row.state, row.key, row.status, row.body or b"") for row in rows}


def _complete(work: Coroutine[Any, Any, T]) -> T:
    """Also where a loop runs already, in a test that is `async def` itself: then in a thread."""
    if not _in_a_loop():
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
