"""huey on Redis, without results."""

from collections.abc import Iterable

from huey import RedisHuey

from tests.benchmarks.peers.work import told, work

huey = RedisHuey("bench", url=told.broker, results=False)
task = huey.task(name="work")(work)


def enqueue(numbers: Iterable[int]) -> None:
    for number in numbers:
        task(number)
