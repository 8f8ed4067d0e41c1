"""What intake costs a delivery before and after the store, without sockets: the steadiest look at a change.

    python -m tests.benchmarks.hot_path [--deliveries N] [--rounds N]

The real connection, door, intake and scheme are fed real bytes; the transport swallows answers, and the store says at
once that all is recorded. Printed is the processor time of the best round, since everything else only ever adds to it.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from receiver import server
from receiver.app import create_app
from receiver.ingest import Intake
from receiver.metrics import Metrics
from receiver.process import calm_gc
from receiver.schemes import Headers, Request
from receiver.settings import load
from receiver.sources import Source, build_sources
from receiver.store.activity import Activity
from receiver.store.intake import Arrival, Recorded
from receiver.store.writer import Waiter
from tests.benchmarks import bodies

CONNECTIONS = 64
POOL = 256  # different requests: those that the kernel has just copied are in the caches, so these must be too
_CONFIGURATION = f'[sources.stripe]\npreset = "stripe"\nsecrets = ["literal:{bodies.SECRET.decode()}"]\n'


class Recording:
    """A store that is done when it is asked to be."""

    works_here = True

    def __init__(self) -> None:
        self.activity = Activity()
        self._waiting: list[Waiter] = []

    def record_for(self, waiter: Waiter, arrival: Arrival) -> None:
        self._waiting.append(waiter)

    def noted(self) -> None:
        pass

    def settle(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.set_result([Recorded(1 << 60, duplicate=False)])


class Swallowing(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)})
        self.accepted = 0

    def write(self, data: Any) -> None:
        self.accepted += data.startswith(b"HTTP/1.1 200 ")

    def is_closing(self) -> bool:
        return False


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hot_path")
    parser.add_argument("--deliveries", type=int, default=20_000, help="in a round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="postern-bench-") as folder:
        (Path(folder) / "postern.toml").write_text(_CONFIGURATION)
        settings = load(Path(folder) / "postern.toml", {})
    sources, store = build_sources(settings), Recording()
    apps = create_app(settings, store, sources, Metrics())  # type: ignore[arg-type]
    requests = bodies.pool(POOL)
    calm_gc()
    whole_us = asyncio.run(whole(apps.intake, store, requests, options.deliveries, options.rounds))
    print(f"from the connection's bytes to the answer's  {whole_us:6.2f} µs a delivery")
    for name, us in parts(sources["stripe"], requests, options.deliveries, options.rounds):
        print(f"of which {name:36}{us:6.2f}")
    return 0


async def whole(intake: Intake, store: Recording, requests: list[bytes], deliveries: int, rounds: int) -> float:
    serving = server.server(intake_only, (), intake=intake)
    serving.config.load()
    await serving.on_tick(0)
    transports = [Swallowing() for _ in range(CONNECTIONS)]
    connections = [_connected(serving, transport) for transport in transports]
    costs = []
    for _ in range(rounds):
        endless = itertools.cycle(requests)
        started = time.process_time()
        for _ in range(deliveries // CONNECTIONS):
            for connection in connections:
                connection.data_received(next(endless))
            await asyncio.sleep(0)  # for the turn in which all of them are taken
            store.settle()
            await asyncio.sleep(0)
        costs.append(time.process_time() - started)
    done = deliveries // CONNECTIONS
    assert [transport.accepted for transport in transports] == [done * rounds] * CONNECTIONS
    return min(costs) / (done * CONNECTIONS) * 1e6


async def intake_only(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("a delivery goes to the door")


def _connected(serving: server.Server, transport: Swallowing) -> Any:
    protocol: Any = serving.config.http_protocol_class
    connection = protocol(config=serving.config, server_state=serving.server_state, app_state={})
    connection.connection_made(transport)
    return connection


def parts(source: Source, requests: list[bytes], deliveries: int, rounds: int) -> Iterator[tuple[str, float]]:
    now = time.time()
    taken = [_parted(data) for data in requests]

    def fresh() -> list[Request]:
        return [Request("POST", "", headers, body) for headers, body in taken]

    for name, step in (
        ("to verify", lambda request: source.scheme.verify(request, source.keys, now)),
        ("to identify, JSON included", source.scheme.identify),
    ):
        costs = []
        for _ in range(rounds * deliveries // len(taken)):
            batch = fresh()
            started = time.process_time()
            for request in batch:
                step(request)
            costs.append(time.process_time() - started)
        yield name, min(costs) / len(taken) * 1e6


def _parted(data: bytes) -> tuple[Headers, bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:]]
    return Headers([(name.lower(), value) for name, value in lines]), body


if __name__ == "__main__":
    sys.exit(main())
