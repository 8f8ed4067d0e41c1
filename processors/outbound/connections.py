"""The open connections to one upstream: each serves one call at a time and stays open for the next.

Each is an httpx client whose pool holds that one connection. A pool of many asks all of them how they are, twice for
each call, and with some dozens open that costs more than the call. Whether a connection is still good, and how a new
one is made, stays httpx's business; that one call does not get in another's way is ours.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from receiver.http import httpx

AT_ONCE = 100
KEPT_S = 5.0  # unused; servers close theirs after about as long
ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEPT_S)


class Connections:
    def __init__(
        self, connection: Callable[[], httpx.AsyncClient], wait_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`connection` makes one, with `ONE` as its limits; where all are in use, a call waits `wait_s`."""
        self._new = connection
        self._wait_s = wait_s
        self._clock = clock
        self._free = asyncio.Semaphore(AT_ONCE)
        self._open: set[httpx.AsyncClient] = set()
        self._unused: deque[tuple[float, httpx.AsyncClient]] = deque()  # since when; the last one used comes last

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpx.AsyncClient]:
        """The one used last, or a new one. After an error it is closed. Errors: PoolTimeout."""
        await self._until_free()
        try:
            connection = await self._taken()
            try:
                yield connection
            except BaseException:
                await self._close(connection)
                raise
            self._unused.append((self._clock(), connection))
        finally:
            self._free.release()

    async def _until_free(self) -> None:
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout(f"all {AT_ONCE} connections are in use") from None

    async def _taken(self) -> httpx.AsyncClient:
        while self._unused and self._unused[0][0] < self._clock() - KEPT_S:
            await self._close(self._unused.popleft()[1])
        if self._unused:
            return self._unused.pop()[1]
        connection = self._new()
        self._open.add(connection)
        return connection

    async def _close(self, connection: httpx.AsyncClient) -> None:
        self._open.discard(connection)
        await connection.aclose()

    async def aclose(self) -> None:
        self._unused.clear()
        for connection in list(self._open):
            await self._close(connection)
