"""The event as a handler sees it, and how it is made of stored bytes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from receiver.schemes.reader import Reader
from receiver.settings import Settings
from receiver.sources import describe_source
from receiver.store.ids import text
from receiver.store.runs import Claimed
from receiver.store.times import from_us

T = TypeVar("T")
PLAIN = Reader({}, "")


@dataclass(frozen=True)
class Event(Generic[T]):
    """One fact a vendor told: `data` is the object it is about, read as T; `payload` the body, or a batch's item."""

    id: str
    source: str
    type: str
    external_id: str
    received_at: datetime
    occurred_at: datetime | None
    raw: bytes
    headers: Mapping[str, str]
    payload: Any
    data: T


class Reading(Protocol):
    """Where in a source's bodies things stand."""

    def payload(self, body: bytes, item: int | None) -> Any: ...
    def data(self, payload: Any) -> Any: ...
    def occurred_at(self, payload: Any) -> datetime | None: ...


class Readings:
    """The readings of the configured sources; bodies of a source that is no longer configured are read whole."""

    def __init__(self, settings: Settings) -> None:
        self._of: dict[str, Reading] = {name: describe_source(name, settings).scheme for name in settings.sources}

    def of(self, source: str) -> Reading:
        return self._of.get(source, PLAIN)


def read_event(run: Claimed, reading: Reading, as_data: Callable[[Any], T]) -> Event[T]:
    """The typed event of a claimed run. Whatever `as_data` raises for data that does not fit is raised here."""
    payload = reading.payload(run.body, run.item)
    return Event(
        id=text("ev", run.event_id),
        source=run.source,
        type=run.type,
        external_id=run.external_id,
        received_at=from_us(run.received_us),
        occurred_at=reading.occurred_at(payload),
        raw=run.body,
        headers=read_headers(run.headers),
        payload=payload,
        data=as_data(reading.data(payload)),
    )


def read_headers(lines: bytes) -> dict[str, str]:
    """Names in lower case; what came twice is joined with a comma, as RFC 9110 5.3 has it."""
    headers: dict[str, str] = {}
    for line in lines.decode("latin-1").split("\n"):
        name, colon, value = line.partition(": ")
        if colon:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
