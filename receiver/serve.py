"""One `postern serve`: store, sources, worker inside or hints out, listeners; stopped in the other order."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from threading import Timer
from typing import TYPE_CHECKING

from receiver import hangup, server
from receiver.app import Apps, admin_token, create_app
from receiver.elsewhere import Elsewhere
from receiver.embedded import Embedded
from receiver.load import load, put_on_path
from receiver.metrics import Metrics
from receiver.process import Presence, calm_gc, end_at_once
from receiver.queue import Hints, make_broker
from receiver.rereading import Rereading, Swap, differences
from receiver.settings import Settings
from receiver.sources import build_sources
from receiver.store import Store, open_store, processes

if TYPE_CHECKING:
    from socket import socket

    from dramatiq import Broker

log = logging.getLogger("postern")

STOP_S = 11.5  # from the signal on; what drains as it should is done before


@dataclass(frozen=True)
class Listeners:
    public: "socket"
    admin: "socket | None"


def serve(settings: Settings, load_again: Callable[[], Settings]) -> None:
    """Serve until SIGTERM or SIGINT, then drain and exit 0. Errors: UserError for whatever stands in the way."""
    put_on_path(settings.root)
    sources = build_sources(settings)
    broker = make_broker(settings.queue.url)
    hints = Hints(broker)
    listeners = _listen(settings)  # before anything is written: a taken port must leave no trace
    store = open_store(settings.store.url, create=True)
    store.on_work(hints.give)
    metrics = Metrics()
    worker = Elsewhere(store) if settings.queue.has_broker else _inside(settings, store, metrics, broker)
    apps = create_app(settings, store, sources, metrics, worker)
    url = _url(settings, listeners.public)
    rereading = Rereading(settings, load_again, partial(_prepare, apps, worker))
    presence = Presence(store, lambda tx: processes.register(tx, "receiver", url=url, trouble=rereading.trouble))
    proxies = settings.server.trusted_proxies
    main = server.server(
        apps.public,
        proxies,
        intake=apps.intake,
        on_refused=partial(metrics.refused, None),
        on_start=partial(_started, rereading, presence, url),
        on_stop=partial(_drain, apps.drain),
    )
    admin = server.server(apps.admin, proxies) if listeners.admin else None
    calm_gc()
    status = 1
    try:
        with ExitStack() as stops:  # one that fails must not keep the others from their turn
            for stop in (store.close, hints.close, presence.stop, worker.stop):
                stops.callback(stop)
            worker.start()
            asyncio.run(server.run(main, listeners.public, admin, listeners.admin))
            log.info("draining")
        log.info("stopped")
        status = 0
    except BaseException:
        log.exception("it did not stop as it should")
    finally:
        end_at_once(status)


def _inside(settings: Settings, store: Store, metrics: Metrics, broker: "Broker") -> Embedded:
    return Embedded(lambda: load("processors.actors:start")(settings, store, metrics, broker))


def _started(rereading: Rereading, presence: Presence, url: str) -> None:
    """In the server's loop."""
    reread: set[asyncio.Task[None]] = set()

    def hear() -> None:
        if hangup.terminal_has_gone():
            os.kill(os.getpid(), signal.SIGTERM)
            return
        task = asyncio.get_running_loop().create_task(_reread(rereading, presence))
        reread.add(task)
        task.add_done_callback(reread.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hear)
    hangup.release()
    log.info("listening on %s", url, extra={"sources": ",".join(sorted(rereading.settings.sources)) or "none"})


async def _reread(rereading: Rereading, presence: Presence) -> None:
    await rereading.reread()
    await asyncio.to_thread(presence.tell, rereading.trouble)


def _prepare(apps: Apps, worker: Elsewhere | Embedded, old: Settings, new: Settings) -> Swap:
    """Whatever may be wrong with the new ones shows here."""
    sources, token = build_sources(new), admin_token(new)
    worker.reread(new)

    def swap() -> None:
        changes = differences((old, apps.intake.sources), (new, sources))
        level = logging.WARNING if old.sources.keys() - sources else logging.INFO  # what is gone may be missed
        log.log(level, "read the configuration again: %s", "; ".join(changes) or "no source has changed")
        apps.intake.change(sources, new.public_url)
        apps.operators.token = token

    return swap


def _drain(not_ready: Callable[[], None]) -> None:
    not_ready()
    limit = Timer(STOP_S, _give_up)
    limit.daemon = True
    limit.start()


def _give_up() -> None:
    """A database that stands still, without a word, would hold a write and with it the process for ever."""
    log.error("not stopped after %g s: the store does not answer: what it was doing is not known", STOP_S)
    end_at_once(1)


def _listen(settings: Settings) -> Listeners:
    public = server.bind(settings.server.host, settings.server.port)
    port = settings.server.admin_port
    return Listeners(public, None if port is None else server.bind(settings.server.host, port))


def _url(settings: Settings, listener: "socket") -> str:
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  any address: reachable from here by this one
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
