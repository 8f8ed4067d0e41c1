"""A TCP proxy between the services and one of their servers. It can lose a request, or the reply to one.

Whoever sent it hears only that the connection is gone, and cannot know whether it was done.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from tests.chaos.wire import ABORTED, cut, free_port

CHUNK = 1 << 16


@dataclass
class Proxy:
    """`async with` it. `lost` counts the requests and replies that did not arrive."""

    target_port: int
    port: int = field(default_factory=free_port)
    lost: int = 0
    _marker: bytes | None = None
    _after_arrival: bool = True
    _held: bytes | None = None

    def __post_init__(self) -> None:
        self._connections: set[asyncio.Task[None]] = set()
        self._cut = asyncio.Event()
        self._holds, self._released = asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def lose(self, marker: bytes, within_s: float, *, after_arrival: bool) -> bool:
        """Lose the next request that has `marker` in it, or its reply; whether one came in time."""
        self._cut.clear()
        self._marker, self._after_arrival = marker, after_arrival
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._cut.wait()
        self._marker = None
        return self._cut.is_set()

    async def hold(self, marker: bytes, within_s: float) -> None:
        """Wait for a request that has `marker` in it, and let it and what follows it on its connection wait there."""
        self._released.clear()
        self._holds.clear()
        self._held = marker
        async with asyncio.timeout(within_s):
            await self._holds.wait()

    def release(self) -> None:
        self._released.set()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        with suppress(*ABORTED, asyncio.CancelledError):
            server, to_server = await asyncio.open_connection("127.0.0.1", self.target_port)
            deaf = asyncio.Event()
            ways = [asyncio.create_task(self._there(client, to_server, deaf)),
                    asyncio.create_task(self._back(server, to_client, deaf))]  # fmt: skip
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                to_server.close()
        cut(to_client)
        self._connections.discard(task)

    async def _there(self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter, deaf: asyncio.Event) -> None:
        while request := await client.read(CHUNK):
            if self._held is not None and self._held in request:
                self._held = None
                self._holds.set()
                await self._released.wait()
            if self._marker is not None and self._marker in request:
                self._marker = None
                deaf.set()
                if not self._after_arrival:
                    return self._has_cut()
            to_server.write(request)
            await to_server.drain()

    async def _back(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter, deaf: asyncio.Event) -> None:
        while reply := await server.read(CHUNK):
            if deaf.is_set():  # it is here, so what it answers is done
                return self._has_cut()
            to_client.write(reply)
            await to_client.drain()

    def _has_cut(self) -> None:
        self.lost += 1
        self._cut.set()
