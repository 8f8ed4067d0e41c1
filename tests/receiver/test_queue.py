"""Hints and the sweep by themselves; what a broker must do stands in tests/conformance/test_queue.py."""

import threading
from collections.abc import Iterator
from contextlib import closing

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from receiver.errors import UserError
from receiver.queue import ACTOR, QUEUE, SWEEP_S, Hints, Sweep, hint, make_broker
from receiver.store import Unavailable
from tests.support.until import until


class Post(StubBroker):
    """A broker that keeps what it was given, and may be down."""

    def __init__(self) -> None:
        super().__init__(middleware=[])
        self.sent: list[dramatiq.Message[object]] = []
        self.down = False
        self.tried = threading.Event()

    def enqueue(self, message: "dramatiq.Message[object]", *, delay: int | None = None) -> "dramatiq.Message[object]":
        self.tried.set()
        if self.down:
            raise ConnectionError("no broker")
        self.sent.append(message)
        return message


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def hints(post: Post, clock: Clock) -> Iterator[Hints]:
    with closing(Hints(post, clock)) as it:
        yield it


def test_many_commits_make_one_hint_until_it_has_arrived(post: Post, hints: Hints) -> None:
    hints.give()
    until(lambda: post.sent)
    for _ in range(100):
        hints.give()
    hints.taken()
    hints.give()
    until(lambda: len(post.sent) == 2)


def test_a_hint_that_is_lost_does_not_silence_those_after_it(post: Post, hints: Hints, clock: Clock) -> None:
    hints.give()
    until(lambda: post.sent)
    clock.now += SWEEP_S
    hints.give()
    until(lambda: len(post.sent) == 2)


def test_a_broker_that_is_down_is_tried_again_and_stops_nobody(post: Post, hints: Hints, clock: Clock) -> None:
    post.down = True
    hints.give()
    assert post.tried.wait(5)
    post.down = False
    clock.now += SWEEP_S
    hints.give()
    until(lambda: post.sent)


def test_a_hint_says_no_more_than_look() -> None:
    message = hint()
    assert (message.queue_name, message.actor_name, message.args, message.options) == (QUEUE, ACTOR, (), {})


def test_the_sweep_goes_on_after_whatever_a_look_raises() -> None:
    raised = iter([Unavailable("locked"), RuntimeError("a surprise")])
    looked = threading.Semaphore(0)

    def look() -> None:
        looked.release()
        for error in raised:
            raise error

    with closing(Sweep(look, every_s=0.01)):
        for _ in range(4):
            assert looked.acquire(timeout=5)


def test_a_broker_that_is_not_built_is_said_so() -> None:
    for url in ("redis://localhost:6379/0", "amqp://localhost"):
        with pytest.raises(UserError, match="not built yet"):
            make_broker(url)
