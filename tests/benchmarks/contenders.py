"""Who is measured: Postern's two layouts and the peers, each with its settings for two cores.

A contender fills its store and its queue while nothing of it runs, and names the programs that then do the work.
Each peer has what its documentation advises for throughput on two cores; the work itself stands in `peers`.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from receiver.schemes import Identity
from receiver.store import Store, open_store
from receiver.store.intake import Arrival
from tests.benchmarks import bodies
from tests.benchmarks.databases import Database
from tests.benchmarks.failed import Failed
from tests.benchmarks.peers import ledger, work
from tests.benchmarks.project import configure
from tests.benchmarks.servers import free_port

AT_ONCE = 512
HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Task:
    """What one round asks for. `bare`: the peers leave SQL out, and note there what they did."""

    folder: Path
    database: Database
    broker_url: str
    handler: str
    upstream_url: str
    events: int
    bare: Path | None = None


def installed(contender: "Contender") -> str | None:
    """The version, or None."""
    try:
        return version(contender.package)
    except PackageNotFoundError:
        return None


def command(arguments: Sequence[str], environ: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=dict(os.environ) | environ, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout[-500:]}{done.stderr[-1500:]}")


# ── Postern ──


@dataclass(frozen=True)
class Postern:
    name: str
    queue: str
    """`memory://`, or empty: the broker's."""

    arguments: Callable[[], list[str]]
    concurrency: int = 0
    """0: the default."""

    events: int = 20_000
    """How many make a round of some seconds."""

    package: str = "postern"
    finished: str = "SELECT finished_at, attempts, state = 'succeeded' FROM run"
    """SQL: finished_at in µs or NULL, attempts, and whether it ended well, of every event."""

    def fill(self, task: Task) -> None:
        command(["-m", "receiver", "db", "upgrade"], self.environ(task))
        fill_postern(task.database.url, task.events)

    def commands(self, task: Task) -> list[list[str]]:
        return [["-m", "receiver", *self.arguments()]]

    def environ(self, task: Task) -> dict[str, str]:
        return configure(
            task.folder, task.database.url, self.queue or task.broker_url, task.upstream_url,
            f"tests.benchmarks.handled.{task.handler}",
            f"concurrency = {self.concurrency}" if self.concurrency else "",
        )  # fmt: skip


def fill_postern(url: str, events: int) -> None:
    """As the receiver stores them, without the receiver."""
    store = open_store(url)
    try:
        asyncio.run(_record(store, events))
    finally:
        store.close()


async def _record(store: Store, events: int) -> None:
    for start in range(0, events, AT_ONCE):
        await asyncio.gather(*(store.record(_arrival()) for _ in range(start, min(events, start + AT_ONCE))))


def _arrival() -> Arrival:
    external_id, type_ = bodies.new_id(), bodies.TYPES[0]
    now = time.time_ns()
    body = bodies.body(external_id, type_, now // 1_000_000_000)
    headers = b"host: 127.0.0.1\nuser-agent: Stripe/1.0\ncontent-type: application/json; charset=utf-8"
    identity = Identity(external_id, type_, vendor_id=True)
    return Arrival("stripe", headers, body, sha256(body).digest(), now // 1000, HOUR_US, [identity])


def _serve() -> list[str]:
    return ["serve", "--port", str(free_port())]


def _worker() -> list[str]:
    return ["worker", "--processes", "2"]


# ── peers ──


@dataclass(frozen=True)
class Peer:
    name: str
    package: str
    app: str
    arguments: list[str]
    events: int
    copies: int = 1
    variables: dict[str, str] = field(default_factory=dict)
    finished: str = "SELECT finished_at, attempts, state = 'done' FROM job"

    def fill(self, task: Task) -> None:
        now = int(time.time())
        rows = [(n, bodies.body(bodies.new_id(), bodies.TYPES[0], now)) for n in range(1, task.events + 1)]
        database = task.database
        database.fill(ledger.tables(sqlite=database.is_sqlite), "event", rows)
        database.fill([], "job", [(number, "waiting", 0, None, None) for number, _ in rows])
        command(["-m", "tests.benchmarks.peers.enqueue", self.app, str(task.events)], self.environ(task))

    def commands(self, task: Task) -> list[list[str]]:
        return [self.arguments] * self.copies

    def environ(self, task: Task) -> dict[str, str]:
        return self.variables | {
            work.STORE: task.database.url,
            work.BROKER: task.broker_url,
            work.HANDLER: task.handler,
            work.UPSTREAM: task.upstream_url,
            work.BARE: str(task.bare or ""),
        }


def _app(name: str) -> str:
    return f"tests.benchmarks.peers.{name}_app"


CELERY = Peer(
    "celery + redis", "celery", "celery_app",
    ["-m", "celery", "-A", _app("celery"), "worker", "-c", "2", "-P", "prefork", "--without-gossip",
     "--without-mingle", "--without-heartbeat", "--loglevel", "warning"],
    events=3_000,
)  # fmt: skip
PEERS = [
    CELERY,
    Peer(
        "taskiq + redis", "taskiq-redis", "taskiq_app",
        ["-m", "taskiq", "worker", f"{_app('taskiq')}:broker", "--workers", "2", "--max-async-tasks", "64",
         "--max-prefetch", "64", "--log-level", "WARNING"],
        events=6_000,
    ),
    Peer(
        "dramatiq + redis", "dramatiq", "dramatiq_app",
        ["-m", "dramatiq", _app("dramatiq"), "-p", "2", "-t", "8"],
        events=6_000, variables={"dramatiq_queue_prefetch": "1000"},
    ),
    Peer(
        "huey + redis", "huey", "huey_app",
        ["-m", "huey.bin.huey_consumer", f"{_app('huey')}.huey", "-k", "process", "-w", "2", "-n", "-q"],
        events=6_000,
    ),
]  # fmt: skip
PROCRASTINATE = Peer(
    "procrastinate", "procrastinate", "procrastinate_app",
    ["-m", "procrastinate", f"--app={_app('procrastinate')}.app", "worker", "-q", "bench", "-c", "16"],
    events=2_000, copies=2,
)  # fmt: skip
Contender = Postern | Peer
LAYOUTS: dict[str, list[Contender]] = {
    "sqlite": [*PEERS, Postern("postern, one process", "memory://", _serve)],
    "postgresql": [*PEERS, PROCRASTINATE, Postern("postern, two workers", "", _worker)],
}
