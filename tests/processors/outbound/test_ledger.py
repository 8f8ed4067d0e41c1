"""The whole decision: what is in the ledger, whether the bytes are the same, whether a repeat is safe."""

from itertools import product

import pytest

from processors.outbound.ledger import Decision, Todo, decide
from receiver.store.steps import StepRow

SAME, OTHER = b"same", b"other"


def row(state: str) -> StepRow:
    return StepRow(1, "POST ledger /entries", 2, state, "key", SAME)


def table() -> dict[tuple[str | None, bytes, bool, bool], Decision]:
    """(state, request, named, repeatable) → decision, of which the ambiguous and the drifted are written out."""
    every = list(product((SAME, OTHER), (False, True), (False, True)))
    decisions = {(None, *case): Decision(Todo.INTEND, 0) for case in every}
    decisions |= {("done", *case): Decision(Todo.ANSWER, 2) for case in every}
    decisions |= {("refused", SAME, *case): Decision(Todo.REPEAT, 2) for case in product((False, True), repeat=2)}
    decisions |= {("refused", OTHER, *case): Decision(Todo.INTEND, 3) for case in product((False, True), repeat=2)}
    decisions |= {("open", request, named, False): Decision(Todo.AMBIGUOUS, 2) for request, named, _ in every}
    decisions |= {("open", SAME, named, True): Decision(Todo.REPEAT, 2) for named in (False, True)}
    return decisions | {
        ("open", OTHER, True, True): Decision(Todo.REPEAT, 2),
        ("open", OTHER, False, True): Decision(Todo.DRIFTED, 2),
    }


@pytest.mark.parametrize(("case", "decision"), table().items())
def test_every_case_is_decided(case: tuple[str | None, bytes, bool, bool], decision: Decision) -> None:
    state, request, named, repeatable = case
    found = None if state is None else row(state)
    assert decide(found, request, named=named, repeatable=repeatable) == decision


def test_no_case_is_left_out() -> None:
    assert set(table()) == set(product((None, "open", "done", "refused"), (SAME, OTHER), (False, True), (False, True)))
