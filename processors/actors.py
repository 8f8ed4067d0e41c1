"""Work as dramatiq sees it: one actor that a hint reaches, and middleware that gives the worker its engine.

`start` is what a process calls, by import string, to have a worker inside.
"""

import logging

import dramatiq

from processors.alone import ChildRuns
from processors.engine import Engine
from processors.handler import REGISTERED, by_name
from receiver.errors import UserError
from receiver.load import load_modules, put_on_path
from receiver.metrics import Metrics
from receiver.process import Presence
from receiver.queue import ACTOR, QUEUE, Sweep
from receiver.settings import Settings
from receiver.store import Store, processes

log = logging.getLogger("postern.worker")

THREADS = 2  # an actor only wakes the engine
BROKER_STOP_MS = 1000  # for each kind of dramatiq's threads: the work is over by then, and a broker may hang


class EngineMiddleware(dramatiq.Middleware):
    """The sweep lives as long as dramatiq's worker, and the engine ends with it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self._sweep = Sweep(self._engine.look)

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self._engine.stop()
        self._sweep.close()


class Idle:
    """Neither routes nor claims, and says why. Takes no hint either: with a broker it would be another worker's."""

    def __init__(self, error: UserError, store: Store) -> None:
        self.trouble = trouble = f"{error.what} ({error.where})" if error.where else error.what
        log.error("the worker does nothing: %s", trouble, extra={"next": error.fix})
        self._presence = Presence(store, lambda tx: processes.register(tx, "worker", trouble=trouble))

    def reread(self, settings: Settings) -> None:
        """Nothing: a handler module needs a restart."""

    def stop(self) -> None:
        self._presence.stop()


class Working:
    """An engine, woken by hints and by the sweep."""

    def __init__(self, engine: Engine, broker: dramatiq.Broker) -> None:
        self._engine = engine
        self._broker = broker
        broker.add_middleware(EngineMiddleware(engine))

        @dramatiq.actor(actor_name=ACTOR, queue_name=QUEUE, broker=broker)
        def work() -> None:
            engine.wake()

        self._worker = dramatiq.Worker(broker, worker_threads=THREADS, worker_timeout=100)
        self._worker.start()

    @property
    def trouble(self) -> str | None:
        return self._engine.trouble

    def reread(self, settings: Settings) -> None:
        self._engine.reread(settings)

    def stop(self) -> None:
        self._worker.stop(BROKER_STOP_MS)
        self._broker.close()


def start(settings: Settings, store: Store, metrics: Metrics, broker: dramatiq.Broker) -> Idle | Working:
    """Start working on what comes through the broker. A handler module that does not import leaves the worker idle."""
    try:
        put_on_path(settings.root)
        load_modules(settings.handlers.modules)
        handlers = by_name(REGISTERED)
    except UserError as error:
        return Idle(error, store)
    # Not made by the middleware: dramatiq logs what fails there, and starts a worker that works on nothing.
    return Working(Engine(settings, store, handlers, metrics, ChildRuns(settings)), broker)
