"""The ledger's rows: a step's intent before its effect, the outcome after. What to do with them is decided elsewhere.

An intent goes in only under a live token; an outcome is a fact and is written whoever holds the lease by then.
"""

from dataclasses import dataclass

from receiver.store.ids import new_id
from receiver.store.runs import Claimed
from receiver.store.transaction import Transaction, one

COLUMNS = "id, name, revision, state, key, request, status, headers, body"


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


def reopen(tx: Transaction, step: StepRow) -> None:
    """The same intent is about to be sent once more, with its own bytes and key."""
    tx.run("UPDATE step SET state = 'open', sends = sends + 1, outcome_at = NULL WHERE id = :id", id=step.id)


def conclude(
    tx: Transaction, step: StepRow, state: str, status: int | None, headers: bytes | None, body: bytes | None
) -> None:
    """Record an outcome. A success is never overwritten by what a late twin of the call heard."""
    tx.run(
        "UPDATE step SET state = :state, status = :status, headers = :headers, body = :body, outcome_at = :now"
        " WHERE id = :id AND state <> 'done'",
        id=step.id, state=state, status=status, headers=headers, body=body, now=tx.now_us,
    )  # fmt: skip
