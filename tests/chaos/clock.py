"""A wall clock that is wrong, in this process alone. Durations, which are told by the monotonic clock, stay right."""

import time

CLOCK = "CHAOS_CLOCK_S"  # by how much a service's clock is ahead


def shift(by_s: float) -> None:
    """Before anything else is imported: whoever takes `time` by name must get the wrong one."""
    if not by_s:
        return
    right, right_ns = time.time, time.time_ns
    by_ns = round(by_s * 1e9)
    time.time = lambda: right() + by_s
    time.time_ns = lambda: right_ns() + by_ns
