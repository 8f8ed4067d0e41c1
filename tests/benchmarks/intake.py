"""How many events a second Postern accepts, against a server that does nothing; how soon a handler is done.

    python -m tests.benchmarks.intake [--store postgresql] [--quick] [--peers | --budget]

Rounds alternate between a no-op Starlette endpoint and `postern serve`, worker inside and no handlers; and with
`--peers` what others would put in its place (peers/receivers.py). Each is one service on one core, with the load on the
other. Speed is printed and not judged; the exit code is 1 where an accepted event is not stored or not routed.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

from tests.benchmarks import noop, report
from tests.benchmarks.databases import Database, fresh
from tests.benchmarks.failed import Failed
from tests.benchmarks.latency import low_load
from tests.benchmarks.peers.receivers import Receiver, receivers
from tests.benchmarks.project import Project
from tests.benchmarks.rounds import WARM_S, Effort, Measured, noop_round, peer_round, postern_round
from tests.benchmarks.servers import Cores
from tests.benchmarks.stations import POSTGRESQL
from tests.support.servers import PostgresqlServer


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    effort = Effort(options.seconds, options.connections)
    cores = Cores.available()
    with tempfile.TemporaryDirectory(prefix="postern-bench-", dir=options.folder) as folder:
        print(report.machine(cores, Path(folder)), flush=True)
        try:
            measure = budget if options.budget else beside_peers if options.peers else alone
            measure(Path(folder), cores, effort, options)
        except Failed as failed:
            print(f"failed: {failed}", file=sys.stderr)
            return 1
    return 0


def alone(folder: Path, cores: Cores, effort: Effort, options: argparse.Namespace) -> None:
    with stores(options.store, folder) as store:
        project = Project.made(folder / "intake", cores, store=store)
        theirs, ours = intake(project, effort, options)
        storm(project, effort, options, ours)
        half(project, effort, options, theirs, ours)
    handled(folder, cores, options.posts)


def beside_peers(folder: Path, cores: Cores, effort: Effort, options: argparse.Namespace) -> None:
    with stores(options.store, folder) as store, receivers(store, folder) as peers:
        intake(Project.made(folder / "intake", cores, store=store), effort, options, peers)


@contextmanager
def stores(kind: str, folder: Path) -> Iterator[Database]:
    """An empty one, on a PostgreSQL server of our own that syncs at every commit, or in a file."""
    with ExitStack() as stack:
        url = None if kind == "sqlite" else stack.enter_context(PostgresqlServer(options=POSTGRESQL)).url
        yield stack.enter_context(fresh(url, folder, "postern_intake"))


def intake(
    project: Project, effort: Effort, options: argparse.Namespace, peers: Sequence[Receiver] = ()
) -> tuple[list[Measured], list[Measured]]:
    theirs: list[Measured] = []
    ours: list[Measured] = []
    others: dict[str, list[Measured]] = {peer.name: [] for peer in peers}
    print(f"\nintake into {project.store.url.partition(':')[0]}, {effort}\n{report.HEADING}")
    for number in range(1, options.rounds + 1):
        theirs.append(noop_round(options.yardstick, project.folder, project.cores, effort))
        print(report.line(number, f"no-op {options.yardstick}", theirs[-1]), flush=True)
        size = int(theirs[-1].answered_rate * (effort.seconds + WARM_S))
        ours.append(postern_round(project, size, effort))
        print(report.line(number, "postern", ours[-1], ours[-1].ratio_to(theirs[-1])), flush=True)
        for peer in peers:
            measured = peer_round(peer, project.folder, project.cores, size, effort)
            others[peer.name].append(measured)
            print(report.line(number, peer.name, measured, measured.ratio_to(theirs[-1])), flush=True)
    print(report.summary(theirs, ours, others))
    return theirs, ours


def storm(project: Project, effort: Effort, options: argparse.Namespace, ours: Sequence[Measured]) -> None:
    """A vendor that sends everything ten times over."""
    print(f"\na retry storm, nine duplicates in ten\n{report.HEADING}")
    size = int(2 * median(measured.answered_rate for measured in ours) * (effort.seconds + WARM_S))
    ratios = []
    for number in range(1, options.rounds + 1):
        calm = postern_round(project, size, effort)
        print(report.line(number, "postern, new events", calm), flush=True)
        measured = postern_round(project, 2 * size, effort, storm=True)
        ratios.append(measured.answered_rate / calm.answered_rate)
        print(report.line(number, "postern, storm", measured, ratios[-1]), flush=True)
    print(f"median {median(ratios):.2f} times the rate of new events (target {report.TARGET_STORM:.1f})")


def half(
    project: Project, effort: Effort, options: argparse.Namespace, theirs: Sequence[Measured], ours: Sequence[Measured]
) -> None:
    """How soon each answers at half of what it can do."""
    print(f"\nhalf load\n{report.HEADING}")
    noop_rate, our_rate = (median(one.answered_rate for one in measured) / 2 for measured in (theirs, ours))
    ratios = []
    for number in range(1, options.rounds + 1):
        slow = noop_round(options.yardstick, project.folder, project.cores, replace(effort, rate=noop_rate))
        print(report.line(number, f"no-op {options.yardstick}", slow), flush=True)
        size = int(our_rate * effort.seconds + 2 * our_rate * 2 * WARM_S)
        measured = postern_round(project, size, replace(effort, rate=our_rate))
        ratios.append(report.p99_ms(measured) / report.p99_ms(slow))
        print(report.line(number, "postern", measured, ratios[-1]), flush=True)
    print(f"median p99 {median(ratios):.1f} times the no-op's (target at most {report.TARGET_P99:.0f})")


def handled(folder: Path, cores: Cores, posts: int) -> None:
    print(f"\nlow load, {posts} posts, one at a time", flush=True)
    print(report.low_load(low_load(folder / "latency", cores, posts)))


def budget(folder: Path, cores: Cores, effort: Effort, options: argparse.Namespace) -> None:
    """What doing nothing costs at each layer: a request's price before Postern has done anything."""
    print(f"\ndoing nothing, {effort}\n{report.HEADING}")
    for number in range(1, options.rounds + 1):
        function = noop_round("function", folder, cores, effort)
        print(report.line(number, "function", function), flush=True)
        for kind in [kind for kind in noop.KINDS if kind != "function"]:
            measured = noop_round(kind, folder, cores, effort)
            ratio = measured.answered_rate / function.answered_rate
            print(report.line(number, kind, measured, ratio), flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.intake")
    add = parser.add_argument
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=5.0, help="of load in a round")
    add("--connections", type=int, default=64)
    add("--posts", type=int, default=200, help="at low load")
    add("--folder", type=Path, help="where the store lives; by default the system's temporary one")
    add("--store", choices=("sqlite", "postgresql"), default="sqlite")
    add("--quick", action="store_true", help="two rounds of one second, 50 posts: a look, no figure")
    add("--yardstick", choices=noop.KINDS, default="function", help="the no-op; function-body awaits the body")
    add("--peers", action="store_true", help="the intake beside FastAPI with Celery, Debian's webhook and Node-RED")
    add("--budget", action="store_true", help="only what servers cost that do nothing")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds, options.posts = 2, 1.0, 50
    return options


if __name__ == "__main__":
    sys.exit(main())
