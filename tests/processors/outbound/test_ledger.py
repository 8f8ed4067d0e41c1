"""The whole decision: what is in the ledger, whether the bytes are the same, whether a repeat is safe."""

from itertools import product

import pytest

from processors.outbound.ledger import Decision, Todo, decide
from receiver.store.steps import StepRow

SAME, OTHER = b"same", b"other"


def row(state: str) -> StepRow:
    return StepRow(1, "POST ledger /entries", 2, state, "key", SAME)


Case = tuple[str | None, bytes, bool, bool]
"""(state, request, named, repeatable)"""


def expected(case: Case) -> Decision:
    """The ledger's docstring, written once more."""
    match case:
        case (None, _, _, _):
            return Decision(Todo.INTEND, 0)
        case ("done", _, _, _):
            return Decision(Todo.ANSWER, 2)
        case ("refused", request, _, _):
            return Decision(Todo.REPEAT, 2) if request == SAME else Decision(Todo.INTEND, 3)
        case ("open", _, _, False):
            return Decision(Todo.AMBIGUOUS, 2)
        case ("open", request, False, True) if request == OTHER:
            return Decision(Todo.DRIFTED, 2)
    return Decision(Todo.REPEAT, 2)


CASES: list[Case] = list(product((None, "open", "done", "refused"), (SAME, OTHER), (False, True), (False, True)))


@pytest.mark.parametrize("case", CASES)
def test_every_case_is_decided(case: Case) -> None:
    state, request, named, repeatable = case
    found = None if state is None else row(state)
    assert decide(found, request, named=named, repeatable=repeatable) == expected(case)
