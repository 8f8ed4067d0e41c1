"""What to do with a step, given what the ledger holds of it. Pure: `receiver.store.steps` reads and writes the rows.

nothing yet                → intend it, then send
done                       → its recorded answer; nothing is sent
refused, same bytes        → send the same again, same key: it had no effect
refused, other bytes       → a new revision with a new key
open, may be repeated      → send its own bytes and key again; an unnamed step with other bytes has drifted
open, may not be repeated  → ambiguous: a person must say what happened
"""

from dataclasses import dataclass
from enum import StrEnum

from receiver.store.steps import StepRow


class Todo(StrEnum):
    INTEND = "intend"
    ANSWER = "answer"
    REPEAT = "repeat"
    DRIFTED = "drifted"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class Decision:
    todo: Todo
    revision: int = 0


def decide(row: StepRow | None, request: bytes, *, named: bool, repeatable: bool) -> Decision:
    if row is None:
        return Decision(Todo.INTEND)
    if row.state == "done":
        return Decision(Todo.ANSWER, row.revision)
    if row.state == "refused":
        same = row.request == request
        return Decision(Todo.REPEAT, row.revision) if same else Decision(Todo.INTEND, row.revision + 1)
    if not repeatable:
        return Decision(Todo.AMBIGUOUS, row.revision)
    if row.request != request and not named:
        return Decision(Todo.DRIFTED, row.revision)
    return Decision(Todo.REPEAT, row.revision)
