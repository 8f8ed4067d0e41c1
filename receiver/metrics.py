"""Prometheus metrics of one process: counters that intake and engine touch, gauges read from the store when asked."""

from collections import Counter as Counts
from collections.abc import Callable, Iterable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events: Counts[tuple[str, str]] = Counts()
        self._refused = Counter("postern_refused", "Refused requests", ["source", "code"], registry=self.registry)
        self._handshakes = Counter("postern_handshakes", "Handshakes answered", ["source"], registry=self.registry)
        attempts = Counter("postern_attempts", "Attempts ended", ["handler", "ended"], registry=self.registry)
        calls = Counter("postern_calls", "Outbound calls sent", ["api", "status"], registry=self.registry)
        attempt_s = Histogram("postern_attempt_seconds", "Length of attempts", ["handler"], registry=self.registry)
        self._attempts, self._calls = cache(attempts.labels), cache(calls.labels)  # finding a child costs more than +1
        self._attempt_s = cache(attempt_s.labels)
        self.ask(self._received)

    def received(self, source: str, status: str) -> None:
        """An event that was accepted, or a duplicate. Plain counting, on one thread: this is the hot path."""
        self._events[source, status] += 1

    def _received(self) -> Iterable[Metric]:
        family = CounterMetricFamily("postern_events", "Events received", labels=["source", "status"])
        for labels, count in list(self._events.items()):
            family.add_metric(labels, count)
        return [family]

    def refused(self, source: str | None, code: str) -> None:
        """`source` None: a name that is not configured. Names that strangers make up are no labels."""
        self._refused.labels(source or "", code).inc()

    def handshake(self, source: str) -> None:
        self._handshakes.labels(source).inc()

    def attempt(self, handler: str, ended: str, seconds: float) -> None:
        self._attempts(handler, ended).inc()
        self._attempt_s(handler).observe(seconds)

    def call(self, api: str, status: str) -> None:
        self._calls(api, status).inc()

    def ask(self, read: Callable[[], Iterable[Metric]]) -> None:
        """Ask `read` for more at every scrape."""
        self.registry.register(_Asked(read))

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _Asked(Collector):
    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        return self._read()
