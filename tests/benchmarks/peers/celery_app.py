"""Celery on Redis. Messages are acknowledged early, which is faster: what was lost is found in SQL."""

from collections.abc import Iterable

from celery import Celery

from tests.benchmarks.peers.work import told, work

app = Celery("bench", broker=told.broker)
app.conf.update(
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    worker_disable_rate_limits=True,
    worker_prefetch_multiplier=64,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
task = app.task(name="work", ignore_result=True)(work)


def enqueue(numbers: Iterable[int]) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        for number in numbers:
            task.apply_async((number,), producer=producer)
