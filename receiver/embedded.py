"""A worker inside this process, started on a thread of its own: what handler modules do at import is not ours.

One that takes long, or for ever, must not hold up intake, nor a stop. What the worker does stands in `processors`.
"""

import gc
import logging
import threading
from collections.abc import Callable
from typing import Protocol

from receiver.errors import UserError
from receiver.settings import Settings

log = logging.getLogger("postern.worker")

STOP_S = 2.0  # to wait for a start that is still going on


class Worker(Protocol):
    @property
    def trouble(self) -> str | None: ...

    @property
    def stop(self) -> Callable[[], None]: ...

    def reread(self, settings: Settings) -> None: ...


def _nothing() -> None:
    """Intake goes on without it."""


class Embedded:
    """Has the worker's trouble, or its own: that there is no worker yet, or that it could not be started."""

    def __init__(self, make: Callable[[], Worker], failed: Callable[[], None] = _nothing) -> None:
        """`failed` is called where `make` has failed, once that is logged."""
        self._make = make
        self._failed = failed
        self._worker: Worker | None = None
        self._trouble = "starting"
        self._newer: Settings | None = None
        self._thread = threading.Thread(target=self._start, name="worker-start", daemon=True)

    @property
    def trouble(self) -> str | None:
        return self._worker.trouble if self._worker else self._trouble

    def start(self) -> None:
        """Returns at once."""
        self._thread.start()

    def _start(self) -> None:
        try:
            self._worker = self._make()
            if self._newer is not None:
                self._worker.reread(self._newer)
        except UserError as error:
            self._trouble = error.what
            log.error("the worker did not start: %s (%s)", error.what, error.where, extra={"next": error.fix})
            self._failed()
        except BaseException as error:  # a module may end in SystemExit too; intake goes on
            self._trouble = f"the worker did not start: {type(error).__name__}: {error}"
            log.exception("the worker does nothing: it did not start", extra={"next": "postern doctor"})
            self._failed()
        gc.freeze()  # the handlers' modules too: see `calm_gc`

    def reread(self, settings: Settings) -> None:
        """One that is still starting is waited for, as it may be at work already, or hears of it then. Not in the loop.

        Errors: UserError.
        """
        self._newer = settings
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        if self._worker:
            self._worker.reread(settings)

    def stop(self, wait_s: float = STOP_S) -> None:
        """Stop the worker; one that is not even started after so long is given up."""
        if self._thread.is_alive():
            self._thread.join(wait_s)
        if self._worker:
            self._worker.stop()
        elif self._thread.is_alive():
            log.warning("the worker is still starting, or importing a handler module: it is given up")
