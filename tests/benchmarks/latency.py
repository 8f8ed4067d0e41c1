"""Latency at low load: one POST at a time, from its first byte to the end of its handler.

The handler's clock and ours are one: `perf_counter` is the machine's monotonic clock on Linux.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import bodies
from tests.benchmarks.failed import Failed
from tests.benchmarks.load import Connection
from tests.benchmarks.project import Project
from tests.benchmarks.servers import Cores

HANDLER_MODULE = "tests.benchmarks.handlers"
TOLD = "BENCHMARK_TOLD"  # the variable that tells the handler where to send
HANDLED_WITHIN_S = 30.0
PAUSE_S = 0.01
WARM = 20


@dataclass(frozen=True, slots=True)
class Latencies:
    answered_ns: list[int] = field(default_factory=list)
    handled_ns: list[int] = field(default_factory=list)


def low_load(folder: Path, cores: Cores, posts: int) -> Latencies:
    project = Project.made(folder, cores, module=HANDLER_MODULE)
    with listening(folder / "told") as told, project.serve({TOLD: str(folder / "told")}) as server:
        latencies = measured(server.port, told, posts)
        if (stored := project.stored()) != WARM + posts:
            raise Failed(f"{WARM + posts} events were answered 2xx, but {stored} are stored")
    return latencies


def measured(port: int, told: socket.socket, posts: int) -> Latencies:
    """One post at a time, to whoever serves there, while handlers of ours tell what they finish."""
    latencies, connection = Latencies(), Connection(port)
    for _ in range(WARM + posts):
        _post(connection, told, latencies)
        time.sleep(PAUSE_S)  # the finish is still being recorded: the next one must find the server idle
    return Latencies(latencies.answered_ns[WARM:], latencies.handled_ns[WARM:])


def _post(connection: Connection, told: socket.socket, latencies: Latencies) -> None:
    external_id = bodies.new_id()
    connection.send(bodies.signed(external_id, "payment_intent.succeeded", int(time.time())))
    status = connection.answer()
    answered_ns = time.perf_counter_ns()
    if status != 200:
        raise Failed(f"a single POST was answered {status}")
    latencies.answered_ns.append(answered_ns - connection.sent_at_ns)
    latencies.handled_ns.append(_handled_at_ns(told, external_id) - connection.sent_at_ns)


def _handled_at_ns(told: socket.socket, external_id: str) -> int:
    try:
        handled_id, at_ns = told.recv(1024).decode().split()
    except TimeoutError:
        raise Failed(f"{external_id} was not handled within {HANDLED_WITHIN_S:.0f} s") from None
    if handled_id != external_id:
        raise Failed(f"{handled_id} was handled a second time, while {external_id} was awaited")
    return int(at_ns)


@contextmanager
def listening(address: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(address))
        told.settimeout(HANDLED_WITHIN_S)
        yield told
