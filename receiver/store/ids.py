"""Ids of our own: 63-bit integers in the store, short sortable text everywhere else.

An id begins with the milliseconds since 1970, so rows arrive in the order of the primary key and the newest come last;
its text is a prefix and 13 characters of Crockford's base 32, which sorts like the number. Nothing here does I/O.
"""

import random
import threading
import time
from collections.abc import Callable

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
VALUES = {character: value for value, character in enumerate(ALPHABET)}
TEXT_LENGTH = 13
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]  # an id is text at every answer: ten bits at once
RANDOM_BITS = 21  # 42 bits of milliseconds last until the year 2109
GAP_BITS = 10


class Ids:
    """Makes ids that grow, whatever the wall clock does. Two processes may still meet: inserts must notice."""

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        fresh = (self._clock_ns() // 1_000_000 << RANDOM_BITS) | random.getrandbits(RANDOM_BITS - 1)
        with self._lock:
            if fresh <= self._last:  # the clock stands still: gaps, so that a second process finds room between
                fresh = self._last + 1 + random.getrandbits(GAP_BITS)
            self._last = fresh
            return fresh


new_id = Ids().next


def text(prefix: str, number: int) -> str:
    """The id as people see it: `text("ev", 1)` is `ev_0000000000001`."""
    pairs = "".join([PAIRS[number >> shift & 1023] for shift in (50, 40, 30, 20, 10, 0)])
    return f"{prefix}_{ALPHABET[number >> 60]}{pairs}"


def number(prefix: str, shown: str) -> int | None:
    """The integer behind an id's text, or None if it is not an id with that prefix."""
    head, _, tail = shown.partition("_")
    if head != prefix or len(tail) != TEXT_LENGTH or not all(character in VALUES for character in tail):
        return None
    value = 0
    for character in tail:
        value = value << 5 | VALUES[character]
    return value if value < 1 << 63 else None
