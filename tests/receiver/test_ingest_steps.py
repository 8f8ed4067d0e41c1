"""Deliveries that come in the same turn of the loop: each step for all of them, and to each an answer of its own."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from receiver.delivery import Answer, Delivery
from receiver.ingest import AT_ONCE, Intake
from receiver.metrics import Metrics
from receiver.schemes import Identity, Key, Refused, Request, Signed, Verified
from receiver.schemes.reader import Reader
from receiver.settings import load
from receiver.sources import build_sources
from receiver.store import Store, Unavailable, open_store
from receiver.store.intake import Arrival, Recorded
from receiver.store.writer import Waiter
from receiver.wellformed import Limits
from tests.support.rows import count, rows

SOURCES = f"""
[sources.odd]
scheme = "{__name__}:Odd"
secrets = ["literal:anything"]
max_body_bytes = 100
"""


class Odd(Reader):
    """A user's own scheme, which does what the body says."""

    def key(self, reference: str, secret: bytes, where: str) -> Key:
        return Key(reference, secret)

    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified:
        if request.body == b"verify":
            raise ZeroDivisionError("in verify")
        if request.body == b"refuse":
            raise Refused("timestamp_stale", "its year is no number", claimed_at=float("nan"))
        return Verified(keys[0], None)

    def identify(self, request: Request) -> list[Identity]:
        if request.body == b"identify":
            raise ZeroDivisionError("in identify")
        return [Identity(request.body.decode(), "a.b", vendor_id=True)]

    def sign(self, body: bytes, *_: Any, **__: Any) -> Signed:
        return Signed([], body)


class Sent(Delivery):
    """A whole delivery without a connection; what it hears is kept."""

    __slots__ = ("answers", "heard", "intake")

    def __init__(self, intake: Intake, body: bytes, name: str = "odd") -> None:
        super().__init__(name, b"POST", "http", b"/webhooks/" + name.encode(), b"", [(b"host", b"localhost")])
        self.body = body
        self.whole = True
        self.intake = intake
        self.answers: list[Answer] = []
        self.heard = asyncio.Event()

    def done(self) -> bool:
        return bool(self.answers)

    def set_result(self, recorded: list[Recorded]) -> None:
        self.recorded = recorded
        self.intake.stored(self)

    def set_exception(self, error: BaseException) -> None:
        self.answer(self.intake.refuse(self, error))

    def answer(self, answer: Answer) -> None:
        self.answers.append(answer)
        self.heard.set()

    def go_on(self) -> None:
        self.intake.take(self)

    @property
    def said(self) -> str:
        """Its one answer: the status, and in a word what."""
        [answer] = self.answers
        told = json.loads(answer.body)
        return f"{answer.status} {told['code'] if 'code' in told else told['status']}"


class Trouble:
    """A store that does with some bodies what they say."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record_for(self, waiter: Waiter, arrival: Arrival) -> None:
        if arrival.body == b"full":
            raise Unavailable("too many deliveries wait for the store")
        if arrival.body == b"fault":
            raise ZeroDivisionError("in the store")
        if arrival.body != b"hangs":
            self._store.record_for(waiter, arrival)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[Intake]:
    (tmp_path / "postern.toml").write_text(SOURCES)
    settings = load(tmp_path / "postern.toml", {})
    store = open_store(settings.store.url, create=True)
    troubled = cast("Store", Trouble(store))
    yield Intake(build_sources(settings), troubled, Metrics(), None, Limits(store_s=0.05))
    store.close()


def taken(intake: Intake, *deliveries: Sent) -> list[str]:
    """What they hear that come in one turn of the loop."""

    async def all() -> None:
        for delivery in deliveries:
            intake.take(delivery)
        for delivery in deliveries:
            await delivery.heard.wait()

    asyncio.run(asyncio.wait_for(all(), 10))
    return [delivery.said for delivery in deliveries]


BAD = {
    "verify": "503 internal",
    "refuse": "503 internal",  # and what it claims cannot be kept
    "identify": "503 internal",
    "fault": "503 internal",
    "full": "503 store_unavailable",
    "hangs": "503 store_slow",
    "x" * 101: "413 too_large",
}


@pytest.mark.parametrize("bad", BAD, ids=lambda body: body[:8])
def test_whatever_becomes_of_one_the_others_of_its_turn_are_stored(intake: Intake, bad: str, tmp_path: Path) -> None:
    bodies = ["good_1", bad, "good_2"]
    assert taken(intake, *(Sent(intake, body.encode()) for body in bodies)) == [
        "200 accepted",
        BAD[bad],
        "200 accepted",
    ]
    stored = rows(tmp_path / "postern.db", "SELECT external_id FROM event ORDER BY external_id")
    assert stored == [("good_1",), ("good_2",)]


def test_each_of_many_bad_ones_hears_what_is_wrong_with_it(intake: Intake) -> None:
    strange = Sent(intake, b"good", "nobody")
    heard = taken(intake, strange, *(Sent(intake, body.encode()) for body in BAD))
    assert heard == ["404 unknown_source", *BAD.values()]


def test_copies_that_come_in_one_turn_are_one_event(intake: Intake, tmp_path: Path) -> None:
    copies = [Sent(intake, b"same") for _ in range(3)]
    assert sorted(taken(intake, *copies)) == ["200 accepted", "200 duplicate", "200 duplicate"]
    assert count(tmp_path / "postern.db", "event") == 1


def test_who_was_answered_before_its_turn_is_not_taken_any_more(intake: Intake, tmp_path: Path) -> None:
    async def cut_short() -> list[str]:
        late, other = Sent(intake, b"late"), Sent(intake, b"other")
        intake.take(late)
        intake.take(other)
        late.set_exception(asyncio.CancelledError())
        late.go_on()
        await other.heard.wait()
        return [late.said, other.said]

    assert asyncio.run(asyncio.wait_for(cut_short(), 10)) == ["503 stopping", "200 accepted"]
    assert rows(tmp_path / "postern.db", "SELECT external_id FROM event") == [("other",)]


def test_more_than_are_taken_at_once_are_all_taken(intake: Intake, tmp_path: Path) -> None:
    many = [Sent(intake, b"%d" % number) for number in range(AT_ONCE + 1)]
    assert set(taken(intake, *many)) == {"200 accepted"}
    assert count(tmp_path / "postern.db", "event") == AT_ONCE + 1


def test_those_that_change_with_the_configuration_end_as_they_began(intake: Intake) -> None:
    async def changed() -> str:
        delivery = Sent(intake, b"before")
        intake.admit(delivery)
        intake.change({}, None)
        intake.take(delivery)
        await delivery.heard.wait()
        return delivery.said

    assert asyncio.run(asyncio.wait_for(changed(), 10)) == "200 accepted"
