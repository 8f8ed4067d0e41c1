"""How long whoever asked waits for the store."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence

from receiver.store.writer import Waiter


class Patience:
    """An end to waits that are all equally long. One timer serves them all: one each would cost more than the wait."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: deque[tuple[float, list[Waiter]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, waiters: Sequence[Waiter]) -> None:
        """Those that are not done in time hear of a TimeoutError."""
        self._forget_done()  # now: kept for longer, they would push all else out of the caches
        if not waiters:
            return
        self._waiting.append((time.monotonic() + self._seconds, [*waiters]))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)

    def _forget_done(self) -> None:
        while self._waiting:
            waiters = self._waiting[0][1]
            while waiters and waiters[-1].done():
                waiters.pop()
            if waiters:
                return
            self._waiting.popleft()

    def _expire(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            for waiter in self._waiting.popleft()[1]:
                if not waiter.done():
                    waiter.set_exception(TimeoutError())
        self._forget_done()
        self._timer = None
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(self._waiting[0][0] - now, self._expire)
