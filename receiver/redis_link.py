"""Hints through Redis 6 or later: a short list, and a wait at its end."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from receiver.brokers import ANSWER_S, KEPT

KEY = "postern:hints"


class RedisLink:
    def __init__(self, url: str) -> None:
        once = Retry(NoBackoff(), 0)  # by itself it tries for many seconds
        self._redis = redis.Redis.from_url(url, socket_connect_timeout=ANSWER_S, socket_timeout=ANSWER_S, retry=once)

    def send(self) -> None:
        with self._redis.pipeline(transaction=False) as commands:
            commands.lpush(KEY, "look")
            commands.ltrim(KEY, 0, KEPT - 1)
            commands.execute()

    def receive(self, within_s: float) -> bool:
        # Half: a socket that is silent for all of ANSWER_S counts as broken.
        return self._redis.blpop([KEY], min(within_s, ANSWER_S / 2)) is not None

    def close(self) -> None:
        self._redis.close()
