"""A wall clock that is wrong, in this process alone. Durations, which are told by the monotonic clock, stay right."""

import datetime
import time
from collections.abc import Iterator
from contextlib import contextmanager

CLOCK = "CHAOS_CLOCK_S"  # by how much a service's clock is ahead
STANDS_AT = "CHAOS_CLOCK_STANDS_AT"  # epoch seconds


def shift(by_s: float) -> None:
    """Before anything else is imported: whoever takes `time` by name must get the wrong one."""
    if not by_s:
        return
    right, right_ns = time.time, time.time_ns
    by_ns = round(by_s * 1e9)
    time.time = lambda: right() + by_s
    time.time_ns = lambda: right_ns() + by_ns


def stop(at: int) -> None:
    """It stands still, for `datetime` too. Before anything else is imported, as above."""

    class Standing(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Standing":
            return cls.fromtimestamp(at, tz)

    time.time, time.time_ns = lambda: float(at), lambda: at * 10**9
    datetime.datetime = Standing  # type: ignore[misc]  # the point of it


@contextmanager
def standing_still(at: int) -> Iterator[None]:
    """For who asks `time` while this lasts."""
    right = time.time, time.time_ns
    time.time, time.time_ns = lambda: float(at), lambda: at * 10**9
    try:
        yield
    finally:
        time.time, time.time_ns = right
