"""What is printed: the machine, a line for each round, the medians. Only fsync is measured here."""

import os
import platform
import sqlite3
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

from tests.benchmarks.latency import Latencies
from tests.benchmarks.load import percentile_ms
from tests.benchmarks.rounds import Measured
from tests.benchmarks.servers import Cores

TARGET_RATIO = 0.45
TARGET_STORM = 1.5
TARGET_P99 = 4.0
BUSY = 0.95
TARGET_HANDLED_MS = 5.0
HEADING = (
    f"{'round':<6}{'server':<20}{'answered/s':>11}{'routed/s':>10}{'p50 ms':>8}{'p99 ms':>8}"
    f"{'backlog':>9}{'CPU µs':>8}{'server CPU':>12}{'load CPU':>10}{'ratio':>7}"
)


def machine(cores: Cores, folder: Path) -> str:
    return (
        f"uvicorn {version('uvicorn')}, starlette {version('starlette')}, httptools {version('httptools')}; "
        f"server on core {cores.server}, load on {cores.load}; {conditions(folder)}"
    )


def conditions(folder: Path) -> str:
    return (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}; {os.cpu_count()} cores, "
        f"load average before {os.getloadavg()[0]:.2f}; fsync {_fsync_ms(folder):.2f} ms"
    )


def line(number: int, name: str, measured: Measured, ratio: float | None = None) -> str:
    p50, p99 = (percentile_ms(measured.load.latencies_ns, percent) for percent in (50, 99))
    return (
        f"{number:<6}{name:<20}{measured.answered_rate:>11,.0f}{measured.routed_rate:>10,.0f}"
        f"{p50:>8.1f}{p99:>8.1f}{measured.backlog:>9,}{measured.cpu_us_each:>8.1f}"
        f"{measured.server_cpu:>12.0%}{measured.load.cpu:>10.0%}{'' if ratio is None else f'{ratio:.3f}':>7}"
    )


def p99_ms(measured: Measured) -> float:
    return percentile_ms(measured.load.latencies_ns, 99)


def summary(noop: Sequence[Measured], postern: Sequence[Measured], peers: Mapping[str, Sequence[Measured]]) -> str:
    pairs = list(zip(noop, postern, strict=True))
    routed = median(ours.ratio_to(theirs) for theirs, ours in pairs)
    answered = median(ours.answered_rate / theirs.answered_rate for theirs, ours in pairs)
    accepted = sum(measured.load.accepted for measured in postern)
    lines = [
        f"median ratio {routed:.3f} until the last event is routed (target {TARGET_RATIO:.2f})",
        f"             {answered:.3f} until the last answer",
        *(_pooled(name, taken, noop) for name, taken in {"no-op": noop, "postern": postern, **peers}.items()),
        f"all {accepted:,} accepted events are stored and routed",
    ]
    return "\n".join(lines + _doubts(noop))


def low_load(latencies: Latencies, target_ms: float = TARGET_HANDLED_MS) -> str:
    return "\n".join(
        f"{name:<26}p50 {percentile_ms(taken, 50):.2f} ms{target}, p99 {percentile_ms(taken, 99):.2f} ms"
        for name, taken, target in (
            ("POST to answer", latencies.answered_ns, ""),
            ("POST to handler finished", latencies.handled_ns, f" (target {target_ms:.0f})"),
        )
    )


def _pooled(name: str, rounds: Sequence[Measured], noop: Sequence[Measured]) -> str:
    latencies_ns = [latency_ns for measured in rounds for latency_ns in measured.load.latencies_ns]
    rate = median(measured.routed_rate for measured in rounds)
    cpu_us = median(measured.cpu_us_each for measured in rounds)
    ratio = median(map(Measured.ratio_to, rounds, noop))
    cpu_ratio = median(theirs.cpu_us_each / measured.cpu_us_each for measured, theirs in zip(rounds, noop, strict=True))
    return (
        f"{name:<20}median {rate:>7,.0f}/s, {1e6 / rate:>6,.1f} µs each ({cpu_us:,.1f} of processor time), "
        f"p50 {percentile_ms(latencies_ns, 50):.1f} ms, p99 {percentile_ms(latencies_ns, 99):.1f} ms, "
        f"ratio {ratio:.3f} ({cpu_ratio:.3f} by processor time)"
    )


def _doubts(noop: Sequence[Measured]) -> list[str]:
    idle = sum(measured.server_cpu < BUSY for measured in noop)
    if not idle:
        return []
    return [f"in {idle} of {len(noop)} rounds the no-op had not all of its core: trust the processor time"]


def _fsync_ms(folder: Path) -> float:
    """The price of a commit on this disk; about nothing means that the folder is in memory."""
    with tempfile.TemporaryFile(dir=folder) as file:
        times = [_write_synced(file.fileno()) for _ in range(20)]
    return median(times) * 1000


def _write_synced(descriptor: int) -> float:
    started = time.perf_counter()
    os.write(descriptor, bytes(4096))
    os.fsync(descriptor)
    return time.perf_counter() - started
