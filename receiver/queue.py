"""Hints, and the sweep. The store is the queue: a message only says "look"; it may be lost, doubled, late, reordered.

The broker is chosen by `queue.url`. Retries, delays and time limits of dramatiq are off: they live in the store.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq.brokers.stub import StubBroker

from receiver.errors import UserError
from receiver.log import Hush
from receiver.store import Unavailable

log = logging.getLogger("postern.queue")

QUEUE = "postern"
ACTOR = "work"
SWEEP_S = 1.0


def make_broker(url: str) -> dramatiq.Broker:
    if url != "memory://":
        raise UserError(f"this queue is not built yet: {url.partition(':')[0]}", "[queue] url", "use memory:// for now")
    broker = StubBroker(middleware=[])
    broker.declare_queue(QUEUE)  # before the first message: an actor may be declared later
    return broker


def hint() -> "dramatiq.Message[Any]":
    """A message for the actor, made without importing it: the receiver does not know the processors."""
    return dramatiq.Message(queue_name=QUEUE, actor_name=ACTOR, args=(), kwargs={}, options={})


class Hints:
    """Sends one hint after a commit that brought work, from a thread of its own; none while one is on its way.

    One that takes longer than the sweep is taken for lost, and no longer waited for.
    """

    def __init__(self, broker: dramatiq.Broker, clock: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._clock = clock
        self._hush = Hush()
        self._wanted = threading.Event()
        self._quiet_until = 0.0
        self._closing = False
        self._thread = threading.Thread(target=self._loop, name="hints", daemon=True)
        self._thread.start()

    def give(self) -> None:
        """There is work. Returns at once."""
        if self._clock() >= self._quiet_until:
            self._wanted.set()

    def taken(self) -> None:
        """The hint on its way has arrived: what comes from now on needs another."""
        self._quiet_until = 0.0

    def _loop(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closing:
                return
            self._quiet_until = self._clock() + SWEEP_S
            try:
                self._broker.enqueue(hint())
            except Exception as error:  # the sweep finds the work all the same
                if count := self._hush.speak("lost"):
                    log.warning("a hint was not sent: %s", error, extra={"count": count})

    def close(self) -> None:
        self._closing = True
        self._wanted.set()
        self._thread.join()


class Sweep:
    """Looks about once a second for what no hint tells: retries now due, expired leases, other processes' commands.

    A thread of its own, so that a handler that blocks its event loop does not lose the leases of its neighbours.
    """

    def __init__(self, look: Callable[[], None], every_s: float = SWEEP_S) -> None:
        self._look = look
        self._every_s = every_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="sweep", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        while not self._closing.wait(self._every_s * random.uniform(0.8, 1.2)):
            try:
                self._look()
            except Unavailable:
                pass  # the writer has logged it
            except Exception:
                log.exception("the sweep failed")

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
