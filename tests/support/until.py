"""The one place where tests wait for another process: a look now and then, never a fixed sleep."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
LOOK_S = 0.02


def until(look: Callable[[], T], within_s: float = 40.0, what: str = "it") -> T:
    """The first true value of `look`. Errors: AssertionError with its last value when the time is over."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {within_s:g} s for {what}, at last: {found!r}"
        pause.wait(LOOK_S)
    return found
