"""How an upstream fails, and when: pure, and decided by the seed, the call and how often it came, not by the clock."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    NONE = "none"
    # before the effect
    UNAVAILABLE = "503"
    BUSY = "429, Retry-After"
    RESET_BEFORE = "reset before the effect"
    LATE = "took effect when nobody waited any more"
    # after the effect
    ERROR_AFTER = "500 after the effect"
    RESET_AFTER = "reset after the effect"
    SILENT = "no answer after the effect"
    HALF = "half an answer after the effect"
    SLOW = "a late answer, but in time"


ROUGH: Mapping[Fault, float] = {
    Fault.UNAVAILABLE: 0.05,
    Fault.BUSY: 0.05,
    Fault.RESET_BEFORE: 0.05,
    Fault.ERROR_AFTER: 0.04,
    Fault.RESET_AFTER: 0.06,
    Fault.SILENT: 0.02,
    Fault.LATE: 0.02,
    Fault.HALF: 0.04,
    Fault.SLOW: 0.15,
}
ROUGHER: Mapping[Fault, float] = {fault: 2 * share for fault, share in ROUGH.items() if fault is not Fault.SLOW}


@dataclass(frozen=True)
class Faults:
    """`shares` hold for a call's first `times` requests; later ones are answered well."""

    seed: int
    shares: Mapping[Fault, float] = field(default_factory=dict)
    times: int = 1_000_000

    def of(self, call: str, count: int) -> Fault:
        """The fault of the count-th request (from 0) of a call."""
        if count >= self.times:
            return Fault.NONE
        left = random.Random(f"{self.seed} {call} {count}").random()
        for fault, share in self.shares.items():
            left -= share
            if left < 0:
                return fault
        return Fault.NONE
