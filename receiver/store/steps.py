"""The ledger's rows: a step's intent before its effect, the outcome after. What to do with them is decided elsewhere.

An intent goes in only under a live token; an outcome is a fact and is written whoever holds the lease by then.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from receiver.store.runs import Claimed
from receiver.store.transaction import Row, Transaction

COLUMNS = (
    "step.id, step.name, step.revision, step.state, step.key, step.request, step.status, step.headers, step.body,"
    " step.sends"
)


@dataclass(frozen=True, slots=True)
class StepRow:
    """`state`: open (sent or about to be, outcome unknown), done, or refused (the upstream said it had no effect)."""

    id: int
    name: str
    revision: int
    state: str
    key: str
    request: bytes
    status: int | None = None
    headers: bytes | None = None
    body: bytes | None = None
    sends: int = 1
    """How often it was sent, with this time."""


NEWEST = (
    f"SELECT step.run_id, step.generation, {COLUMNS} FROM given JOIN step"
    " ON step.run_id = given.run_id AND step.generation = given.generation AND step.name = given.name"
)


def newest_all(tx: Transaction, wanted: Sequence[tuple[Claimed, str]]) -> list[StepRow | None]:
    """The newest revision of the step of that name, for each run."""
    names = [(run.id, run.generation, name) for run, name in wanted]
    found: dict[Row, StepRow] = {}
    for run_id, generation, *row in tx.given(NEWEST, "run_id bigint, generation integer, name text", names):
        step = StepRow(*row)
        older = found.setdefault((run_id, generation, step.name), step)
        if older.revision < step.revision:
            found[run_id, generation, step.name] = step
    return [found.get(name) for name in names]


INTENT = (
    "id bigint, run_id bigint, generation integer, name text, revision integer, state text, key text, request bytea,"
    " intent_at bigint"
)


def intend_all(tx: Transaction, intents: Sequence[tuple[Claimed, StepRow]]) -> None:
    tx.insert("step", INTENT, [
        (step.id, run.id, run.generation, step.name, step.revision, step.state, step.key, step.request, tx.now_us)
        for run, step in intents
    ])  # fmt: skip


def of_run(tx: Transaction, run: Claimed) -> list[StepRow]:
    """All steps of the run's generation, oldest first."""
    rows = tx.all(
        f"SELECT {COLUMNS} FROM step WHERE run_id = :run_id AND generation = :generation ORDER BY id",
        run_id=run.id, generation=run.generation,
    )  # fmt: skip
    return [StepRow(*row) for row in rows]


def reopen(tx: Transaction, step: StepRow) -> StepRow:
    """The same intent is about to be sent once more, with its own bytes and key. A success that a late twin of the call
    has recorded meanwhile stays. Written twice, where the answer of the first commit was lost, it counts once.
    """
    tx.run(
        "UPDATE step SET state = 'open', sends = :sends, outcome_at = NULL WHERE id = :id AND state <> 'done'",
        id=step.id, sends=step.sends + 1,
    )  # fmt: skip
    return replace(step, sends=step.sends + 1)


class Outcome(NamedTuple):
    """What became of a step."""

    step: StepRow
    state: str
    status: int | None
    headers: bytes | None
    body: bytes | None


CONCLUDE = (
    "UPDATE step SET state = given.state, status = given.status, headers = given.headers, body = given.body,"
    " outcome_at = :now FROM given WHERE step.id = given.id AND step.state <> 'done'"
    " AND (given.state = 'done' OR step.sends = given.sends)"
)
CONCLUDED = "id bigint, sends integer, state text, status integer, headers bytea, body bytea"


def conclude_all(tx: Transaction, outcomes: Sequence[Outcome]) -> list[None]:
    """Record outcomes. A success always counts, and is never overwritten. What else a late twin of the call heard
    counts for nothing once it was sent again: that the first copy was refused says nothing of the second.
    """
    rising = sorted(outcomes, key=lambda outcome: (outcome.state == "done", outcome.step.sends))
    last = {step.id: (step.id, step.sends, *heard) for step, *heard in rising}  # a statement changes a row once
    tx.given(CONCLUDE, CONCLUDED, list(last.values()), now=tx.now_us)
    return [None] * len(outcomes)
