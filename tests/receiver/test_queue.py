"""Hints and the sweep by themselves; what a broker must do stands in tests/conformance/test_queue.py."""

import threading
from collections.abc import Iterator
from contextlib import closing

import dramatiq
import pytest

from receiver.errors import UserError
from receiver.queue import ACTOR, QUEUE, Hints, Sweep, hint, make_broker
from receiver.store import Unavailable
from tests.support.until import until


class Post(dramatiq.Broker):
    """A broker that keeps what it was given, and may be down, or busy."""

    def __init__(self) -> None:
        super().__init__(middleware=[])
        self.sent: list[dramatiq.Message[object]] = []
        self.down = False
        self.tried = threading.Semaphore(0)
        self.free = threading.Event()
        self.free.set()

    def enqueue(self, message: "dramatiq.Message[object]", *, delay: int | None = None) -> "dramatiq.Message[object]":
        self.tried.release()
        assert self.free.wait(5)
        if self.down:
            raise ConnectionError("no broker")
        self.sent.append(message)
        return message


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def hints(post: Post) -> Iterator[Hints]:
    with closing(Hints(post, pause_s=0.01)) as it:
        yield it


def test_each_commit_makes_a_hint(post: Post, hints: Hints) -> None:
    hints.give()
    until(lambda: len(post.sent) == 1)
    hints.give()
    until(lambda: len(post.sent) == 2)


def test_commits_made_while_a_hint_is_sent_share_the_next(post: Post, hints: Hints) -> None:
    post.free.clear()
    hints.give()
    assert post.tried.acquire(timeout=5)
    for _ in range(100):
        hints.give()
    post.free.set()
    until(lambda: len(post.sent) == 2)
    hints.give()
    until(lambda: len(post.sent) == 3)  # not one of those before came in between


def test_a_broker_that_is_down_is_tried_again_and_stops_nobody(post: Post, hints: Hints) -> None:
    post.down = True
    hints.give()
    assert post.tried.acquire(timeout=5)
    post.down = False
    hints.give()
    until(lambda: post.sent)


def test_a_broker_that_is_down_is_told_once_in_a_while_and_does_not_delay_the_end(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    post.down = True
    with closing(Hints(post, pause_s=0.001)) as hints:
        for _ in range(20):
            hints.give()
            assert post.tried.acquire(timeout=5)
    with closing(Hints(post, pause_s=600)) as hints:
        hints.give()
        assert post.tried.acquire(timeout=5)
    assert [record.getMessage() for record in caplog.records] == ["a hint was not sent: no broker"] * 2


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


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:6379/0",
        "redis://localhost/",
        "rediss://:pw@localhost",
        "amqp://localhost",
        "amqps://localhost",
    ],
)
def test_no_broker_is_connected_before_it_is_needed(url: str) -> None:
    make_broker(url).close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://:p#w@localhost:6379/0",
        "amqp://user:p/w@localhost",
        "redis://localhost:redis",
        "redis://localhost/abc",
        "redis://localhost/1/2",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_and_its_password_not_shown(url: str) -> None:
    with pytest.raises(UserError, match="the address of the queue cannot be read") as refused:
        make_broker(url)
    assert (refused.value.where, "p#w" in str(refused.value), "p/w" in str(refused.value)) == (
        "[queue] url",
        False,
        False,
    )
