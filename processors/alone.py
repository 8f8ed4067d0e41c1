"""Suspects: a run whose process died under it twice runs alone in a child process, so that it kills nobody else.

Started as `python -m processors.alone RUN TOKEN`; the child writes down how the run ended, under its parent's lease.
"""

import asyncio
import logging
import os
import random
import signal
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from processors.attempt import LOST, Attempt, Tools
from processors.event import Readings
from processors.handler import REGISTERED, Handler, by_name
from processors.outbound.upstream import Upstreams
from receiver import log
from receiver.load import environ_for_child, load_modules, put_on_path
from receiver.metrics import Metrics
from receiver.settings import Settings, load
from receiver.store import Store, runs
from receiver.store.database import database_at
from receiver.store.runs import Claimed, Verdict

WRITTEN, NOT_STARTED = 81, 82  # exit codes that no handler comes upon: `os._exit(0)` in one is a death too


class ChildRuns:
    """The parent's side: `await child_runs(run, timeout_s)`."""

    def __init__(self, settings: Settings) -> None:
        self._environ = environ_for_child(settings)

    async def __call__(self, run: Claimed, timeout_s: float) -> Verdict | None:
        """None where the child wrote the end down itself; a verdict where it died, or took too long."""
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "processors.alone", str(run.id), str(run.token),
            stdin=asyncio.subprocess.PIPE,  # never written: its end tells the child that we are gone
            env=self._environ,
            start_new_session=True,  # a Ctrl-C at our terminal is for us to pass on
        )  # fmt: skip
        try:
            code = await asyncio.wait_for(child.wait(), timeout_s + 5.0)
        except TimeoutError:
            return Verdict("waiting", "timeout", f"took longer than {timeout_s:g} s, alone", failure=True)
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if code == WRITTEN:
            return None
        if code == NOT_STARTED:
            return Verdict("waiting", "exception", "the process to run it alone in did not start", failure=True)
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        return Verdict("parked", "crashed", f"its process died twice, and then the child that ran it alone: {ended}")


def main() -> None:
    run_id, token = int(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a service manager's is for our parent, who ends us in its time
    log.set_up()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        settings = load()
        put_on_path(settings.root)
        load_modules(settings.handlers.modules)
        handlers = by_name(REGISTERED)
        store = Store(database_at(settings.store.url))  # our parent has looked at it; if it is away, we wait for it
        asyncio.run(_run_claimed(settings, store, handlers, run_id, token))
        store.close()
    except Exception as error:  # the project has changed since our parent started: the run is not to blame
        logging.getLogger("postern.worker").error("it could not be run alone: %s: %s", type(error).__name__, error)
        os._exit(NOT_STARTED)
    sys.stdout.flush()
    os._exit(WRITTEN)  # a handler's thread may still hang


def _die_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # not through sys.stdin: its lock would end the interpreter in an abort
    os._exit(3)


async def _run_claimed(
    settings: Settings, store: Store, handlers: Mapping[str, Handler], run_id: int, token: int
) -> None:
    """Nothing, if the lease is lost. While the store cannot be written it waits: that is no fault of the run."""
    for run in await store.insist(lambda tx: runs.claimed(tx, [run_id], token)):
        await _run(settings, store, handlers[run.handler], run)


async def _run(settings: Settings, store: Store, handler: Handler, run: Claimed) -> None:
    upstreams = Upstreams(settings)
    tools = Tools(
        store,
        Readings(settings),
        upstreams,
        Metrics(),
        settings.worker,
        ThreadPoolExecutor(1, "handler"),
        random.random,
    )
    verdict = await Attempt(tools, handler, run).run()
    if verdict is not LOST:
        await store.insist(lambda tx: runs.finish(tx, run, verdict))
    await upstreams.aclose()


if __name__ == "__main__":
    main()
