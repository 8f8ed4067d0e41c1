"""What an answer may be, given what was sent: the promises of the intake, one complaint for each that was broken."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.fuzz.framing import Asked, requests
from tests.fuzz.inputs import AT
from tests.fuzz.model import MADE_OF_BYTES, accepted

STATUSES = {200, 400, 401, 403, 404, 405, 408, 413, 415, 431}
CODE = re.compile("[a-z_]+")
HEAD_END = b"\r\n\r\n"

LookUp = Callable[[str], tuple[str, str]]
"""The source and the external id of a stored event, by the id that the sender was told."""


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def ids(self) -> list[str]:
        """Those of events, if this says that any were accepted."""
        said = _json(self.body)
        events = said.get("events", [said]) if self.status == 200 and isinstance(said, dict) else []
        return [event["id"] for event in events if "id" in event]


def complaints(stream: bytes, written: bytes, closed: bool, look_up: LookUp) -> Iterator[str]:
    asked = list(requests(stream))
    answers = [answer for answer in read(written) if answer.status != 100]
    for number, answer in enumerate(answers):
        what = asked[number] if number < len(asked) else None
        yield from _unfit(answer)
        yield from _unsigned(answer, what, look_up)
    due = _due(asked)
    closes = closed or (answers and answers[-1].headers.get("connection") == "close")
    if not closes and len(answers) < due:
        yield f"{due} requests, {len(answers)} answers, and it still waits"


def _due(asked: list[Asked | None]) -> int:
    """How many have to be answered."""
    for number, one in enumerate(asked):
        if one is None or not one.whole or (one.closes and one is not asked[-1]):
            return number
    return len(asked)


def read(written: bytes) -> Iterator[Answered]:
    """All answers, whatever was asked: one to HEAD announces a body and has none."""
    while written:
        head, found, rest = written.partition(HEAD_END)
        first, *lines = head.decode("latin-1").split("\r\n")
        assert found, f"no whole answer: {written[:200]!r}"
        assert first.startswith("HTTP/1.1 "), f"no answer: {written[:200]!r}"
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        length = 0 if rest.startswith(b"HTTP/1.1 ") else int(headers.get("content-length", 0))
        yield Answered(int(first.split()[1]), headers, rest[:length])
        written = rest[length:]


def _unfit(answer: Answered) -> Iterator[str]:
    if answer.status not in STATUSES:
        yield f"the status {answer.status}: {answer.body[:200]!r}"
    if answer.status == 200 or not answer.body:
        return
    problem = _json(answer.body)
    is_problem = answer.headers.get("content-type") == "application/problem+json" and isinstance(problem, dict)
    if not is_problem or problem.get("status") != answer.status or not CODE.fullmatch(problem.get("code", "")):
        yield f"no problem+json: {answer}"


def _unsigned(answer: Answered, asked: Asked | None, look_up: LookUp) -> Iterator[str]:
    is_page = asked is not None and not asked.is_delivery
    if answer.status != 200 or is_page:
        return
    allowed = accepted(asked, AT) if asked and asked.whole else None
    if allowed is None:
        yield f"accepted, and nobody signed it: {answer.body[:200]!r}"
        return
    stored = [look_up(id) for id in answer.ids]
    source, ids = allowed
    if answer.headers["content-type"] == "application/json" and not _same(stored, [(source, id) for id in ids]):
        yield f"stored as {stored[:5]}, and it is {allowed}"


def _same(stored: list[tuple[str, str]], expected: list[tuple[str, str]]) -> bool:
    """An item without an id has one of its own content, however that is written."""
    return len(stored) == len(expected) and all(
        one == other or (other[1] == MADE_OF_BYTES and one[0] == other[0] and one[1].startswith(MADE_OF_BYTES))
        for one, other in zip(stored, expected, strict=True)
    )


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
