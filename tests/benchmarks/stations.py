"""PostgreSQL and Redis for a benchmark: our own, with fsync on, or running ones that the caller names."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import redis

# No checkpoint in the middle of a short round; and a server that has run for a while need not make files for its log,
# because it has old ones.
POSTGRESQL = {"max_wal_size": "4GB", "wal_init_zero": "off", "shared_buffers": "512MB"}


@dataclass(frozen=True)
class Stations:
    postgresql_url: str
    redis_url: str
    pids: dict[str, list[int]]
    """Of those that we started: whose processor time can be told."""

    @classmethod
    @contextmanager
    def opened(cls, postgresql_url: str | None, redis_url: str | None, *, sql: bool) -> "Iterator[Stations]":
        """`sql`: PostgreSQL is wanted at all."""
        pids: dict[str, list[int]] = {}
        with ExitStack() as started:
            if postgresql_url is None and sql:
                postgresql_url = _postgresql(started, pids)
            if redis_url is None:
                redis_url = _redis(started, pids)
            yield cls(postgresql_url or "", redis_url, pids)

    def flush_broker(self) -> None:
        with redis.Redis.from_url(self.redis_url) as broker:
            broker.flushdb()


def _postgresql(started: ExitStack, pids: dict[str, list[int]]) -> str:
    from tests.support.servers import PostgresqlServer  # late: whoever names servers needs none installed

    server = started.enter_context(PostgresqlServer(fsync=True, options=POSTGRESQL))
    pids["database"] = [server.pid]
    return server.url


def _redis(started: ExitStack, pids: dict[str, list[int]]) -> str:
    from tests.support.servers import RedisServer

    server = started.enter_context(RedisServer())
    pids["broker"] = [server.pid]
    return server.url
