"""How the product is spread over processes, as data; and the servers it then needs, each behind a proxy of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from tests.chaos.proxy import Proxy
from tests.support.servers import PostgresqlServer, RabbitmqServer, RedisServer, Server

HOUR_S = 3600.0
POSTGRESQL = {"wal_writer_delay": "10s"}  # a commit that did not wait for the disk is then still in memory at a kill


@dataclass(frozen=True, slots=True)
class Layout:
    """One receiver, and what else?"""

    store: str = "sqlite"
    """Or postgresql."""
    queue: str = "memory"
    """Or redis or amqp."""
    clocks_s: tuple[float, ...] = ()
    """One worker each, by how far its clock is ahead; none where the queue is in memory: there the receiver works."""

    @property
    def servers(self) -> tuple[Callable[[], Server] | None, Callable[[], Server] | None]:
        """Of the store and of the queue."""
        return STORES[self.store], QUEUES[self.queue]


STORES: Mapping[str, Callable[[], Server] | None] = {
    "sqlite": None,
    "postgresql": lambda: PostgresqlServer(options=POSTGRESQL),
}
QUEUES: Mapping[str, Callable[[], Server] | None] = {"memory": None, "redis": RedisServer, "amqp": RabbitmqServer}


def layout(store: str, queue: str) -> Layout:
    """With two workers. On SQLite the machine's clock is the store's: there it may not be wrong."""
    clocks_s = (0.0, HOUR_S if store == "postgresql" else 0.0)
    return Layout(store, queue, () if queue == "memory" else clocks_s)


ALONE = layout("sqlite", "memory")
ON_REDIS = layout("postgresql", "redis")
ON_AMQP = layout("postgresql", "amqp")


@dataclass(frozen=True, slots=True)
class Behind:
    """A server, and the proxy through which the services reach it."""

    server: Server
    proxy: Proxy

    @property
    def name(self) -> str:
        return type(self.server).__name__.removesuffix("Server")

    @property
    def url(self) -> str:
        """As the services have it."""
        said = urlsplit(self.server.url)
        return urlunsplit(said._replace(netloc=said.netloc.replace(f":{self.server.port}", f":{self.proxy.port}")))


@asynccontextmanager
async def behind(make: Callable[[], Server] | None) -> AsyncIterator[Behind | None]:
    """Errors: Missing."""
    if make is None:
        yield None
        return
    server = await asyncio.to_thread(make().__enter__)
    try:
        async with Proxy(server.port) as proxy:
            yield Behind(server, proxy)
    finally:
        await asyncio.to_thread(server.__exit__)
