"""taskiq on Redis: its list broker, the quicker of the two that deliver a message once."""

import asyncio
from collections.abc import Iterable

from taskiq_redis import ListQueueBroker

from tests.benchmarks.peers.work import told, work_async

broker = ListQueueBroker(told.broker)


@broker.task(task_name="work")
async def work(number: int) -> None:
    await work_async(number)


def enqueue(numbers: Iterable[int]) -> None:
    asyncio.run(_enqueue(numbers))


async def _enqueue(numbers: Iterable[int]) -> None:
    await broker.startup()
    for number in numbers:
        await work.kiq(number)
    await broker.shutdown()
