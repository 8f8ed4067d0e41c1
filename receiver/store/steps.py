"""The ledger's rows: a step's intent before its effect, the outcome after. What to do with them is decided elsewhere.

An intent goes in only under a live token; an outcome is a fact and is written whoever holds the lease by then.
"""

from dataclasses import dataclass, replace

from receiver.store.ids import new_id
from receiver.store.runs import Claimed
from receiver.store.transaction import Transaction, one

COLUMNS = "id, name, revision, state, key, request, status, headers, body, sends"


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


def newest(tx: Transaction, run: Claimed, name: str) -> StepRow | None:
    row = one(
        tx,
        f"SELECT {COLUMNS} FROM step WHERE run_id = :run_id AND generation = :generation AND name = :name"
        " ORDER BY revision DESC LIMIT 1",
        run_id=run.id, generation=run.generation, name=name,
    )  # fmt: skip
    return StepRow(*row) if row else None


def intend(tx: Transaction, run: Claimed, name: str, revision: int, key: str, request: bytes) -> StepRow:
    step = StepRow(new_id(), name, revision, "open", key, request)
    tx.run(
        "INSERT INTO step (id, run_id, generation, name, revision, state, key, request, intent_at)"
        " VALUES (:id, :run_id, :generation, :name, :revision, 'open', :key, :request, :now)",
        id=step.id, run_id=run.id, generation=run.generation, name=name, revision=revision, key=key, request=request,
        now=tx.now_us,
    )  # fmt: skip
    return step


def of_run(tx: Transaction, run: Claimed) -> list[StepRow]:
    """All steps of the run's generation, oldest first."""
    rows = tx.all(
        f"SELECT {COLUMNS} FROM step WHERE run_id = :run_id AND generation = :generation ORDER BY id",
        run_id=run.id, generation=run.generation,
    )  # fmt: skip
    return [StepRow(*row) for row in rows]


def reopen(tx: Transaction, step: StepRow) -> StepRow:
    """The same intent is about to be sent once more, with its own bytes and key. A success that a late twin of the call
    has recorded meanwhile stays.
    """
    tx.run(
        "UPDATE step SET state = 'open', sends = sends + 1, outcome_at = NULL WHERE id = :id AND state <> 'done'",
        id=step.id,
    )
    return replace(step, sends=step.sends + 1)


def conclude(
    tx: Transaction, step: StepRow, state: str, status: int | None, headers: bytes | None, body: bytes | None
) -> None:
    """Record an outcome. A success always counts, and is never overwritten. What else a late twin of the call heard
    counts for nothing once it was sent again: that the first copy was refused says nothing of the second.
    """
    tx.run(
        "UPDATE step SET state = :state, status = :status, headers = :headers, body = :body, outcome_at = :now"
        " WHERE id = :id AND state <> 'done' AND (:state = 'done' OR sends = :sends)",
        id=step.id, state=state, status=status, headers=headers, body=body, now=tx.now_us, sends=step.sends,
    )  # fmt: skip
