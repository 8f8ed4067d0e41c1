"""dramatiq by itself on Redis."""

from collections.abc import Iterable

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tests.benchmarks.peers.work import told, work

dramatiq.set_broker(RedisBroker(url=told.broker))  # type: ignore[no-untyped-call]
task = dramatiq.actor(work)


def enqueue(numbers: Iterable[int]) -> None:
    for number in numbers:
        task.send(number)
