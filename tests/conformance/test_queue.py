"""Every queue: a hint reaches the actor, and one that is lost, doubled or late changes nothing."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import dramatiq

from receiver.queue import ACTOR, QUEUE, Hints, hint, make_broker


class Looks:
    """An actor that counts how often it was told to look."""

    def __init__(self, broker: dramatiq.Broker) -> None:
        self.happened = threading.Semaphore(0)

        @dramatiq.actor(actor_name=ACTOR, queue_name=QUEUE, broker=broker)
        def look() -> None:
            self.happened.release()


@contextmanager
def working(broker: dramatiq.Broker) -> Iterator[Looks]:
    looks = Looks(broker)
    worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=50)
    worker.start()
    try:
        yield looks
    finally:
        worker.stop()
        broker.close()


def test_a_hint_reaches_the_actor(queue_url: str) -> None:
    broker = make_broker(queue_url)
    with working(broker) as looks, closing(Hints(broker)) as hints:
        hints.give()
        assert looks.happened.acquire(timeout=10)


def test_a_hint_may_be_sent_before_there_is_an_actor(queue_url: str) -> None:
    broker = make_broker(queue_url)
    broker.enqueue(hint())
    with working(broker) as looks:
        assert looks.happened.acquire(timeout=10)


def test_hints_follow_each_other(queue_url: str) -> None:
    broker = make_broker(queue_url)
    with working(broker) as looks, closing(Hints(broker)) as hints:
        for _ in range(20):
            hints.give()
            assert looks.happened.acquire(timeout=10)
            hints.taken()


def test_doubled_hints_are_so_many_looks(queue_url: str) -> None:
    broker = make_broker(queue_url)
    with working(broker) as looks:
        for _ in range(5):
            broker.enqueue(hint())
        for _ in range(5):
            assert looks.happened.acquire(timeout=10)


def test_a_hint_that_cannot_be_given_any_more_is_nobody_s_trouble(queue_url: str) -> None:
    broker = make_broker(queue_url)
    hints = Hints(broker)
    hints.close()
    hints.give()
    broker.close()
