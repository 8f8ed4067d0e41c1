"""How much slower intake gets as the store grows: events a second beside a thousand stored ones, and beside a million.

    python -m tests.benchmarks.growth [--store postgresql] [--ten-million] [--rounds N]

The stores are filled with SQL. Their events have the index entries of real ones, in the same random order, but bodies
of two bytes: no look-up of an arrival reads bodies, and a disk need not hold them. Rounds alternate between the sizes,
so that all see the same machine. Speed is printed and not judged; ten million take some 5 GB while it runs.
"""

import argparse
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from statistics import median

import psycopg

from receiver.store.ids import RANDOM_BITS
from tests.benchmarks import report
from tests.benchmarks.databases import Database, fresh
from tests.benchmarks.failed import Failed
from tests.benchmarks.project import Project
from tests.benchmarks.rounds import WARM_S, Effort, Measured, postern_round
from tests.benchmarks.servers import Cores
from tests.support.servers import PostgresqlServer

SIZES = {"a thousand": 1_000, "a million": 1_000_000}
LARGEST = {"ten million": 10_000_000}
TARGETS = {"a million": 0.75, "ten million": 0.6}
FASTEST = 15_000  # events a second: as many are signed before the clock starts
DAY_MS = 86_400_000
APART = 4096  # between two ids: ten million of them are older than any that is made now
# What somebody gives a server who expects ten million events; the rest are the server's defaults.
SERVER = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
EVENT = "INSERT INTO event (id, delivery_id, source, type, external_id, digest, sha256, received_at)"
SQLITE = (
    "INSERT INTO delivery SELECT {id}, x'', x'7b7d' FROM number",
    f"{EVENT} SELECT {{id}}, {{id}}, 'stripe', 'charge.updated', 'evt_' || lower(hex(randomblob(12))),"
    " randomblob(16), randomblob(32), {received_us} FROM number",
)
NUMBERS = "WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < {events}) "
# An index that is made of all rows at once is dense, and would split a page at each of the first insertions; one that
# has grown is full to about two thirds.
POSTGRESQL = (
    "ALTER TABLE event DROP CONSTRAINT event_digest_key",
    "INSERT INTO delivery SELECT {id}, '', '{{}}' FROM generate_series(0, {events} - 1::bigint) n",
    f"{EVENT} SELECT {{id}}, {{id}}, 'stripe', 'charge.updated', 'evt_' || substr(md5(n::text), 1, 24),"
    " decode(md5(n::text), 'hex'), sha256(n::text::bytea), {received_us}"
    " FROM generate_series(0, {events} - 1::bigint) n",
    "CREATE UNIQUE INDEX event_digest_key ON event (digest) WITH (fillfactor = 68)",
    "ALTER TABLE event ADD CONSTRAINT event_digest_key UNIQUE USING INDEX event_digest_key",
    "ALTER INDEX event_digest_key RESET (fillfactor)",
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    sizes = SIZES | (LARGEST if options.ten_million else {})
    effort = Effort(options.seconds, options.connections)
    cores = Cores.available()
    with tempfile.TemporaryDirectory(prefix="postern-bench-", dir=options.folder) as folder:
        print(report.machine(cores, Path(folder)), flush=True)
        try:
            with projects(options.store, Path(folder), cores, sizes) as grown:
                growth(grown, effort, options.rounds)
        except Failed as failed:
            print(f"failed: {failed}", file=sys.stderr)
            return 1
    return 0


@contextmanager
def projects(kind: str, folder: Path, cores: Cores, sizes: dict[str, int]) -> Iterator[dict[str, Project]]:
    """One for each size, filled."""
    with ExitStack() as stack:
        url = None if kind == "sqlite" else stack.enter_context(PostgresqlServer(options=SERVER)).url
        made = {}
        for name, events in sizes.items():
            label = name.replace(" ", "_")
            store = stack.enter_context(fresh(url, folder, f"postern_{label}"))
            made[name] = Project.made(folder / label, cores, store=store)
            started = time.perf_counter()
            fill(store, events)
            print(f"filled with {events:,} events in {time.perf_counter() - started:.0f} s", flush=True)
        yield made


def fill(store: Database, events: int) -> None:
    first = time.time_ns() // 1_000_000 - DAY_MS << RANDOM_BITS
    values = {"id": f"{first} + n * {APART}", "received_us": f"{time.time_ns() // 1000} - {events} + n"}
    if store.is_sqlite:
        _fill_file(store.path, [(NUMBERS + sql).format(events=events, **values) for sql in SQLITE])
    else:
        with psycopg.connect(store.url) as connection:
            for sql in POSTGRESQL:
                connection.execute(sql.format(events=events, **values))
    store.settle()
    os.sync()  # what the disk still has to do for this is no round's business


def _fill_file(path: str, statements: Sequence[str]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -2000000"):
            connection.execute(f"PRAGMA {pragma}")
        for sql in ("BEGIN", *statements, "COMMIT"):
            connection.execute(sql)


def growth(grown: dict[str, Project], effort: Effort, rounds: int) -> None:
    measured: dict[str, list[Measured]] = {name: [] for name in grown}
    smallest = next(iter(grown))
    print(f"\nintake into stores that hold more, {effort}\n{report.HEADING}")
    for number in range(1, rounds + 1):
        for name, project in grown.items():
            measured[name].append(postern_round(project, int(FASTEST * (effort.seconds + WARM_S)), effort))
            ratio = _ratios(measured[smallest], measured[name])[-1] if name != smallest else None
            print(report.line(number, f"beside {name}", measured[name][-1], ratio), flush=True)
    for name, target in TARGETS.items():
        if name in measured:
            by_rate = median(_ratios(measured[smallest], measured[name]))
            by_cpu = median(
                few.cpu_us_each / many.cpu_us_each for few, many in zip(measured[smallest], measured[name], strict=True)
            )
            print(f"beside {name}: {by_rate:.3f} of the rate (target {target:.2f}), {by_cpu:.3f} by processor time")


def _ratios(few: Sequence[Measured], many: Sequence[Measured]) -> list[float]:
    """Round by round: they shared the machine's mood. The last round of one may still be missing."""
    return [theirs.routed_rate / ours.routed_rate for ours, theirs in zip(few, many, strict=False)]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.growth")
    add = parser.add_argument
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=4.0, help="of load in a round")
    add("--connections", type=int, default=64)
    add("--folder", type=Path, help="where the stores live; by default the system's temporary one")
    add("--store", choices=("sqlite", "postgresql"), default="sqlite")
    add("--ten-million", action="store_true")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
