"""One process of `postern worker`: store and worker, until SIGTERM or the end of whoever started it; then it drains.

Who starts it, and starts it anew, stands in `supervise.py`. A second signal changes nothing here: service managers send
theirs to all processes of a service, as a terminal its Ctrl-C, and this one gets its supervisor's besides.
"""

import logging
import os
import signal
import sys
import threading
from contextlib import ExitStack
from functools import partial

from receiver import log
from receiver.embedded import Embedded, Worker
from receiver.errors import UserError
from receiver.load import load, put_on_path
from receiver.metrics import Metrics
from receiver.process import calm_gc, end_at_once
from receiver.queue import make_broker
from receiver.rereading import Rereading, Swap
from receiver.settings import Settings, shown_url
from receiver.settings import load as load_settings
from receiver.store import open_store
from receiver.supervise import HEEDED, SIGNALS

logger = logging.getLogger("postern.worker")

LOOK_S = 0.5


def main() -> None:
    told, to_reread = threading.Event(), threading.Event()
    for number in SIGNALS:
        signal.signal(number, lambda *_: told.set())
    signal.signal(signal.SIGHUP, lambda *_: to_reread.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)  # blocked since before our start, so that none is lost
    log.set_up()
    threading.Thread(target=_hear_the_end, args=(told,), name="leash", daemon=True).start()
    status = 1
    try:
        settings = load_settings()
        _say_with_what(settings)
        put_on_path(settings.root)
        calm_gc()
        with ExitStack() as stops:  # one that fails must not keep the others from their turn
            worker = Embedded(partial(_start, settings, stops), failed=partial(_make_room, told))
            worker.start()
            rereading = Rereading(settings, load_settings, partial(_prepare, worker))
            while not told.wait(LOOK_S):  # a signal that another thread took does not end a wait: so after SIGCONT
                if to_reread.is_set():
                    to_reread.clear()
                    _reread(rereading)
            stops.callback(worker.stop)
        status = 0
    except UserError as error:
        _tell(error)
    except BaseException:
        logger.exception("it did not stop as it should")
    finally:
        end_at_once(status)


def _say_with_what(settings: Settings) -> None:
    """So that a worker that was started with the wrong variables is seen."""
    store, queue = shown_url(settings.store.url), shown_url(settings.queue.url)
    modules = len(settings.handlers.modules)
    logger.info("starting", extra={"store": store, "queue": queue, "handler_modules": modules})


def _start(settings: Settings, stops: ExitStack) -> Worker:
    store = open_store(settings.store.url)
    stops.callback(store.close)
    broker = make_broker(settings.queue.url)
    worker: Worker = load("processors.actors:start")(settings, store, Metrics(), broker)
    return worker


def _reread(rereading: Rereading) -> None:
    if swap := rereading.read():
        swap()


def _prepare(worker: Embedded, old: Settings, new: Settings) -> Swap:
    """Secrets of apis are looked up when they are needed: one that is missing parks its runs, as at the start."""
    worker.reread(new)
    return partial(logger.info, "read the configuration again")


def _make_room(told: threading.Event) -> None:
    """What failed may be over when another is started in our place; unless we end anyway."""
    if not told.is_set():
        end_at_once(1)


def _tell(error: UserError) -> None:
    logger.error("%s", error.what, extra={"where": error.where or None, "next": error.fix or None})


def _hear_the_end(told: threading.Event) -> None:
    """Nothing is ever written to our standard input; it ends when the supervisor does, however it was killed."""
    os.read(sys.stdin.fileno(), 1)  # not through sys.stdin: its lock would end the interpreter in an abort
    if not told.is_set():
        logger.warning("draining: the supervisor has ended")
    told.set()


if __name__ == "__main__":
    main()
