"""The engines that every suite here runs on. A new store or queue is one more line in a table below.

An engine that needs a service of its own yields a URL of a database or queue made for this one test, and is a skip
where the service is missing, except in CI.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from receiver.store import Store, open_store, schema
from receiver.store.database import database_at
from tests.support import services

Place = Callable[[Path], AbstractContextManager[str]]


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    url = f"sqlite:///{folder}/postern.db"
    make_tables(url)
    yield url


def postgresql(folder: Path) -> AbstractContextManager[str]:
    return services.new_postgresql_database(make_tables)


def make_tables(url: str) -> None:
    schema.upgrade(database_at(url))


@contextmanager
def memory(folder: Path) -> Iterator[str]:
    yield "memory://"


def redis(folder: Path) -> AbstractContextManager[str]:
    return services.new_redis()


def amqp(folder: Path) -> AbstractContextManager[str]:
    return services.new_amqp()


STORES: dict[str, Place] = {"sqlite": sqlite, "postgresql": postgresql}
QUEUES: dict[str, Place] = {"memory": memory, "redis": redis, "amqp": amqp}


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with STORES[request.param](tmp_path) as url:
        yield url


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with closing(open_store(store_url)) as it:
        yield it


@pytest.fixture
def stores(store_url: str) -> Iterator[list[Store]]:
    """The same store as two processes have it open."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(open_store(store_url))) for _ in range(2)]


@pytest.fixture(params=QUEUES)
def queue_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with QUEUES[request.param](tmp_path) as url:
        yield url
