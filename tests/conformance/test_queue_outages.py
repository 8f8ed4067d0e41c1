"""Servers that die, hang and come back: hints are lost meanwhile, and nothing else is."""

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from receiver.brokers import ANSWER_S
from receiver.queue import Hints, hint, make_broker
from tests.conformance.looks import working
from tests.support.servers import RabbitmqServer, RedisServer, Server
from tests.support.services import installed
from tests.support.until import until

SERVERS = {"redis": RedisServer, "amqp": RabbitmqServer}
SOON_S = 8 * ANSWER_S  # several answers waited for in vain, on a busy machine


@pytest.fixture(scope="module", params=SERVERS)
def running(request: pytest.FixtureRequest) -> Iterator[Server]:
    with installed(SERVERS[request.param]) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.start()
    return running


@pytest.fixture
def down(running: Server) -> Server:
    """Its tests stand last: RabbitMQ takes long to start."""
    running.kill()
    return running


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    os.killpg(server.pid, signal.SIGSTOP)  # the server leads its group
    try:
        yield
    finally:
        os.killpg(server.pid, signal.SIGCONT)


@contextmanager
def soon() -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < SOON_S


def test_a_hint_to_a_server_that_hangs_is_an_error_too(server: Server) -> None:
    with closing(make_broker(server.url)) as broker:
        broker.enqueue(hint())
        with frozen(server), soon(), pytest.raises(Exception, match=r"(?i)time|did not answer"):
            broker.enqueue(hint())
        broker.enqueue(hint())


def test_a_worker_stops_soon_while_the_server_hangs(server: Server) -> None:
    broker = make_broker(server.url)
    with ExitStack() as until_stopped, soon(), working(broker) as looks:
        broker.enqueue(hint())
        assert looks.happened.acquire(timeout=10)
        until_stopped.enter_context(frozen(server))


def test_a_restart_is_not_noticed_by_who_sends(server: Server) -> None:
    with closing(make_broker(server.url)) as broker:
        broker.enqueue(hint())
        server.restart()
        broker.enqueue(hint())


def test_hints_flow_again_when_the_server_is_back(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    broker = make_broker(server.url)
    with working(broker) as looks, closing(Hints(broker, pause_s=0.05)) as hints:
        hints.give()
        assert looks.happened.acquire(timeout=10)
        server.kill()
        with soon():
            until(lambda: caplog.records)
        server.start()

        def looked() -> bool:
            hints.give()
            return looks.happened.acquire(timeout=0.05)

        with soon():
            until(looked)


def test_a_hint_to_a_dead_server_is_an_error(server: Server) -> None:
    with closing(make_broker(server.url)) as broker:
        broker.enqueue(hint())
        server.kill()
        with soon(), pytest.raises(Exception, match=r"(?i)refused"):
            broker.enqueue(hint())


def test_an_outage_is_told_in_one_plain_line(down: Server, caplog: pytest.LogCaptureFixture) -> None:
    with working(make_broker(down.url)):
        until(lambda: any(record.name == "postern.queue" for record in caplog.records))
    [line] = (record for record in caplog.records if not record.name.startswith("pika"))  # which set_up silences
    assert (line.levelno, "refused" in line.getMessage(), len(line.getMessage()) < 160) == (logging.WARNING, True, True)


def test_a_worker_stops_soon_while_the_server_is_down(down: Server) -> None:
    with soon(), working(make_broker(down.url)), closing(Hints(make_broker(down.url))) as hints:
        hints.give()
