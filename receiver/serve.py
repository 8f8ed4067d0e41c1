"""One `postern serve`: store, sources, worker inside, listeners; started in this order and stopped in the other."""

import asyncio
import gc
import logging
import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from receiver import server
from receiver.app import create_app
from receiver.embedded import Embedded
from receiver.load import load, put_on_path
from receiver.metrics import Metrics
from receiver.queue import Sweep
from receiver.settings import Settings
from receiver.sources import build_sources
from receiver.store import Store, open_store, processes

if TYPE_CHECKING:
    from socket import socket

log = logging.getLogger("postern")

PRESENCE_S = 5.0  # between two signs of life


@dataclass(frozen=True)
class Listeners:
    public: "socket"
    admin: "socket | None"


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then drain and exit 0. Errors: UserError for whatever stands in the way."""
    put_on_path(settings.root)
    sources = build_sources(settings)
    listeners = _listen(settings)  # before anything is written: a taken port must leave no trace
    store = open_store(settings.store.url, create=True)
    metrics = Metrics()
    worker = Embedded(lambda: load("processors.actors:start")(settings, store, metrics))
    apps = create_app(settings, store, sources, metrics, worker)
    presence = Presence(store, _url(settings, listeners.public))
    proxies = settings.server.trusted_proxies
    main = server.server(apps.public, proxies, on_refused=partial(metrics.refused, None), on_stop=apps.drain)
    admin = server.server(apps.admin, proxies) if listeners.admin else None
    _calm_gc()
    log.info("listening on %s", presence.url, extra={"sources": ",".join(sorted(sources)) or "none"})
    status = 1
    try:
        with ExitStack() as stops:  # one that fails must not keep the others from their turn
            for stop in (store.close, presence.stop, worker.stop):
                stops.callback(stop)
            worker.start()
            asyncio.run(server.run(main, listeners.public, admin, listeners.admin))
            log.info("draining")
        log.info("stopped")
        status = 0
    except BaseException:
        log.exception("it did not stop as it should")
    finally:
        _exit(status)


def _exit(status: int) -> None:
    """End at once: a handler's thread that never ends must not keep the process."""
    try:
        with suppress(OSError):  # who read it may have gone
            logging.shutdown()
            sys.stdout.flush()
    finally:
        os._exit(status)


def _calm_gc() -> None:
    """Collect rarely, and leave out what start-up made: walking it again and again took a quarter of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


class Presence:
    """This receiver's row in the store, kept fresh, so that `postern send` and `status` find it."""

    def __init__(self, store: Store, url: str, every_s: float = PRESENCE_S) -> None:
        self.url = url
        self._store = store
        self._enrolment = processes.Enrolment(lambda tx: processes.register(tx, "receiver", url=url))
        self._renew()
        self._sweep = Sweep(self._renew, every_s)

    def _renew(self) -> None:
        self._store.write_from_thread(self._enrolment.renew)

    def stop(self) -> None:
        self._sweep.close()
        if self._enrolment.process_id is not None:
            self._store.process_stopped(self._enrolment.process_id)


def _listen(settings: Settings) -> Listeners:
    public = server.bind(settings.server.host, settings.server.port)
    port = settings.server.admin_port
    return Listeners(public, None if port is None else server.bind(settings.server.host, port))


def _url(settings: Settings, listener: "socket") -> str:
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  any address: reachable from here by this one
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
