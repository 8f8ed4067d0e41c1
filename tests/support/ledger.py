"""One step at a time, where the product does all of a commit at once."""

from receiver.store import Transaction, steps
from receiver.store.ids import new_id
from receiver.store.runs import Claimed
from receiver.store.steps import Outcome, StepRow


def newest(tx: Transaction, run: Claimed, name: str) -> StepRow | None:
    return steps.newest_all(tx, [(run, name)])[0]


def intend(tx: Transaction, run: Claimed, name: str, revision: int, key: str, request: bytes) -> StepRow:
    step = StepRow(new_id(), name, revision, "open", key, request)
    steps.intend_all(tx, [(run, step)])
    return step


def conclude(
    tx: Transaction, step: StepRow, state: str, status: int | None, headers: bytes | None, body: bytes | None
) -> None:
    steps.conclude_all(tx, [Outcome(step, state, status, headers, body)])
