"""What a broker and worker processes of their own cost: time to a finished handler, memory, restart, takeover.

    python -m tests.benchmarks.workers [--quick] [--sqlite] [--only latency|memory|restart|takeover]

One receiver and workers on Redis, with PostgreSQL as the store (`--sqlite`: a file). Printed and not judged; the exit
code is 1 where events are lost.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.benchmarks import bodies, contenders, latency, report
from tests.benchmarks.contenders import fill_postern
from tests.benchmarks.cpu import rss_bytes, tree
from tests.benchmarks.databases import Database, fresh
from tests.benchmarks.failed import Failed
from tests.benchmarks.handled.held import HOLD
from tests.benchmarks.load import drive, percentile_ms
from tests.benchmarks.programs import Program, kill, running, wait_until_serving
from tests.benchmarks.project import NOWHERE, configure
from tests.benchmarks.servers import free_port, tail
from tests.benchmarks.stations import Stations

TARGET_HANDLED_MS = 30.0
TARGET_MEMORY_BYTES = 64 << 20
TARGET_BROKER_BYTES = 100.0
TARGET_RESTART_S = 3.0
LEASE_S = 3
TAKEN_OVER_S = LEASE_S + 2.0
CONCURRENCY = 32
HOLDING = {HOLD: "yes"}
WITHIN_S = 120.0
AT_A_TIME = 20_000  # requests, signed and held in memory
CONNECTIONS = 32


@dataclass(frozen=True)
class Installation:
    """Postern with a fresh store and an empty broker; its programs are started one by one."""

    folder: Path
    database: Database
    environ: dict[str, str]

    @contextmanager
    def receiver(self) -> Iterator[int]:
        port, log = free_port(), self.folder / "serve.log"
        with running(["-m", "receiver", "serve", "--port", str(port)], log, self.environ) as program:
            wait_until_serving(program, port, log)
            yield port

    @contextmanager
    def worker(self, **variables: str) -> Iterator[Program]:
        command, log = ["-m", "receiver", "worker", "--processes", "1"], self.folder / "worker.log"
        with running(command, log, self.environ | variables) as program:
            yield program

    def until(self, look: Callable[[], bool], what: str) -> None:
        give_up_at = time.monotonic() + WITHIN_S
        while not look():
            if time.monotonic() > give_up_at:
                raise Failed(f"{what}: not within {WITHIN_S:.0f} s; {tail(self.folder / 'worker.log')}")
            time.sleep(0.02)

    def until_ready(self, workers: int = 1) -> None:
        """So many have said that they live."""
        alive = "SELECT count(*) FROM process WHERE role = 'worker'"
        self.until(lambda: self.database.number(alive) >= workers, f"worker {workers}")


@contextmanager
def installation(stations: Stations, folder: Path, module: str, worker: str = "") -> Iterator[Installation]:
    stations.flush_broker()
    with (
        tempfile.TemporaryDirectory(dir=folder) as own,
        fresh(stations.postgresql_url or None, Path(own), f"bench_{time.time_ns()}") as database,
    ):
        environ = configure(Path(own), database.url, stations.redis_url, NOWHERE, module, worker)
        contenders.command(["-m", "receiver", "db", "upgrade"], environ)
        yield Installation(Path(own), database, environ)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))  # whatever was started is ended then too
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="postern-bench-", dir=options.folder)))
        try:
            stations = opened.enter_context(Stations.opened(options.postgresql, options.redis, sql=not options.sqlite))
            print(report.conditions(folder), f"store: {'SQLite' if options.sqlite else 'PostgreSQL'}", flush=True)
            for name in options.only:
                print(f"\n{name}", flush=True)
                MEASURES[name](stations, folder, options)
        except Failed as failed:
            print(f"failed: {failed}", file=sys.stderr)
            return 1
    return 0


def to_finish(stations: Stations, folder: Path, options: argparse.Namespace) -> None:
    """From POST to the end of the handler, one at a time, through an idle broker."""
    with installation(stations, folder, latency.HANDLER_MODULE) as postern:
        address = postern.folder / "told"
        postern.environ[latency.TOLD] = str(address)
        with latency.listening(address) as told, postern.receiver() as port, postern.worker():
            postern.until_ready()
            print(report.low_load(latency.measured(port, told, options.posts), TARGET_HANDLED_MS))


def memory(stations: Stations, folder: Path, options: argparse.Namespace) -> None:
    """What waiting runs cost a worker and the broker; they came in while it was alive and had all its slots taken."""
    with (
        installation(stations, folder, "tests.benchmarks.handled.held") as postern,
        postern.receiver() as port,
        postern.worker(**HOLDING) as worker,
    ):
        postern.until_ready()
        _post(port, CONCURRENCY)
        postern.until(lambda: _runs(postern, "state = 'running'") == CONCURRENCY, "all slots taken")
        before, held_before = _memory(worker), _held(stations)
        _post(port, options.backlog)
        postern.until(lambda: _runs(postern, "handler IS NULL") == 0, "all routed")
        time.sleep(options.settle_s)  # looks of the sweep at the backlog belong to its price
        more, held = _memory(worker) - before, _held(stations) - held_before
        if (waiting := _runs(postern, "state = 'waiting'")) != options.backlog:
            raise Failed(f"{options.backlog:,} runs should wait, and {waiting:,} do")
    print(
        f"{options.backlog:,} waiting runs: a worker of {before / 1e6:.1f} MB has {more / 1e6:+.1f} MB"
        f" (target {TARGET_MEMORY_BYTES / 1e6:.0f}); the broker {held:+,} bytes,"
        f" {held / options.backlog:.2f} a run (target {TARGET_BROKER_BYTES:.0f})"
    )


def restart(stations: Stations, folder: Path, options: argparse.Namespace) -> None:
    """SIGKILL of the one worker with a backlog: from the start of the next one to its first finished run."""
    taken: list[float] = []
    with installation(stations, folder, "tests.benchmarks.handled.trivial") as postern:
        fill_postern(postern.database.url, options.backlog)
        for _ in range(options.kills + 1):
            taken.append(_start_to_finish(postern))
        left = _runs(postern, "state <> 'succeeded'")
        with postern.worker():
            postern.until(lambda: _runs(postern, "state <> 'succeeded'") == 0, "the whole backlog")
    print(
        f"backlog of {options.backlog:,}: first start {taken[0]:.2f} s, after each SIGKILL "
        f"{', '.join(f'{s:.2f}' for s in taken[1:])} s (target {TARGET_RESTART_S:g}); {left:,} were left, all done then"
    )


def _start_to_finish(postern: Installation) -> float:
    """Of a worker that is killed right after."""
    started_us = time.time_ns() // 1000
    with postern.worker() as worker:
        postern.until(lambda: _finished_after(postern, started_us) is not None, "a finished run")
        kill(worker)
    return ((_finished_after(postern, started_us) or 0) - started_us) / 1e6


def takeover(stations: Stations, folder: Path, options: argparse.Namespace) -> None:
    """`kill -9` of a worker, supervisor and all: from the kill to the finish of each of its runs by another worker."""
    taken_ns: list[int] = []
    lease = f"lease_s = {LEASE_S}\nconcurrency = {CONCURRENCY}"
    for _ in range(options.kills * 2):
        with installation(stations, folder, "tests.benchmarks.handled.held", lease) as postern:
            taken_ns += _taken_over(postern)
    print(
        f"{len(taken_ns)} runs of {options.kills * 2} killed workers, lease {LEASE_S} s: taken over and finished after "
        f"p50 {percentile_ms(taken_ns, 50) / 1000:.2f} s, p99 {percentile_ms(taken_ns, 99) / 1000:.2f} s"
        f" (target {TAKEN_OVER_S:g}), at most {max(taken_ns) / 1e9:.2f} s"
    )


def _taken_over(postern: Installation) -> list[int]:
    fill_postern(postern.database.url, CONCURRENCY)
    with postern.worker(**HOLDING) as victim:
        postern.until(lambda: _runs(postern, "state = 'running'") == CONCURRENCY, "all running")
        with postern.worker():
            postern.until_ready(2)
            time.sleep(random.uniform(0, 1.5))  # anywhere between two renewals
            killed_us = time.time_ns() // 1000
            kill(victim)
            postern.until(lambda: _runs(postern, "state <> 'succeeded'") == 0, "the takeover")
    rows = postern.database.rows("SELECT finished_at, attempts FROM run")
    if any(attempts != 2 for _, attempts in rows):
        raise Failed("a run that was taken over had not two attempts")
    return [(finished_us - killed_us) * 1000 for finished_us, _ in rows]


def _post(port: int, events: int) -> None:
    while events > 0:
        size = min(events, AT_A_TIME)
        load = drive(port, iter(bodies.pool(size)), WITHIN_S, min(size, CONNECTIONS))
        if load.accepted != size:
            raise Failed(f"{size:,} events were posted, answers by status: {dict(load.answers)}")
        events -= size


def _runs(postern: Installation, condition: str) -> int:
    return postern.database.number(f"SELECT count(*) FROM run WHERE {condition}")


def _finished_after(postern: Installation, moment_us: int) -> int | None:
    [(at,)] = postern.database.rows(f"SELECT min(finished_at) FROM run WHERE finished_at > {moment_us}")
    return None if at is None else int(at)


def _memory(worker: Program) -> int:
    """Of the supervisor's child, which does the work."""
    return max(rss_bytes(pid) for pid in tree(worker.pid))


def _held(stations: Stations) -> int:
    with redis.Redis.from_url(stations.redis_url) as broker:
        return sum(int(broker.memory_usage(key, samples=0) or 0) for key in broker.scan_iter())


MEASURES: dict[str, Callable[[Stations, Path, argparse.Namespace], None]] = {
    "latency": to_finish,
    "memory": memory,
    "restart": restart,
    "takeover": takeover,
}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.workers")
    add = parser.add_argument
    add("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    add("--backlog", type=int, default=100_000)
    add("--posts", type=int, default=300)
    add("--kills", type=int, default=5)
    add("--settle-s", type=float, default=10.0)
    add("--sqlite", action="store_true", help="a file as the store")
    add("--postgresql", help="a running server's URL; by default one is started, fsync on")
    add("--redis", help="a running server's URL; its database is emptied. By default one is started")
    add("--folder", type=Path, help="where files live; by default the system's temporary folder")
    add("--quick", action="store_true", help="a tenth of everything: a look, no figure")
    options = parser.parse_args(arguments)
    if options.quick:
        options.backlog, options.posts, options.kills, options.settle_s = 10_000, 50, 1, 3.0
    return options


if __name__ == "__main__":
    sys.exit(main())
