"""The ledger as one attempt sees it: names its steps, records intents and outcomes, and knows whether it is over."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

from processors.errors import Ended, LeaseLost
from processors.outbound.keys import idempotency_key
from processors.outbound.ledger import Todo, decide
from receiver.store import Store, Transaction, steps
from receiver.store.ids import text
from receiver.store.runs import Claimed, Verdict, is_live
from receiver.store.steps import StepRow

R = TypeVar("R")
SETTLE_S = 8.0  # less than the lease is renewed beyond an attempt's time


class Recorder:
    def __init__(self, store: Store, run: Claimed) -> None:
        self._store = store
        self._run = run
        self._names: Counter[str] = Counter()
        self.event_id = text("ev", run.event_id)
        self._unfinished: set[asyncio.Task[Any]] = set()
        self.ended: Verdict | None = None

    def end(self, verdict: Verdict) -> NoReturn:
        """Nothing more is done in this attempt, and this is how it ended, even if the handler catches the exception."""
        self.ended = self.ended or verdict
        raise Ended(self.ended)

    def check(self) -> None:
        if self.ended is not None:
            raise Ended(self.ended)

    def park(self, code: str, reason: str) -> NoReturn:
        self.end(Verdict("parked", code, reason))

    def name(self, given: str | None, default: str) -> str:
        """The step's name: the given one, or the default, numbered from the second of that name on."""
        name = given or default
        self._names[name] += 1
        count = self._names[name]
        return name if count == 1 else f"{name} #{count}"

    def key(self, step: str, revision: int = 0) -> str:
        return idempotency_key(self.event_id, self._run.handler, step, self._run.generation, revision)

    async def to_its_end(self, work: Coroutine[Any, Any, R]) -> R:
        """Run what must not be cut off with the handler that began it: between a call and the record of its answer."""
        task = asyncio.ensure_future(work)
        self._unfinished.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def _finished(self, task: "asyncio.Task[Any]") -> None:
        self._unfinished.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited for it has heard it, or has gone

    async def settle(self) -> None:
        """Wait for what the handler began and did not wait for: its outcome belongs to this attempt."""
        if self._unfinished:
            await asyncio.wait(set(self._unfinished), timeout=SETTLE_S)

    async def begin(
        self, name: str, request: bytes, *, named: bool, repeatable: Callable[[bytes], bool]
    ) -> tuple[Todo, StepRow]:
        """Look the step up and record the intent, in one commit and only under a live lease. Errors: LeaseLost.

        `repeatable` says of stored bytes whether they may be sent again. The row's `state` is the one found, before it
        was opened again.
        """
        self.check()
        found = await self._store.insist(lambda tx: self._begin(tx, name, request, named=named, repeatable=repeatable))
        if found is None:
            raise LeaseLost
        return found

    def _begin(
        self, tx: Transaction, name: str, request: bytes, *, named: bool, repeatable: Callable[[bytes], bool]
    ) -> tuple[Todo, StepRow] | None:
        if not is_live(tx, self._run.id, self._run.token):
            return None
        row = steps.newest(tx, self._run, name)
        decision = decide(row, request, named=named, repeatable=row is not None and repeatable(row.request))
        if decision.todo is Todo.INTEND:
            row = steps.intend(tx, self._run, name, decision.revision, self.key(name, decision.revision), request)
        assert row is not None
        if decision.todo is Todo.REPEAT:
            row = steps.reopen(tx, row)
        return decision.todo, row

    async def again(self, step: StepRow) -> StepRow:
        """The same call is about to be sent once more within this attempt. Errors: LeaseLost."""
        self.check()
        reopened = await self._store.insist(lambda tx: self._again(tx, step))
        if reopened is None:
            raise LeaseLost
        return reopened

    def _again(self, tx: Transaction, step: StepRow) -> StepRow | None:
        return steps.reopen(tx, step) if is_live(tx, self._run.id, self._run.token) else None

    async def conclude(
        self,
        step: StepRow,
        state: str,
        status: int | None = None,
        headers: bytes | None = None,
        body: bytes | None = None,
    ) -> None:
        """Record an outcome: a fact, whoever holds the lease by now."""
        await self._store.insist(lambda tx: steps.conclude(tx, step, state, status, headers, body))
