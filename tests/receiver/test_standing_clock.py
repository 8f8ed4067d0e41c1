"""Under a wall clock that stands still: durations are told by the monotonic clock, and ids do without any."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import start
from tests.chaos.clock import STANDS_AT
from tests.conformance.conftest import make_tables
from tests.support import sender, services
from tests.support.inside import PATH, STRIPE
from tests.support.postern import REPOSITORY, Postern, serving, write_project
from tests.support.rows import count, rows
from tests.support.until import until
from tests.support.wire import post, wire

AT = 1_650_000_000
EVENTS = 40
HANDLERS = """
from processors import Context, Event, SyncContext, on

@on("stripe", "payment_intent.*")
async def book(event: Event[dict[str, str]], ctx: Context) -> None:
    await ctx.step("note", write, "booked", event.external_id)

@on("stripe", "*.succeeded")
def note(event: Event[dict[str, str]], ctx: SyncContext) -> None:
    write("noted", event.external_id)

def write(file: str, line: str) -> None:
    with open(file, "a") as lines:
        lines.write(line + "\\n")
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def environ(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    standing = {"PYTHONPATH": f"{Path(str(start.__file__)).parent}:{REPOSITORY}", STANDS_AT: str(AT)}
    if request.param == "sqlite":
        yield standing
    else:
        with services.new_postgresql_database(make_tables) as url:
            yield {**standing, "POSTERN_STORE__URL": url}


def deliver(postern: Postern, number: int, at: int = AT) -> Any:
    body = sender.stripe_event(f"evt_{number}")
    answer = post(postern.port, PATH, body, sender.stripe(body, at=at))
    return answer.json() if answer.status == 200 else answer.code


def test_all_is_received_told_apart_run_once_and_drained(tmp_path: Path, environ: dict[str, str]) -> None:
    write_project(tmp_path, STRIPE, HANDLERS)
    store: Any = environ.get("POSTERN_STORE__URL", tmp_path / "postern.db")
    answers: list[Any] = []
    for first in (0, EVENTS):  # and once more from the start, at the very same moment
        with serving(tmp_path, environ) as postern:
            fresh = [deliver(postern, number) for number in range(first, first + EVENTS)]
            assert {answer["status"] for answer in fresh} == {"accepted"}
            assert (ids := [answer["id"] for answer in fresh]) == sorted(set(ids))
            answers += fresh
            again = [deliver(postern, number) for number in range(first + EVENTS)]
            assert again == [{**answer, "status": "duplicate"} for answer in answers]
            assert deliver(postern, 0, AT - 301) == "timestamp_stale"
            assert deliver(postern, 0, AT + 301) == "timestamp_future"
            runs = 2 * len(answers)
            until(lambda: count(store, "run", "state = 'succeeded'") == runs, what="all runs' ends")  # noqa: B023
    for file in ("booked", "noted"):
        assert sorted((tmp_path / file).read_text().split()) == sorted(f"evt_{number}" for number in range(2 * EVENTS))
    assert rows(store, "SELECT DISTINCT received_at FROM event") == [(AT * 1_000_000,)]


def test_who_is_slow_is_given_up(tmp_path: Path, environ: dict[str, str]) -> None:
    write_project(tmp_path, STRIPE)
    with serving(tmp_path, environ) as postern, wire(postern.port, 30) as slow, wire(postern.port, 30) as idle:
        slow.send(b"POST /webhooks/stripe HTTP/1.1\r\n")
        idle.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.answer().status == 200
        assert (idle.ended(), slow.answer().code) == (True, "too_slow")
