"""The process that `postern worker` becomes: keeps so many workers alive, and ends them all within 12 s when told to.

It opens no store and imports no handler, so that nothing of theirs can take it down. A child that dies is replaced: at
once, then after growing waits for as long as they die young. What a child does stands in `worker.py`.
"""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Coroutine
from contextlib import suppress
from logging import getLogger
from typing import Any

from receiver import hangup
from receiver.log import set_up

log = getLogger("postern.supervisor")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
HEEDED = (*SIGNALS, signal.SIGHUP)
STOP_S = 11.0  # the engine drains for 7 s and may be stuck for 3 more; what then is left is killed
YOUNG_S = 10.0
WAITS_S = (0.0, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0)  # before the next one, by how many have died young in a row


class Supervisor:
    def __init__(self) -> None:
        # The end that is written to is ours alone: it closes when we die, and the children, who read, drain.
        self._leash, self._held = os.pipe()
        self._told = asyncio.Event()
        self._alive: set[Process] = set()

    async def run(self, count: int) -> bool:
        """Until SIGTERM or SIGINT; a second one ends all at once. Whether all children drained."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._hear, number)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on)
        hangup.release()  # held since `postern worker` was typed
        log.info("worker processes: %d", count)
        drained = await asyncio.gather(*(self._keep_one() for _ in range(count)))
        log.info("stopped")
        return all(drained)

    def _hear(self, number: signal.Signals) -> None:
        if self._told.is_set():
            for child in self._alive:
                _signal(child, signal.SIGKILL)
            log.warning("ended at once: runs in work are taken over when their lease runs out")
            os._exit(128 + number)
        log.info("draining")
        self._told.set()

    def _pass_on(self) -> None:
        """Each worker reads the configuration again for itself."""
        if hangup.terminal_has_gone():
            self._hear(signal.SIGTERM)
            return
        for child in self._alive:
            _signal(child, signal.SIGHUP)

    async def _keep_one(self) -> bool:
        """Always one child, until we are told to stop; whether the last one drained."""
        young = 0
        while not self._told.is_set():
            born_at = time.monotonic()
            try:
                child = await _start(self._leash)
            except OSError as error:  # no memory, too many processes or files: that may pass
                end = f"a worker process could not be started: {error.strerror}"
            else:
                self._alive.add(child)
                await self._until_told_or(child.wait())
                if self._told.is_set():
                    return await _drained(child)
                self._alive.discard(child)
                end = f"worker process {child.pid} ended: {_how(child)}"
            young = young + 1 if time.monotonic() - born_at < YOUNG_S else 0
            await self._pause(end, WAITS_S[min(young, len(WAITS_S) - 1)])
        return True

    async def _pause(self, end: str, wait_s: float) -> None:
        log.warning("%s", end, extra={"next_in_s": wait_s})
        await self._until_told_or(asyncio.sleep(wait_s))

    async def _until_told_or(self, other: Coroutine[Any, Any, Any]) -> None:
        either = [asyncio.create_task(other), asyncio.create_task(self._told.wait())]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        for task in either:
            task.cancel()


async def _start(leash: int) -> Process:
    # Blocked signals stay so in the child until it can take them; one for us waits here meanwhile.
    signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
    try:
        return await asyncio.create_subprocess_exec(sys.executable, "-P", "-m", "receiver.worker", stdin=leash)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)


async def _drained(child: Process) -> bool:
    _signal(child, signal.SIGTERM)
    try:
        code = await asyncio.wait_for(child.wait(), STOP_S)
    except TimeoutError:
        log.error("worker process %d has not ended after %g s: it is killed", child.pid, STOP_S)
        _signal(child, signal.SIGKILL)
        await child.wait()
        return False
    if code:
        log.error("worker process %d did not drain: %s", child.pid, _how(child))
    return code == 0


def _signal(child: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has just ended
        child.send_signal(number)


def _how(child: Process) -> str:
    code = child.returncode or 0
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def main() -> None:
    set_up()
    drained = asyncio.run(Supervisor().run(int(sys.argv[1])))
    sys.exit(0 if drained else 1)


if __name__ == "__main__":
    main()
