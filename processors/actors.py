"""Work as dramatiq sees it: one actor that a hint reaches, and middleware that gives the worker its engine.

`start` is what `postern serve` calls, by import string, to have the worker inside its process.
"""

import logging

import dramatiq

from processors.alone import ChildRuns
from processors.engine import Engine
from processors.handler import REGISTERED, Handler, by_name
from receiver.errors import UserError
from receiver.load import load_modules, put_on_path
from receiver.metrics import Metrics
from receiver.queue import ACTOR, QUEUE, Hints, Sweep, make_broker
from receiver.settings import Settings
from receiver.store import Store, processes

log = logging.getLogger("postern.worker")

THREADS = 2  # an actor only wakes the engine


class EngineMiddleware(dramatiq.Middleware):
    """The sweep lives as long as dramatiq's worker, and the engine ends with it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self._sweep = Sweep(self._engine.look)

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self._engine.stop()
        self._sweep.close()


class Worker:
    """The worker inside this process. With `trouble` it neither routes nor claims, and says why."""

    def __init__(self, settings: Settings, store: Store, metrics: Metrics) -> None:
        self._cannot_start: str | None = None
        self._engine: Engine | None = None
        self._store = store
        try:
            put_on_path(settings.root)
            load_modules(settings.handlers.modules)
            handlers = by_name(REGISTERED)
        except UserError as error:
            self._idle(error)
        else:
            self._work(settings, handlers, metrics)

    @property
    def trouble(self) -> str | None:
        return self._engine.trouble if self._engine else self._cannot_start

    def _idle(self, error: UserError) -> None:
        self._cannot_start = trouble = f"{error.what} ({error.where})" if error.where else error.what
        log.error("the worker does nothing: %s", trouble, extra={"next": error.fix})
        number = self._store.insist_from_thread(lambda tx: processes.register(tx, "worker", trouble=trouble))

        def look() -> None:
            self._store.write_from_thread(lambda tx: processes.seen(tx, number))

        sweep = Sweep(look)

        def stop() -> None:
            sweep.close()
            self._store.process_stopped(number)

        self.stop = stop

    def _work(self, settings: Settings, handlers: dict[str, Handler], metrics: Metrics) -> None:
        broker = make_broker(settings.queue.url)
        # Not made by the middleware: dramatiq logs what fails there, and starts a worker that works on nothing.
        self._engine = engine = Engine(settings, self._store, handlers, metrics, ChildRuns(settings))
        broker.add_middleware(EngineMiddleware(engine))
        hints = Hints(broker)

        @dramatiq.actor(actor_name=ACTOR, queue_name=QUEUE, broker=broker)
        def work() -> None:
            hints.taken()
            engine.wake()

        worker = dramatiq.Worker(broker, worker_threads=THREADS, worker_timeout=100)
        worker.start()
        self._store.on_arrivals(hints.give)

        def stop() -> None:
            hints.close()
            worker.stop()
            broker.close()

        self.stop = stop


def start(settings: Settings, store: Store, metrics: Metrics) -> Worker:
    """Start working. A handler module that does not import leaves the worker idle, never the caller."""
    return Worker(settings, store, metrics)
