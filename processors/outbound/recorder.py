"""The ledger as one attempt sees it: names its steps, records intents and outcomes, and knows whether it is over."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, TypeVar

from processors.errors import Ended, LeaseLost
from processors.outbound.keys import idempotency_key
from processors.outbound.ledger import Todo, decide
from receiver.store import Store, Together, Transaction, runs, steps
from receiver.store.ids import new_id, text
from receiver.store.runs import Claimed, Verdict, is_live
from receiver.store.steps import Outcome, StepRow

R = TypeVar("R")
NAME_LENGTH = 500  # it stands in an index, where PostgreSQL takes 2,700 bytes
SETTLE_S = 8.0  # less than the lease is renewed beyond an attempt's time


class Recorder:
    def __init__(self, store: Store, run: Claimed) -> None:
        self._store = store
        self._run = run
        self._names: dict[str, int] = {}
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
        """The step's name: the given one, or the default, numbered from the second of that name on.

        Errors: ValueError for one that no database could find again.
        """
        name = given or default
        if len(name) > NAME_LENGTH or not name.isprintable():
            raise ValueError(
                f"a step's name has up to {NAME_LENGTH} printable characters, not {name[:80]!r}…: give step="
            )
        count = self._names[name] = self._names.get(name, 0) + 1
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
        wanted = Wanted(self._run, name, request, partial(self.key, name), named, repeatable)
        found: tuple[Todo, StepRow] | None = await self._store.insist(Together(_begin_all, wanted))
        if found is None:
            raise LeaseLost
        return found

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
        await self._store.insist(Together(steps.conclude_all, Outcome(step, state, status, headers, body)))


@dataclass(slots=True)
class Wanted:
    """A step that an attempt is about to begin."""

    run: Claimed
    name: str
    request: bytes
    key: Callable[[int], str]
    named: bool
    repeatable: Callable[[bytes], bool]
    begun: tuple[Todo, StepRow] | None = None
    """By a try whose commit was not answered: it may have happened."""


def _begin_all(tx: Transaction, wanted: Sequence[Wanted]) -> list[tuple[Todo, StepRow] | None]:
    live = runs.live(tx, [(step.run.id, step.run.token) for step in wanted])
    rows = steps.newest_all(tx, [(step.run, step.name) for step in wanted])
    intents: list[tuple[Claimed, StepRow]] = []
    for step, row in zip(wanted, rows, strict=True):
        if (step.run.id, step.run.token) not in live:
            step.begun = None
        elif not _happened(step, row):
            step.begun = _begin(tx, step, row)
            if step.begun[0] is Todo.INTEND:
                intents.append((step.run, step.begun[1]))
    steps.intend_all(tx, intents)
    return [step.begun for step in wanted]


def _happened(step: Wanted, row: StepRow | None) -> bool:
    """Whether the row is what an earlier try made of it: committed, and only the commit's answer was lost."""
    if step.begun is None or row is None:
        return False
    made = step.begun[1]
    return (row.id, row.sends, row.state) == (made.id, made.sends, "open") and step.begun[0] in WRITTEN


WRITTEN = (Todo.INTEND, Todo.REPEAT)


def _begin(tx: Transaction, step: Wanted, row: StepRow | None) -> tuple[Todo, StepRow]:
    repeatable = row is not None and step.repeatable(row.request)
    decision = decide(row, step.request, named=step.named, repeatable=repeatable)
    if decision.todo is Todo.INTEND:
        key = step.key(decision.revision)
        return Todo.INTEND, StepRow(new_id(), step.name, decision.revision, "open", key, step.request)
    assert row is not None
    return decision.todo, steps.reopen(tx, row) if decision.todo is Todo.REPEAT else row
