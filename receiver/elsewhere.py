"""Workers in processes of their own, as a receiver sees them: whether one is there that works. The store knows.

Without one nothing is lost, but events wait, and that must not be silent.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from receiver.queue import Sweep
from receiver.settings import Settings
from receiver.store import Store, reads

if TYPE_CHECKING:
    from receiver.store.models import Process

log = logging.getLogger("postern.worker")

LOOK_S = 5.0
AGAIN_S = 60.0  # between two lines about the same trouble
NOBODY = "no worker is alive"


class Elsewhere:
    """Stands where `Embedded` does, and has the workers' trouble: that there is none, or that each has its own."""

    def __init__(self, store: Store, look_s: float = LOOK_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.trouble: str | None = "not looked for yet"
        self._store = store
        self._look_s = look_s
        self._clock = clock
        self._told_at: float | None = None

    def start(self) -> None:
        self._sweep = Sweep(self.look, self._look_s)

    def reread(self, settings: Settings) -> None:
        """Nothing: they are told themselves."""

    def stop(self) -> None:
        self._sweep.close()

    def look(self) -> None:
        """Errors: Unavailable."""
        with self._store.reading() as session:
            live = reads.processes(session)
        self.trouble = trouble_of([process for process in live if process.role == "worker"])
        if self.trouble is None:
            self._back()
        elif self._told_at is None or self._clock() - self._told_at >= AGAIN_S:
            self._told_at = self._clock()
            log.warning("%s: events wait in the store", self.trouble, extra={"next": _next(self.trouble)})

    def _back(self) -> None:
        if self._told_at is not None:
            self._told_at = None
            log.info("a worker is there again")


def trouble_of(workers: "Sequence[Process]") -> str | None:
    """What keeps all of them from working; one that works is enough."""
    if all(worker.trouble for worker in workers):
        return workers[0].trouble if workers else NOBODY
    return None


def _next(trouble: str) -> str:
    return "postern worker" if trouble == NOBODY else "postern doctor"
