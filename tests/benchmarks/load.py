"""The load: keep-alive connections, one request each under way at any time: in a closed loop, or at a given rate.

Plain sockets and epoll, and no more of an answer read than its status and length: the generator has one
core and must be faster on it than the server is on the other.
"""

import gc
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.benchmarks.failed import Failed

SILENCE_S = 30.0
PAUSE_S = 2e-5  # epoll's own waits are whole milliseconds, more than many an answer takes


@dataclass(slots=True)
class Load:
    """Answers by status, each one's latency, the seconds until the last; `cpu` is our own share."""

    answers: Counter[int] = field(default_factory=Counter)
    latencies_ns: list[int] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def accepted(self) -> int:
        return sum(count for status, count in self.answers.items() if 200 <= status < 300)


class Connection:
    __slots__ = ("_received", "sent_at_ns", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), SILENCE_S)
        self.socket.settimeout(None)  # with one, Python asks the kernel before each call whether to make it
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at_ns = 0
        self._received = b""

    def send(self, request: bytes) -> None:
        self.sent_at_ns = time.perf_counter_ns()
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """Read what is there; the status once the whole answer is."""
        received = self.socket.recv(65536)
        if not received:
            raise Failed("the server closed a connection instead of answering")
        self._received += received
        status = answered(self._received)
        if status is not None:
            self._received = b""
        return status

    def answer(self) -> int:
        while (status := self.receive()) is None:
            pass
        return status


def answered(received: bytes) -> int | None:
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator or len(body) < _content_length(head):
        return None
    return int(head[9:12])


def drive(port: int, requests: Iterator[bytes], seconds: float, connections: int, rate: float | None = None) -> Load:
    """Send until the time is over or the requests are used up, then wait for the last answer.

    With a `rate` a second, latencies count from the moment a request was due: one that is late for want of a free
    connection has waited.
    """
    opened = [Connection(port) for _ in range(connections)]
    gc.disable()  # its pauses would be counted as the server's latency
    try:
        return _timed(opened, requests, seconds, rate)
    finally:
        gc.enable()
        for connection in opened:
            connection.socket.close()


def percentile_ms(latencies_ns: list[int], percent: float) -> float:
    ordered = sorted(latencies_ns)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] / 1e6


def _timed(opened: list[Connection], requests: Iterator[bytes], seconds: float, rate: float | None) -> Load:
    load = Load()
    started, started_cpu = time.perf_counter(), time.process_time()
    stop_at_ns = time.perf_counter_ns() + int(seconds * 1e9)
    if rate is None:
        _exchange(opened, requests, stop_at_ns, load)
    else:
        _paced(opened, requests, stop_at_ns, int(1e9 / rate), load)
    load.seconds = time.perf_counter() - started
    load.cpu = (time.process_time() - started_cpu) / load.seconds
    return load


def _exchange(opened: list[Connection], requests: Iterator[bytes], stop_at_ns: int, load: Load) -> None:
    with select.epoll() as poll:
        by_descriptor = {connection.socket.fileno(): connection for connection in opened}
        waiting = 0
        for connection, request in zip(opened, requests, strict=False):
            poll.register(connection.socket, select.EPOLLIN)
            connection.send(request)
            waiting += 1
        while waiting:
            ready = poll.poll(SILENCE_S)
            if not ready:
                raise Failed(f"{waiting} requests had no answer for {SILENCE_S:.0f} s")
            for descriptor, _ in ready:
                connection = by_descriptor[descriptor]
                status = connection.receive()
                if status is None:
                    continue
                now_ns = time.perf_counter_ns()
                load.latencies_ns.append(now_ns - connection.sent_at_ns)
                load.answers[status] += 1
                following = next(requests, None) if now_ns < stop_at_ns else None
                if following is None:
                    waiting -= 1
                else:
                    connection.send(following)


def _paced(opened: list[Connection], requests: Iterator[bytes], stop_at_ns: int, interval_ns: int, load: Load) -> None:
    with select.epoll() as poll:
        by_descriptor = {connection.socket.fileno(): connection for connection in opened}
        for connection in opened:
            poll.register(connection.socket, select.EPOLLIN)
        free = list(opened)
        due_ns = time.perf_counter_ns()
        while due_ns < stop_at_ns or len(free) < len(opened):
            now_ns = time.perf_counter_ns()
            while free and due_ns <= now_ns and due_ns < stop_at_ns:
                connection = free.pop()
                connection.send(next(requests))
                connection.sent_at_ns = due_ns
                due_ns += interval_ns
            ready = poll.poll(0)
            if not ready:
                time.sleep(PAUSE_S)
            for descriptor, _ in ready:
                connection = by_descriptor[descriptor]
                if (status := connection.receive()) is not None:
                    load.latencies_ns.append(time.perf_counter_ns() - connection.sent_at_ns)
                    load.answers[status] += 1
                    free.append(connection)
            if time.perf_counter_ns() > stop_at_ns + SILENCE_S * 1e9:
                raise Failed(f"{len(opened) - len(free)} requests had no answer for {SILENCE_S:.0f} s")


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    if not found:
        raise Failed(f"an answer without content-length: {head!r}")
    return int(rest.partition(b"\r\n")[0])
