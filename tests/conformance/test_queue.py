"""Every queue: a hint reaches the actor, and one that is lost, doubled or late changes nothing.

What a server of its own can go through, dying and hanging, stands in test_queue_outages.py.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pika
import pytest
import redis

from receiver.amqp_link import NAME
from receiver.brokers import KEPT
from receiver.queue import Hints, hint, make_broker
from receiver.redis_link import KEY
from tests.conformance.looks import working
from tests.support.services import new_amqp, new_redis
from tests.support.until import until


def test_a_hint_reaches_the_actor(queue_url: str) -> None:
    broker = make_broker(queue_url)
    with working(broker) as looks, closing(Hints(broker)) as hints:
        hints.give()
        assert looks.happened.acquire(timeout=10)


def test_a_hint_may_be_sent_before_there_is_an_actor(queue_url: str) -> None:
    broker = make_broker(queue_url)
    broker.enqueue(hint())
    with working(broker) as looks:
        assert looks.happened.acquire(timeout=10)


def test_hints_follow_each_other(queue_url: str) -> None:
    broker = make_broker(queue_url)
    with working(broker) as looks, closing(Hints(broker)) as hints:
        for _ in range(20):
            hints.give()
            assert looks.happened.acquire(timeout=10)


def test_doubled_hints_are_so_many_looks(queue_url: str) -> None:
    broker = make_broker(queue_url)
    with working(broker) as looks:
        for _ in range(5):
            broker.enqueue(hint())
        for _ in range(5):
            assert looks.happened.acquire(timeout=10)


def test_a_hint_that_cannot_be_given_any_more_is_nobody_s_trouble(queue_url: str) -> None:
    broker = make_broker(queue_url)
    hints = Hints(broker)
    hints.close()
    hints.give()
    broker.close()


def test_hints_nobody_comes_for_do_not_pile_up(queue_url: str) -> None:
    broker = make_broker(queue_url)
    for _ in range(1000):
        broker.enqueue(hint())
    with working(broker) as looks:
        for _ in range(KEPT):
            assert looks.happened.acquire(timeout=10)
        assert not looks.happened.acquire(timeout=0.3)


@pytest.fixture
def redis_url() -> Iterator[str]:
    with new_redis() as url:
        yield url


@pytest.fixture
def amqp_url() -> Iterator[str]:
    with new_amqp() as url:
        yield url


@contextmanager
def channel(url: str) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    with closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        yield connection.channel()


def push(url: str, what: bytes) -> None:
    with closing(redis.Redis.from_url(url)) as client:
        client.lpush(KEY, what)


def publish(url: str, what: bytes) -> None:
    with channel(url) as it:
        it.basic_publish("", NAME, what)


OUTSIDERS = {"redis": push, "amqp": publish}
GARBAGE = [b"", b"\xff\x00{", b'{"queue_name": "postern"}', b"x" * 100_000]


@pytest.mark.parametrize("kind", OUTSIDERS)
def test_garbage_is_a_hint_like_any_other(kind: str, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue(f"{kind}_url")
    outsider: Callable[[str, bytes], None] = OUTSIDERS[kind]
    broker = make_broker(url)
    with working(broker) as looks:
        broker.enqueue(hint())
        assert looks.happened.acquire(timeout=10)
        for garbage in GARBAGE:
            outsider(url, garbage)
            assert looks.happened.acquire(timeout=10)


@pytest.mark.parametrize("kind", OUTSIDERS)
def test_each_of_two_workers_gets_hints(kind: str, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue(f"{kind}_url")
    with closing(make_broker(url)) as sender, working(make_broker(url)) as one, working(make_broker(url)) as other:

        def both_looked() -> bool:
            sender.enqueue(hint())
            return one.count > 0 and other.count > 0

        until(both_looked)


def test_redis_holds_less_than_a_thousand_bytes(redis_url: str) -> None:
    with closing(make_broker(redis_url)) as broker, closing(redis.Redis.from_url(redis_url)) as client:
        for _ in range(1000):
            broker.enqueue(hint())
        assert (client.dbsize(), client.llen(KEY)) == (1, KEPT)
        assert (client.memory_usage(KEY) or 0) < 1000


def test_rabbitmq_holds_one_short_queue_and_no_dead_letters(amqp_url: str) -> None:
    with closing(make_broker(amqp_url)) as broker, channel(amqp_url) as it:
        for _ in range(1000):
            broker.enqueue(hint())
        assert it.queue_declare(NAME, passive=True).method.message_count == KEPT
        for other in ("postern", "postern.DQ", "postern.XQ"):
            with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
                it.connection.channel().queue_declare(other, passive=True)


def test_a_queue_of_another_declaration_is_told_by_its_name(amqp_url: str) -> None:
    with closing(make_broker(amqp_url)) as broker, channel(amqp_url) as it:
        it.queue_delete(NAME)
        it.queue_declare(NAME)
        with pytest.raises(ConnectionError, match=f"PRECONDITION_FAILED.*'{NAME}'"):
            broker.enqueue(hint())
        it.queue_delete(NAME)
        broker.enqueue(hint())


def test_a_queue_that_is_deleted_is_made_again(amqp_url: str) -> None:
    broker = make_broker(amqp_url)
    with working(broker) as looks, channel(amqp_url) as it:
        broker.enqueue(hint())
        assert looks.happened.acquire(timeout=10)
        it.queue_delete(NAME)
        broker.enqueue(hint())
        assert looks.happened.acquire(timeout=10)
