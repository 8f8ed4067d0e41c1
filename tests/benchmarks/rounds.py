"""One round: a fresh server process, a short warm-up, the measured load, the count of what was stored."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from tests.benchmarks import bodies, noop
from tests.benchmarks.failed import Failed
from tests.benchmarks.load import Load, drive
from tests.benchmarks.peers.receivers import Receiver
from tests.benchmarks.project import Project
from tests.benchmarks.servers import Cores, Server, free_port, pinned, serving

WARM_S = 0.5
NOOP_POOL = 4096


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is asked of a round; as much as it can, where no `rate` a second is given."""

    seconds: float
    connections: int
    rate: float | None = None

    def __str__(self) -> str:
        return f"{self.connections} connections, {self.seconds:g} s a round"


@dataclass(frozen=True, slots=True)
class Measured:
    load: Load
    routed_s: float
    backlog: int
    server_cpu_s: float

    @property
    def answered_rate(self) -> float:
        return self.load.accepted / self.load.seconds

    @property
    def routed_rate(self) -> float:
        """What counts: accepted events over the time until the last of them is routed."""
        return self.load.accepted / self.routed_s

    def ratio_to(self, noop: "Measured") -> float:
        return self.routed_rate / noop.answered_rate

    @property
    def server_cpu(self) -> float:
        """The share of its core that the server had; less than all of it: something else was the limit."""
        return self.server_cpu_s / self.routed_s

    @property
    def cpu_us_each(self) -> float:
        """Processor time for one event: what stays comparable when other programs take part of the core."""
        return self.server_cpu_s / self.load.accepted * 1e6


def noop_round(kind: str, folder: Path, cores: Cores, effort: Effort) -> Measured:
    port = free_port()
    requests = itertools.cycle(bodies.pool(NOOP_POOL))
    with serving(noop.__name__, kind, str(port), port=port, cores=cores, log=folder / "noop.log") as server:
        _accepted(drive(port, requests, WARM_S, effort.connections))
        return _measured(server, requests, effort, settle=lambda: 0)


def postern_round(project: Project, size: int, effort: Effort, *, storm: bool = False) -> Measured:
    """`size` requests are made beforehand; where they do not last, the round ends early."""
    requests = iter(bodies.storm(size) if storm else bodies.pool(size))
    with project.serve() as server:
        before = project.stored()
        warm = _accepted(drive(server.port, requests, WARM_S, effort.connections))
        project.wait_until_routed()
        measured = _measured(server, requests, effort, settle=project.wait_until_routed)
        accepted = warm.accepted + measured.load.accepted
        _check_stored(-(-accepted // 10) if storm else accepted, project.stored() - before)
    return measured


def peer_round(peer: Receiver, folder: Path, cores: Cores, size: int, effort: Effort) -> Measured:
    requests = iter(bodies.pool(size, peer.signature))
    port = free_port()
    with pinned(peer.command(port), port, cores, folder / "peer.log", peer.environ) as server:
        _check_verifies(port, next(requests))
        before = peer.kept() if peer.kept else 0
        warm = _accepted(drive(server.port, requests, WARM_S, effort.connections))
        measured = _measured(server, requests, effort, settle=lambda: 0)
        if peer.kept:
            _check_stored(warm.accepted + measured.load.accepted, peer.kept() - before)
    return measured


def _measured(server: Server, requests: Iterator[bytes], effort: Effort, settle: Callable[[], int]) -> Measured:
    """`settle` waits until the server is through with what it accepted, and says how much that was."""
    before_s = server.cpu_s()
    load = _accepted(drive(server.port, requests, effort.seconds, effort.connections, effort.rate))
    answered = perf_counter()
    backlog = settle()
    routed_s = load.seconds + perf_counter() - answered
    return Measured(load, routed_s, backlog, server.cpu_s() - before_s)


def _accepted(load: Load) -> Load:
    refused = {status: count for status, count in load.answers.items() if not 200 <= status < 300}
    if refused:
        raise Failed(f"answers other than 2xx, by status: {refused}")
    return load


def _check_verifies(port: int, request: bytes) -> None:
    """Whoever lets everything in is quick for nothing."""
    changed = request.replace(b'"amount": 4200', b'"amount": 4201')
    if drive(port, iter([changed]), WARM_S, connections=1).accepted:
        raise Failed("a changed body was accepted under the signature of another")


def _check_stored(accepted: int, stored: int) -> None:
    if stored != accepted:
        raise Failed(f"{accepted:,} new events were answered 2xx, but {stored:,} are stored")
