"""PostgreSQL, Redis and RabbitMQ that tests share, and a place there for each test. Servers to kill are in `servers`.

A shared server is the one that a variable names, else one that is started at its first use, once in a test process, and
ends with it. Where its programs are missing, the test is skipped, but fails in CI.
"""

import atexit
import fcntl
import hashlib
import itertools
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

import pika
import psycopg
import pytest
import redis
from psycopg import sql

from receiver.amqp_link import NAME
from tests.support.servers import Missing, PostgresqlServer, RabbitmqServer, RedisServer, Server

POSTGRESQL, REDIS, AMQP = (f"POSTERN_TEST_{kind}_URL" for kind in ("POSTGRESQL", "REDIS", "AMQP"))

S = TypeVar("S")
_databases = itertools.count()
_held: set[str] = set()
_until_exit = ExitStack()
atexit.register(_until_exit.close)


def postgresql_url() -> str:
    return os.environ.get(POSTGRESQL) or _own(_quick_postgresql)


def redis_url() -> str:
    return os.environ.get(REDIS) or _own(RedisServer)


def amqp_url() -> str:
    return os.environ.get(AMQP) or _own(RabbitmqServer)


def installed(server: Callable[[], S], ci: str | None = os.environ.get("CI")) -> S:
    """The server, not started. The test is skipped, or with CI=true failed, where a program of it is missing."""
    try:
        return server()
    except Missing as missing:
        _without(str(missing), ci)


def _without(what: str, ci: str | None) -> NoReturn:
    if ci == "true":
        pytest.fail(what)
    pytest.skip(what)


@contextmanager
def new_postgresql_database(prepare: Callable[[str], None] | None = None) -> Iterator[str]:
    """The URL of a new database, which is dropped afterwards, whoever uses it.

    It is empty, or a copy of what `prepare` made of the URL of an empty one: that is called once in a process.
    """
    template = _prepared(prepare) if prepare else "template0"
    with _database(template) as url:
        yield url


@contextmanager
def new_redis() -> Iterator[str]:
    """The URL of a Redis without Postern's keys: on our own server a database's own, else under a lock."""
    url = redis_url()
    with ExitStack() as stack:
        if os.environ.get(REDIS):
            stack.enter_context(_alone_with(url, named=True))
        else:
            url = f"{url.rpartition('/')[0]}/{next(_databases) % RedisServer.DATABASES}"
        _delete_keys(url)
        stack.callback(_delete_keys, url)
        yield url


@contextmanager
def new_amqp() -> Iterator[str]:
    """The URL of a RabbitMQ without Postern's queue, under a lock: a vhost of its own would cost each test seconds."""
    url = amqp_url()
    with _alone_with(url, named=bool(os.environ.get(AMQP))), ExitStack() as stack:
        _delete_queue(url)
        stack.callback(_delete_queue, url)
        yield url


def _quick_postgresql() -> PostgresqlServer:
    return PostgresqlServer(fsync=False)


@cache
def _own(kind: Callable[[], Server]) -> str:
    return _until_exit.enter_context(installed(kind)).url


@contextmanager
def _database(template: str) -> Iterator[str]:
    url = postgresql_url()
    name = f"postern_test_{secrets.token_hex(6)}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
    _execute(url, create)
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        _execute(url, drop)


def _execute(url: str, statement: sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


@cache
def _prepared(prepare: Callable[[str], None]) -> str:
    """The name of a database as `prepare` left it."""
    url = _until_exit.enter_context(_database("template0"))
    prepare(url)
    return urlsplit(url).path[1:]


def _delete_keys(url: str) -> None:
    with closing(redis.Redis.from_url(url)) as client:
        for key in client.scan_iter("postern:*"):
            client.delete(key)


def _delete_queue(url: str) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        connection.channel().queue_delete(NAME)


@contextmanager
def _alone_with(url: str, *, named: bool) -> Iterator[None]:
    """No other test has it meanwhile; of a server that was named, none of this user's other test processes."""
    assert url not in _held, f"{url} is asked for twice at once: two places there would be one"
    with _locked(url) if named else nullcontext():
        _held.add(url)
        try:
            yield
        finally:
            _held.remove(url)


@contextmanager
def _locked(url: str) -> Iterator[None]:
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    with (Path(tempfile.gettempdir()) / f"postern-test-{os.getuid()}-{name}.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
