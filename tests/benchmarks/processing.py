"""How many stored events a second go through handlers, and what each costs: Postern and its peers in one run.

    python -m tests.benchmarks.processing [--quick] [--bare] [--layout sqlite|postgresql] [--handler trivial|call]

Rounds alternate between all of them. The events lie in the store (and their ids in the queue) before the clock starts;
the rate is that of the steady part, from the tenth to the ninetieth percent of the finishes, read from the store. Speed
is printed and not judged; the exit code is 1 where an event was not done exactly once. A peer that is not installed is
named as left out: `pip install celery taskiq taskiq-redis huey procrastinate`.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.contenders import CELERY, LAYOUTS, Contender, Peer, Task, installed
from tests.benchmarks.cpu import Samples, sampling
from tests.benchmarks.databases import fresh
from tests.benchmarks.failed import Failed
from tests.benchmarks.peers.work import moments
from tests.benchmarks.programs import Program, all_running, check_alive
from tests.benchmarks.report import conditions
from tests.benchmarks.servers import tail
from tests.benchmarks.stations import Stations
from tests.benchmarks.upstream import Upstream, upstream

STEADY = (0.1, 0.9)
SILENCE_S = 60.0
LOOK_S = 0.25
TARGETS = {"trivial": 4.0, "call": 2.0}
ROLES = ("worker", "database", "broker", "upstream")
HEADING = f"{'round':<6}{'contender':<22}{'events/s':>10}{'CPU µs':>9}" + "".join(f"{r:>10}" for r in ROLES[1:])


@dataclass(frozen=True, slots=True)
class Processed:
    """A round: events a second, and microseconds of processor time for each event, by who spent it."""

    rate: float
    cpu_us: dict[str, float | None]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))  # whatever was started is ended then too
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="postern-bench-", dir=options.folder)))
        try:
            sql = "postgresql" in options.layout
            stations = opened.enter_context(Stations.opened(options.postgresql, options.redis, sql=sql))
            called = opened.enter_context(upstream(folder))
            print(conditions(folder), flush=True)
            for layout in options.layout:
                contenders = list(_present(LAYOUTS[layout], options.only))
                for handler in options.handler:
                    compare(layout, handler, contenders, stations, called, folder, options)
        except Failed as failed:
            print(f"failed: {failed}", file=sys.stderr)
            return 1
    return 0


def _present(contenders: Sequence[Contender], only: str) -> Iterator[Contender]:
    for contender in contenders:
        if only not in contender.name and contender != CELERY:
            continue
        found = installed(contender)
        print(f"{contender.name}: {contender.package} {found or 'is not installed: left out'}", flush=True)
        if found:
            yield contender


def compare(
    layout: str, handler: str, contenders: Sequence[Contender], stations: Stations, called: Upstream, folder: Path,
    options: argparse.Namespace,
) -> None:  # fmt: skip
    measured: dict[str, list[Processed]] = {contender.name: [] for contender in contenders}
    print(f"\nstate in {layout}, handler {handler}{', peers without SQL' if options.bare else ''}\n{HEADING}")
    for number in range(1, options.rounds + 1):
        for contender in contenders:
            with _task(layout, handler, contender, stations, called, folder, options) as task:
                measured[contender.name].append(one_round(contender, task, stations, called))
            print(_line(str(number), contender.name, measured[contender.name][-1]), flush=True)
    print(_summary(handler, measured))


@contextmanager
def _task(
    layout: str, handler: str, contender: Contender, stations: Stations, called: Upstream, folder: Path,
    options: argparse.Namespace,
) -> Iterator[Task]:  # fmt: skip
    """A fresh folder, database and broker."""
    server = stations.postgresql_url if layout == "postgresql" else None
    stations.flush_broker()
    with (
        tempfile.TemporaryDirectory(dir=folder) as own,
        fresh(server, Path(own), f"bench_{time.time_ns()}") as database,
    ):
        bare = Path(own, "done") if options.bare and isinstance(contender, Peer) else None
        events = max(200, int(contender.events * options.scale))
        yield Task(Path(own), database, stations.redis_url, handler, called.url, events, bare)


def one_round(contender: Contender, task: Task, stations: Stations, called: Upstream) -> Processed:
    contender.fill(task)
    task.database.settle()
    called.counted()
    log = task.folder / "worker.log"
    with all_running(contender.commands(task), log, contender.environ(task)) as programs:
        pids = {"worker": [program.pid for program in programs], "upstream": [called.program.pid]} | stations.pids
        with sampling(pids) as samples:
            _wait_until_done(contender, task, programs, log)
    finished = _finished(contender, task)
    _check_calls(task, called)
    return _steady(finished, samples)


def _wait_until_done(contender: Contender, task: Task, programs: Sequence[Program], log: Path) -> None:
    left, heard_at = task.events, time.monotonic()
    while left:
        time.sleep(LOOK_S)
        for program in programs:
            check_alive(program, log)
        now_left = _left(contender, task)
        if now_left != left:
            left, heard_at = now_left, time.monotonic()
        elif time.monotonic() - heard_at > SILENCE_S:
            raise Failed(f"{contender.name}: {left:,} events are not done, and nothing moves; {tail(log)}")


def _left(contender: Contender, task: Task) -> int:
    if task.bare:
        return task.events - len(moments(task.bare))
    return task.database.number(f"SELECT count(*) FROM ({contender.finished}) AS run WHERE finished_at IS NULL")


def _finished(contender: Contender, task: Task) -> list[float]:
    """When each was, in order; after the check that each was done, well, and at the first attempt."""
    if task.bare:
        ended = moments(task.bare)
    else:
        rows = task.database.rows(contender.finished)
        ended = [at / 1e6 for at, attempts, well in rows if attempts == 1 and well]
        if len(rows) != len(ended):
            raise Failed(f"{contender.name}: {len(rows) - len(ended):,} events were not done well at the first attempt")
    if len(ended) != task.events:
        raise Failed(f"{contender.name}: {task.events:,} events were given, {len(ended):,} were done")
    return sorted(ended)


def _check_calls(task: Task, called: Upstream) -> None:
    calls, keys = called.counted()
    wanted = task.events if task.handler == "call" else 0
    if (calls, keys) != (wanted, wanted):
        raise Failed(f"{wanted:,} calls were due, one for each event; {calls:,} came, with {keys:,} keys")


def _steady(finished: list[float], samples: Samples) -> Processed:
    first, last = (int(share * (len(finished) - 1)) for share in STEADY)
    start, end, events = finished[first], finished[last], last - first
    spent = {role: samples.between(role, start, end) for role in ROLES}
    return Processed(
        events / (end - start), {role: None if s is None else s / events * 1e6 for role, s in spent.items()}
    )


def _line(number: str, name: str, measured: Processed) -> str:
    spent = [measured.cpu_us[role] for role in ROLES]
    shown = ["-" if us is None else f"{us:,.0f}" for us in spent]
    return f"{number:<6}{name:<22}{measured.rate:>10,.0f}{shown[0]:>9}" + "".join(f"{us:>10}" for us in shown[1:])


def _summary(handler: str, measured: dict[str, list[Processed]]) -> str:
    yardstick = measured.get(CELERY.name)
    lines = [f"medians; ratios to {CELERY.name}, round by round (target of Postern {TARGETS[handler]:g})"]
    for name, rounds in measured.items():
        lines.append(_line("", name, _median(rounds)) + (_ratios(rounds, yardstick) if yardstick else ""))
    return "\n".join(lines)


def _median(rounds: Sequence[Processed]) -> Processed:
    by_role = {role: [us for r in rounds if (us := r.cpu_us[role]) is not None] for role in ROLES}
    return Processed(
        median(r.rate for r in rounds), {role: median(spent) if spent else None for role, spent in by_role.items()}
    )


def _ratios(rounds: Sequence[Processed], yardstick: Sequence[Processed]) -> str:
    pairs = list(zip(rounds, yardstick, strict=True))
    rate = median(ours.rate / theirs.rate for ours, theirs in pairs)
    worker = median((theirs.cpu_us["worker"] or 0) / (ours.cpu_us["worker"] or 1) for ours, theirs in pairs)
    return f"   × {rate:.2f} by rate, × {worker:.2f} by the workers' processor time"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.processing")
    add = parser.add_argument
    add("--rounds", type=int, default=3)
    add("--scale", type=float, default=1.0, help="of the events in a round")
    add("--layout", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    add("--handler", nargs="+", choices=TARGETS, default=list(TARGETS))
    add("--bare", action="store_true", help="the peers without any SQL: their raw speed")
    add("--only", default="", help="a part of a contender's name; Celery stays")
    add("--postgresql", help="a running server's URL; by default one is started, fsync on")
    add("--redis", help="a running server's URL; its database is emptied. By default one is started")
    add("--folder", type=Path, help="where SQLite stores live; by default the system's temporary one")
    add("--quick", action="store_true", help="one round of a fifth: a look, no figure")
    options = parser.parse_args(arguments)
    return _quick(options) if options.quick else options


def _quick(options: argparse.Namespace) -> argparse.Namespace:
    options.rounds, options.scale = 1, options.scale / 5
    return options


if __name__ == "__main__":
    sys.exit(main())
