"""A process of ours while it lives: its row in the store, its garbage collection, its end.

Who the processes are to each other stands elsewhere: `serve.py`, `worker.py`, `supervise.py`.
"""

import gc
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from receiver.queue import Sweep
from receiver.store import Store, Transaction, Unavailable, processes

PRESENCE_S = 5.0  # between two signs of life


class Presence:
    """This process's row, kept fresh, so that `postern send` and `status` find it. `register` writes it down."""

    def __init__(self, store: Store, register: Callable[[Transaction], int], every_s: float = PRESENCE_S) -> None:
        self._store = store
        self._enrolment = processes.Enrolment(register)
        with suppress(Unavailable):  # then at a later turn
            self._renew()
        self._sweep = Sweep(self._renew, every_s)

    def _renew(self) -> None:
        self._store.write_from_thread(self._enrolment.renew)

    def tell(self, trouble: str | None) -> None:
        """Until it is written anew, `register` has to say the same."""
        process_id = self._enrolment.process_id
        if process_id is not None:
            with suppress(Unavailable):
                self._store.write_from_thread(lambda tx: processes.troubled(tx, process_id, trouble))

    def stop(self) -> None:
        self._sweep.close()
        if self._enrolment.process_id is not None:
            self._store.process_stopped(self._enrolment.process_id)


def calm_gc() -> None:
    """Collect rarely, and leave out what start-up made: walking it again and again took a quarter of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def end_at_once(status: int) -> NoReturn:
    """A handler's thread that never ends must not keep the process."""
    try:
        with suppress(OSError):  # who read it may have gone
            logging.shutdown()
            sys.stdout.flush()
    finally:
        os._exit(status)
