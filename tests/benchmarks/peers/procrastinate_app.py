"""procrastinate: PostgreSQL is its queue, and its own claim is durable there: the task makes no second one."""

import asyncio
from collections.abc import Iterable

import procrastinate
from procrastinate.types import JSONValue

from tests.benchmarks.peers.work import told, work_async

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=told.store, min_size=4, max_size=16))


@app.task(name="work", queue="bench")
async def work(number: int) -> None:
    await work_async(number, claimed_by_queue=True)


def enqueue(numbers: Iterable[int]) -> None:
    asyncio.run(_enqueue(numbers))


async def _enqueue(numbers: Iterable[int]) -> None:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        given: list[dict[str, JSONValue]] = [{"number": number} for number in numbers]
        await work.batch_defer_async(*given)
