"""Hints, and the sweep. The store is the queue: a message only says "look"; it may be lost, doubled, late, reordered.

The broker is chosen by `queue.url`. Retries, delays and time limits of dramatiq are off: they live in the store.
"""

import logging
import random
import re
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

import dramatiq

from receiver.brokers import ACTOR, QUEUE, HintBroker, Link, MemoryLink, hint
from receiver.errors import UserError
from receiver.log import Hush
from receiver.store import Unavailable

__all__ = ["ACTOR", "QUEUE", "SWEEP_S", "Hints", "Sweep", "hint", "make_broker"]

log = logging.getLogger("postern.queue")

SWEEP_S = 1.0


def make_broker(url: str) -> dramatiq.Broker:
    """The broker of `queue.url`. Nothing is connected yet: intake must not wait for it, nor fail with it."""
    broker = HintBroker(_link(url))
    broker.declare_queue(QUEUE)
    return broker


def _link(url: str) -> Callable[[], Link]:
    try:
        return LINKS[url.partition("://")[0]](url)
    except ValueError:  # not shown: it may quote a part of the password
        fix = "write SCHEME://USER:PASSWORD@HOST:PORT/…, for redis with a number at the end, and as %XX what is special"
        fix += " in a password"
        raise UserError("the address of the queue cannot be read", "[queue] url", fix) from None


def _memory(url: str) -> Callable[[], Link]:
    link = MemoryLink()
    return lambda: link


def _redis(url: str) -> Callable[[], Link]:
    from receiver.redis_link import RedisLink  # costs 18 MB and 0.1 s: only who needs it pays

    if not re.fullmatch(r"/?[0-9]*", urlsplit(url).path):  # its library would take database 0
        raise ValueError("no number of a database")
    RedisLink(url).close()  # connects nothing, but reads the address
    return lambda: RedisLink(url)


def _amqp(url: str) -> Callable[[], Link]:
    from receiver.amqp_link import AmqpLink, parameters_of

    parameters = parameters_of(url)
    return lambda: AmqpLink(parameters)


LINKS = {"memory": _memory, "redis": _redis, "rediss": _redis, "amqp": _amqp, "amqps": _amqp}


class Hints:
    """Sends one hint for each commit that brought work, from its own thread; those made while it sends share one."""

    def __init__(self, broker: dramatiq.Broker, pause_s: float = SWEEP_S) -> None:
        self._broker = broker
        self._pause_s = pause_s
        self._hush = Hush()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="hints", daemon=True)
        self._thread.start()

    def give(self) -> None:
        """There is work. Returns at once."""
        self._wanted.set()

    def _loop(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()  # before it is sent: what is committed from now on needs another
            if self._closing.is_set():
                return
            try:
                self._broker.enqueue(hint())
            except Exception as error:
                self._lost(error)

    def _lost(self, error: Exception) -> None:
        """The sweep finds the work all the same, so the next try can wait as long."""
        if count := self._hush.speak("lost"):
            log.warning("a hint was not sent: %s", error, extra={"count": count})
        self._closing.wait(self._pause_s)

    def close(self) -> None:
        self._closing.set()
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
