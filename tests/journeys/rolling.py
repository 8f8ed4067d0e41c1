"""Rolling restarts under load: two receivers and two `postern worker`, told to end and started again one by one.

Whatever was accepted must be worked on, nobody may be answered a 5xx, and everybody must end in time, with 0. The long
form: `python -m tests.journeys.rolling --restarts 100`, with `--store URL` and `--queue URL` for servers of your own.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support import sender
from tests.support.inside import PATH, STRIPE
from tests.support.postern import REPOSITORY, Postern, PosternWorker, write_project
from tests.support.rows import rows
from tests.support.servers import free_port
from tests.support.services import new_postgresql_database, new_redis
from tests.support.until import until
from tests.support.wire import Answer, Wire, request

CLIENTS = 8
PAUSE_S = 0.01  # of a client between two events: the workers shall keep up
ALL_OVER_S = 12.0
HANDLERS = """
import asyncio
from processors import on

@on("stripe", "*")
async def take_a_moment(event, ctx):
    await ctx.step("moment", asyncio.sleep, 0.05)
"""


class Line:
    """One connection as balancers keep it: where it ends without an answer, the other receiver is asked."""

    def __init__(self, ports: Sequence[int], again: "Counter[str]") -> None:
        self._ports = cycle(ports)
        self._again = again
        self._wire: Wire | None = None

    def post(self, data: bytes) -> Answer:
        give_up_at = time.monotonic() + ALL_OVER_S
        while True:
            try:
                self._wire = self._wire or Wire(next(self._ports))
                self._wire.send(data)
                answer = self._wire.answer()
            except (OSError, EOFError) as error:
                assert time.monotonic() < give_up_at, "no receiver answers"
                self._again[type(error).__name__] += 1
                self.close()
                continue
            if answer.closes:
                self.close()
            return answer

    def close(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None


class Load:
    """Clients that post new events all the time. `accepted` are ids by their vendor's; `wrong` is what may not be."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.accepted: dict[str, str] = {}
        self.wrong: list[str] = []
        self.again: Counter[str] = Counter()
        self._ports = ports
        self._ending = threading.Event()
        self._clients = [threading.Thread(target=self._post_all, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        for client in self._clients:
            client.join()

    def _post_all(self, client: int) -> None:
        line = Line(self._ports[:: 1 if client % 2 else -1], self.again)
        try:
            while not self._ending.wait(PAUSE_S):
                self._post(line, f"evt_{client}_{len(self.accepted)}_{time.monotonic_ns()}")
        except Exception as error:
            self.wrong.append(f"client {client}: {error!r}")
        finally:
            line.close()

    def _post(self, line: Line, external_id: str) -> None:
        body = sender.stripe_event(external_id)
        answer = line.post(request(PATH, body, sender.stripe(body)))
        if answer.status == 200:
            self.accepted[external_id] = answer.json()["id"]
        else:
            self.wrong.append(f"{external_id}: {answer}")


class Installation:
    """Two receivers, at ports that stay, and two workers."""

    def __init__(self, root: Path, store: str, queue: str) -> None:
        self._root = root
        self._environ = {"POSTERN_STORE__URL": store, "POSTERN_QUEUE__URL": queue}
        self.database = store if store.startswith("postgresql:") else root / "postern.db"
        self.ports = [free_port(), free_port()]
        self._running: dict[int, Postern] = {}
        self.longest_s = 0.0

    def start(self, place: int) -> None:
        """Places 0 and 2 are the receivers."""
        if place % 2:
            processes = 2 if isinstance(self.database, str) else 1  # more would fight for the one file
            self._running[place] = PosternWorker(self._root, self._environ, processes)
        else:
            environ = {**self._environ, "POSTERN_SERVER__PORT": str(self.ports[place // 2])}
            self._running[place] = Postern(self._root, environ)
        self._running[place].ready()

    def stop(self, place: int) -> None:
        begins = time.monotonic()
        process = self._running[place]
        code = process.stop()
        took_s = time.monotonic() - begins
        self.longest_s = max(self.longest_s, took_s)
        assert (code, took_s < ALL_OVER_S) == (0, True), f"exit code {code} after {took_s:.1f} s"

    def errors(self) -> list[str]:
        """What was logged as one; not that a worker had to wait for others at the one file, and tried again."""
        lines = [line for line in self._running[0].lines() if line.get("level") not in ("info", "warning")]
        return [str(line) for line in lines if not line["message"].endswith("database is locked")]

    def __enter__(self) -> "Installation":
        try:
            for place in range(4):
                self.start(place)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._running.values():
            process.kill()


def roll(root: Path, store: str, queue: str, restarts: int) -> str:
    """Do it, and check; a line about it."""
    write_project(root, STRIPE, HANDLERS)
    environ = {**os.environ, "POSTERN_STORE__URL": store, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-m", "receiver", "db", "upgrade"], cwd=root, env=environ, check=True, stdout=2)
    with Installation(root, store, queue) as installation:
        with Load(installation.ports) as load:
            for place in islice(cycle(range(4)), restarts):
                under_way(load)
                installation.stop(place)
                installation.start(place)
                assert not load.wrong, load.wrong
        assert not load.wrong, load.wrong
        settle(installation.database)
        check(installation.database, load)
        for place in range(4):
            installation.stop(place)
        assert not installation.errors(), installation.errors()
    again = ", ".join(f"{count} after {name}" for name, count in load.again.items()) or "none"
    return (
        f"{restarts} restarts, the longest stop {installation.longest_s:.1f} s; {len(load.accepted)} events accepted,"
        f" each stored and done; posted again: {again}"
    )


def under_way(load: Load) -> None:
    before = len(load.accepted)
    until(lambda: load.wrong or len(load.accepted) > before, what="load")


def settle(database: Path | str) -> None:
    unfinished = "SELECT count(*) FROM run WHERE state IN ('waiting', 'running')"
    until(lambda: rows(database, unfinished) == [(0,)], 120, "the end of all runs")


def check(database: Path | str, load: Load) -> None:
    stored = dict(rows(database, "SELECT external_id, id FROM event"))
    assert stored.keys() == load.accepted.keys()
    assert len(set(load.accepted.values())) == len(stored)
    ends = rows(database, "SELECT state, count(*), count(DISTINCT event_id) FROM run GROUP BY state")
    assert ends == [("succeeded", len(stored), len(stored))]


@contextmanager
def services(root: Path, store: str, queue: str) -> Iterator[tuple[str, str]]:
    """URLs of a store and a queue: those that are given, or new ones of these kinds."""
    with ExitStack() as stack:
        if store == "sqlite":
            store = f"sqlite:///{root}/postern.db"
        elif store == "postgresql":
            store = stack.enter_context(new_postgresql_database())
        yield store, stack.enter_context(new_redis()) if queue == "redis" else queue


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.journeys.rolling", description=__doc__)
    parser.add_argument("--restarts", type=int, default=100)
    parser.add_argument("--store", default="sqlite", help="sqlite, postgresql, or the URL of an empty store")
    parser.add_argument("--queue", default="redis", help="redis, or a URL")
    said = parser.parse_args()
    with TemporaryDirectory() as folder, services(Path(folder), said.store, said.queue) as (store, queue):
        print(roll(Path(folder), store, queue, said.restarts))


if __name__ == "__main__":
    main()
