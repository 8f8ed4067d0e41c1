"""What was stored a moment ago, in memory: a copy of it is known without another commit.

A vendor whose own time ran out, or whose connection broke, sends again at once and many times. Here is only what this
process has seen committed; all of it is forgotten when the store cannot be written, for afterwards it may be another
one: a replica that took over, a backup.
"""

from typing import Final, NamedTuple

from receiver.store import intake
from receiver.store.intake import Arrival, Recorded

KEPT: Final = 4096  # events at least, and twice as many at most
AGE_US: Final = 600_000_000


class _First(NamedTuple):
    id: int
    sha256: bytes
    received_us: int


class Recent:
    """Told on the writer's thread, in the order of commits and outages; asked on any."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._newer: dict[bytes, _First] = {}
        self._older = self._newer

    def add(self, arrival: Arrival, recorded: list[Recorded]) -> None:
        if not _is_one_event(arrival) or recorded[0].duplicate:
            return
        if len(self._newer) >= KEPT:
            self._older, self._newer = self._newer, {}
        key = intake.digest(arrival.source, arrival.events[0].external_id)
        self._newer[key] = _First(recorded[0].id, arrival.sha256, arrival.received_us)

    def find(self, arrival: Arrival) -> list[Recorded] | None:
        """What the store would say of a copy with the same bytes; None where only the store can tell."""
        if not _is_one_event(arrival):
            return None
        key = intake.digest(arrival.source, arrival.events[0].external_id)
        first = self._newer.get(key) or self._older.get(key)
        if first is None or first.sha256 != arrival.sha256:
            return None
        age_us = arrival.received_us - first.received_us
        return [Recorded(first.id, duplicate=True)] if 0 <= age_us <= min(AGE_US, arrival.window_us) else None


def _is_one_event(arrival: Arrival) -> bool:
    """A batch may bring known items beside new ones."""
    return len(arrival.events) == 1 and arrival.events[0].item is None
