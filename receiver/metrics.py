"""Prometheus metrics of one process: counters that intake and engine touch, gauges read from the store when asked."""

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter("postern_events", "Events received", ["source", "status"], registry=self.registry)
        self._refused = Counter("postern_refused", "Refused requests", ["source", "code"], registry=self.registry)
        self._attempts = Counter("postern_attempts", "Attempts ended", ["handler", "ended"], registry=self.registry)
        self._calls = Counter("postern_calls", "Outbound calls sent", ["api", "status"], registry=self.registry)
        self._attempt_s = Histogram(
            "postern_attempt_seconds", "Length of attempts", ["handler"], registry=self.registry
        )
        self._children: dict[tuple[str, str], Any] = {}

    def accepted(self, source: str) -> None:
        self._event(source, "accepted")

    def duplicate(self, source: str) -> None:
        self._event(source, "duplicate")

    def _event(self, source: str, status: str) -> None:
        child = self._children.get((source, status))  # labels() costs more than the count
        if child is None:
            child = self._children[source, status] = self._events.labels(source, status)
        child.inc()

    def refused(self, source: str | None, code: str) -> None:
        """`source` None: a name that is not configured. Names that strangers make up are no labels."""
        self._refused.labels(source or "", code).inc()

    def attempt(self, handler: str, ended: str, seconds: float) -> None:
        self._attempts.labels(handler, ended).inc()
        self._attempt_s.labels(handler).observe(seconds)

    def call(self, api: str, status: str) -> None:
        self._calls.labels(api, status).inc()

    def gauges(self, read: Callable[[], Iterable[GaugeMetricFamily]]) -> None:
        """Ask `read` for more at every scrape."""
        self.registry.register(_Asked(read))

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _Asked(Collector):
    def __init__(self, read: Callable[[], Iterable[GaugeMetricFamily]]) -> None:
        self._read = read

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._read()
