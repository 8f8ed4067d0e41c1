"""How many events a second Postern accepts, against a server that does nothing; how soon a handler is done.

    python -m tests.benchmarks.intake [--store postgresql] [--quick] [--budget]

Rounds alternate between a no-op Starlette endpoint and `postern serve`, worker inside and no handlers.
Each is one process on one core, with the load on the other. Speed is printed and not judged; the exit
code is 1 where an accepted event is not stored or not routed.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.benchmarks import noop, report
from tests.benchmarks.databases import Database, fresh
from tests.benchmarks.failed import Failed
from tests.benchmarks.latency import low_load
from tests.benchmarks.project import Project
from tests.benchmarks.rounds import WARM_S, Effort, Measured, noop_round, postern_round
from tests.benchmarks.servers import Cores
from tests.support.servers import PostgresqlServer


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    effort = Effort(options.seconds, options.connections)
    cores = Cores.available()
    with tempfile.TemporaryDirectory(prefix="postern-bench-", dir=options.folder) as folder:
        print(report.machine(cores, Path(folder)), flush=True)
        try:
            if options.budget:
                budget(Path(folder), cores, effort, options.rounds)
            else:
                with stores(options.store, Path(folder)) as store:
                    intake(Path(folder), cores, effort, options.rounds, options.yardstick, store)
                handled(Path(folder), cores, options.posts)
        except Failed as failed:
            print(f"failed: {failed}", file=sys.stderr)
            return 1
    return 0


@contextmanager
def stores(kind: str, folder: Path) -> Iterator[Database]:
    """An empty one, on a PostgreSQL server of our own that syncs at every commit, or in a file."""
    with ExitStack() as stack:
        url = None if kind == "sqlite" else stack.enter_context(PostgresqlServer()).url
        yield stack.enter_context(fresh(url, folder, "postern_intake"))


def intake(folder: Path, cores: Cores, effort: Effort, rounds: int, yardstick: str, store: Database) -> None:
    project = Project.made(folder / "intake", cores, store=store)
    theirs: list[Measured] = []
    ours: list[Measured] = []
    print(f"\nintake into {store.url.partition(':')[0]}, {effort}\n{report.HEADING}")
    for number in range(1, rounds + 1):
        theirs.append(noop_round(yardstick, folder, cores, effort))
        print(report.line(number, f"no-op {yardstick}", theirs[-1]), flush=True)
        size = int(theirs[-1].answered_rate * (effort.seconds + WARM_S))
        ours.append(postern_round(project, size, effort))
        ratio = ours[-1].routed_rate / theirs[-1].answered_rate
        print(report.line(number, "postern", ours[-1], ratio), flush=True)
    print(report.summary(theirs, ours))


def handled(folder: Path, cores: Cores, posts: int) -> None:
    print(f"\nlow load, {posts} posts, one at a time", flush=True)
    print(report.low_load(low_load(folder / "latency", cores, posts)))


def budget(folder: Path, cores: Cores, effort: Effort, rounds: int) -> None:
    """What doing nothing costs at each layer: a request's price before Postern has done anything."""
    print(f"\ndoing nothing, {effort}\n{report.HEADING}")
    for number in range(1, rounds + 1):
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
    add("--budget", action="store_true", help="only what servers cost that do nothing")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds, options.posts = 2, 1.0, 50
    return options


if __name__ == "__main__":
    sys.exit(main())
