"""`/healthz`, `/readyz` and `/metrics`: is it alive, may it be sent deliveries, and what has it done."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily, Metric
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from receiver.errors import UserError
from receiver.metrics import CONTENT_TYPE, Metrics
from receiver.problems import RETRY_AFTER_S
from receiver.store import Store, Unavailable, reads

PROBE_S = 1.9


class WorkerStatus(Protocol):
    """The worker inside this process, or those elsewhere, as far as probes show it."""

    @property
    def trouble(self) -> str | None: ...


class Probes:
    def __init__(self, store: Store, metrics: Metrics, worker: WorkerStatus | None) -> None:
        self._store = store
        self._schema_known = False
        self._metrics = metrics
        self._worker = worker
        self._draining = False
        metrics.ask(self._gauges)

    def drain(self) -> None:
        """From now on this process is not ready."""
        self._draining = True

    async def alive(self, request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """200 only if a delivery would be stored now. A failed worker is shown, not red: intake goes on."""
        store = "draining" if self._draining else await self._store_state()
        worker = None if self._worker is None else self._worker.trouble or "ok"
        ready = store == "ok"
        content = {"status": "ready" if ready else "not ready", "store": store, "worker": worker}
        headers = None if ready else {"retry-after": str(RETRY_AFTER_S)}
        return JSONResponse(content, 200 if ready else 503, headers)

    async def _store_state(self) -> str:
        try:
            async with asyncio.timeout(PROBE_S):
                await self._store.probe()
                await self._check_schema()
        except UserError as error:
            return error.what
        except (Unavailable, TimeoutError) as error:
            self._schema_known = False  # what comes back may be an older copy
            return str(error) or f"no commit within {PROBE_S} s"
        return "ok"

    async def _check_schema(self) -> None:
        if not self._schema_known:
            await asyncio.to_thread(self._store.check_schema)
            self._schema_known = True

    async def metrics(self, request: Request) -> Response:
        text = await asyncio.to_thread(self._metrics.text)
        return Response(text, media_type=CONTENT_TYPE)

    def _gauges(self) -> Iterable[Metric]:
        runs = GaugeMetricFamily("postern_runs", "Runs that are not finished", labels=["state"])
        workers = GaugeMetricFamily("postern_workers", "Worker processes that are alive, wherever they are")
        with suppress(Unavailable), self._store.reading() as session:  # the other metrics are wanted all the same
            for state, count in reads.unfinished(session).items():
                runs.add_metric([state], count)
            live = reads.processes(session)
            workers.add_metric([], sum(process.role == "worker" for process in live))
        failed = self._worker is not None and self._worker.trouble is not None
        trouble = GaugeMetricFamily(
            "postern_worker_trouble", "1: the worker neither routes nor claims", labels=["trouble"]
        )
        trouble.add_metric([(self._worker.trouble or "") if self._worker else ""], float(failed))
        return [runs, workers, trouble]
