"""The engines that every suite here runs on. A new store or queue is one more line in a table below.

An engine that needs a service of its own yields its URL from a database or queue made for this one test, and is a skip
where the service is missing, except in CI.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from receiver.store import Store, open_store


def sqlite(folder: Path) -> str:
    return f"sqlite:///{folder}/postern.db"


def memory(folder: Path) -> str:
    return "memory://"


STORES: dict[str, Callable[[Path], str]] = {"sqlite": sqlite}
QUEUES: dict[str, Callable[[Path], str]] = {"memory": memory}


@pytest.fixture(params=STORES)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return STORES[request.param](tmp_path)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with closing(open_store(store_url, create=True)) as it:
        yield it


@pytest.fixture
def stores(store_url: str) -> Iterator[list[Store]]:
    """The same store as two processes have it open."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(open_store(store_url, create=True))) for _ in range(2)]


@pytest.fixture(params=QUEUES)
def queue_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return QUEUES[request.param](tmp_path)
