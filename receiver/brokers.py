"""How hints travel: one broker for dramatiq, over whichever link carries them. Links to servers: redis_link, amqp_link.

A hint says "look" and nothing else. So whatever arrives is one, garbage too; any may be lost; none is confirmed; and
only a few are kept, so that those nobody comes for cost a server nothing.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, Full, Queue
from typing import Any, Protocol

import dramatiq

from receiver.log import Hush

log = logging.getLogger("postern.queue")

QUEUE = "postern"
ACTOR = "work"
KEPT = 10  # hints that wait at most
ANSWER_S = 1.0  # a server that takes longer is taken for dead


def hint() -> "dramatiq.Message[Any]":
    """A message for the actor, made without importing it: the receiver does not know the processors."""
    return dramatiq.Message(queue_name=QUEUE, actor_name=ACTOR, args=(), kwargs={}, options={})


class Link(Protocol):
    """A connection to what keeps hints, for one thread at a time. Errors: whatever its library raises, in seconds."""

    def send(self) -> None:
        """Leave a hint. Returns once it is known to have arrived."""

    def receive(self, within_s: float) -> bool:
        """Whether a hint came within the time, which may be cut short."""

    def close(self) -> None: ...


class MemoryLink:
    """Within one process."""

    def __init__(self) -> None:
        self._waiting: Queue[None] = Queue(KEPT)

    def send(self) -> None:
        with suppress(Full):
            self._waiting.put_nowait(None)

    def receive(self, within_s: float) -> bool:
        try:
            self._waiting.get(timeout=within_s)
        except Empty:
            return False
        return True

    def close(self) -> None:
        pass


class HintBroker(dramatiq.Broker):
    """One link to send by, made when first needed, and one for each consumer."""

    def __init__(self, connect: Callable[[], Link]) -> None:
        super().__init__(middleware=[])
        self._connect = connect
        self._link: Link | None = None
        self._sending = threading.Lock()

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            self.queues[queue_name] = True
            self.emit_after("declare_queue", queue_name)  # starts the worker's consumer

    def enqueue(self, message: "dramatiq.Message[Any]", *, delay: int | None = None) -> "dramatiq.Message[Any]":
        with self._sending:
            if self._link is not None:
                with suppress(Exception):  # it may have broken while it was idle, of which nobody heard
                    self._send(self._link)
                    return message
            self._link = self._connect()
            self._send(self._link)
        return message

    def _send(self, link: Link) -> None:
        try:
            link.send()
        except Exception:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 1000) -> "HintConsumer":
        return HintConsumer(self._connect, timeout / 1000)

    def close(self) -> None:
        with self._sending:
            self._hang_up()


class HintConsumer(dramatiq.Consumer):
    """Waits for hints, and for the server to come back: dramatiq would wait three seconds and shout each time."""

    def __init__(self, connect: Callable[[], Link], timeout_s: float) -> None:
        self._connect = connect
        self._timeout_s = timeout_s
        self._link: Link | None = None
        self._hush = Hush()

    def __next__(self) -> dramatiq.MessageProxy | None:
        try:
            self._link = self._link or self._connect()
            arrived = self._link.receive(self._timeout_s)
        except Exception as error:  # the sweep finds the work all the same
            self._lost(error)
            return None
        return dramatiq.MessageProxy(hint()) if arrived else None

    def _lost(self, error: Exception) -> None:
        if count := self._hush.speak("lost"):
            log.warning("no hints arrive, work waits for the sweep: %s", error, extra={"count": count})
        self.close()
        time.sleep(min(self._timeout_s, ANSWER_S / 2))

    def ack(self, message: dramatiq.MessageProxy) -> None:
        pass

    def nack(self, message: dramatiq.MessageProxy) -> None:
        pass

    def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()
