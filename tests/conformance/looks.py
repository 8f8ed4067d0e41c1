"""An actor that only counts its hints, and a worker for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dramatiq

from receiver.queue import ACTOR, QUEUE


class Looks:
    """How often the actor was told to look."""

    def __init__(self, broker: dramatiq.Broker) -> None:
        self.happened = threading.Semaphore(0)
        self.count = 0

        @dramatiq.actor(actor_name=ACTOR, queue_name=QUEUE, broker=broker)
        def look() -> None:
            self.count += 1
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
