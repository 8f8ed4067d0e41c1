"""Metrics as Prometheus reads them."""

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from receiver.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_everything_counted_is_in_the_text() -> None:
    metrics = Metrics()
    metrics.received("stripe", "accepted")
    metrics.received("stripe", "accepted")
    metrics.received("stripe", "duplicate")
    metrics.refused("stripe", "timestamp_stale")
    metrics.attempt("book", "succeeded", 0.25)
    metrics.call("ledger", "201")
    found = samples(metrics)
    assert found["postern_events_total", (("source", "stripe"), ("status", "accepted"))] == 2
    assert found["postern_events_total", (("source", "stripe"), ("status", "duplicate"))] == 1
    assert found["postern_refused_total", (("code", "timestamp_stale"), ("source", "stripe"))] == 1
    assert found["postern_attempts_total", (("ended", "succeeded"), ("handler", "book"))] == 1
    assert found["postern_attempt_seconds_sum", (("handler", "book"),)] == 0.25
    assert found["postern_calls_total", (("api", "ledger"), ("status", "201"))] == 1


def test_names_that_strangers_make_up_are_one_and_the_same() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.refused(None, "unknown_source")
    assert samples(metrics)["postern_refused_total", (("code", "unknown_source"), ("source", ""))] == 3


def test_gauges_are_asked_at_every_look() -> None:
    waiting = iter([1, 2])

    def read() -> Iterable[Metric]:
        family = GaugeMetricFamily("postern_runs", "Runs", labels=["state"])
        family.add_metric(["waiting"], next(waiting))
        return [family]

    metrics = Metrics()
    metrics.ask(read)
    assert [samples(metrics)["postern_runs", (("state", "waiting"),)] for _ in range(2)] == [1, 2]


def test_two_in_one_process_do_not_meet() -> None:
    first, second = Metrics(), Metrics()
    first.received("stripe", "accepted")
    assert samples(second) == {}
