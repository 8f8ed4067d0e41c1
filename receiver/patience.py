"""How long whoever asked waits for the store."""

import asyncio
import time
from collections import deque

from receiver.store.writer import Waiter


class Patience:
    """An end to waits that are all equally long. One timer serves them all: one each would cost more than the wait."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: deque[tuple[float, Waiter]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, waiter: Waiter) -> None:
        """If it is not done in time, it hears of a TimeoutError."""
        waiting = self._waiting
        while waiting and waiting[0][1].done():  # now: kept for longer, they would push all else out of the caches
            waiting.popleft()
        waiting.append((time.monotonic() + self._seconds, waiter))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)

    def _expire(self) -> None:
        now = time.monotonic()
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= now):
            waiter = self._waiting.popleft()[1]
            if not waiter.done():
                waiter.set_exception(TimeoutError())
        self._timer = None
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(self._waiting[0][0] - now, self._expire)
