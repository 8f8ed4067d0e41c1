"""The servers that tests share: each test has a place of its own there, and what others have stays."""

from contextlib import closing
from typing import NoReturn

import pika
import pika.exceptions
import psycopg
import pytest
import redis

from receiver.amqp_link import NAME
from tests.support.servers import Missing, RedisServer
from tests.support.services import (
    REDIS,
    amqp_url,
    installed,
    new_amqp,
    new_postgresql_database,
    new_redis,
    postgresql_url,
    redis_url,
)

TABLES = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"


def count(url: str, statement: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute(statement).fetchone()
    assert found
    return int(found[0])


def test_a_new_database_is_empty_and_gone_afterwards_although_somebody_uses_it() -> None:
    with new_postgresql_database() as url, new_postgresql_database() as other:
        assert url != other
        assert count(url, TABLES) == 0
        user = psycopg.connect(url)
    with closing(user), pytest.raises(psycopg.OperationalError):
        user.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)


def test_a_prepared_database_is_a_copy_made_once() -> None:
    prepared = []

    def prepare(url: str) -> None:
        prepared.append(url)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE made AS SELECT 1 AS number")

    for _ in range(2):
        with new_postgresql_database(prepare) as url:
            assert count(url, "SELECT count(*) FROM made") == 1
            with psycopg.connect(url) as connection:
                connection.execute("DELETE FROM made")
    assert len(prepared) == 1


def test_a_new_redis_has_no_keys_of_postern() -> None:
    for _ in range(2):
        with new_redis() as url, closing(redis.Redis.from_url(url)) as client:
            assert not client.exists("postern:hints")
            client.set("postern:hints", "one")
    with closing(redis.Redis.from_url(url)) as client:
        assert not client.exists("postern:hints")


def test_two_new_redis_are_two_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REDIS, raising=False)
    with new_redis() as url, new_redis() as other, closing(redis.Redis.from_url(url)) as client:
        client.set("postern:hints", "one")
        with closing(redis.Redis.from_url(other)) as elsewhere:
            assert not elsewhere.exists("postern:hints")


def test_on_a_redis_that_was_named_only_postern_s_keys_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    with installed(RedisServer) as server, closing(redis.Redis.from_url(server.url)) as client:
        monkeypatch.setenv(REDIS, server.url)
        client.mset({"postern:hints": "ours", "other": "not ours"})
        with new_redis() as url:
            assert url == server.url
            assert client.keys() == [b"other"]
            with pytest.raises(AssertionError, match="asked for twice"), new_redis():
                pass


def test_a_new_rabbitmq_has_no_queue_of_postern() -> None:
    with new_amqp() as url, closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        connection.channel().queue_declare(NAME)
    with new_amqp() as url, closing(pika.BlockingConnection(pika.URLParameters(url))) as connection:
        channel = connection.channel()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="no queue"):
            channel.queue_declare(NAME, passive=True)


def test_a_shared_server_is_started_once() -> None:
    assert [postgresql_url(), redis_url(), amqp_url()] == [postgresql_url(), redis_url(), amqp_url()]


def test_a_missing_program_is_a_skip_at_home_and_a_failure_in_ci() -> None:
    with pytest.raises(pytest.skip.Exception, match="apt-get install it"):
        installed(missing, ci=None)
    with pytest.raises(pytest.fail.Exception, match="apt-get install it"):
        installed(missing, ci="true")


def missing() -> NoReturn:
    raise Missing("it is not installed: apt-get install it")
